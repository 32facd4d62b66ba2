# SPDX-License-Identifier: ZPL-2.1
"""Several hosts on one machine: network namespaces around a switch, with a PostgreSQL server there
and a name for each host.

    with Switch() as switch, Server(switch) as server:
        host = Host(switch, 'alpha', server.uri(name), folder)
        switch.cut('alpha')

Root is needed. The namespaces have no names in the system: this process and those that it starts
within hold them, and the kernel removes them, with all that is in them, when the last of these has
ended, however it ends. Nothing here leads to the network of the machine; the tests themselves reach
the server by its socket.
"""
import ctypes
import os
import shutil
import socket
import subprocess
from contextlib import ExitStack, contextmanager
from unittest.mock import patch
from urllib.parse import quote, urlencode

from p01.remote.ground import folders
from tests import servers
from tests.acceptance.trees import Tree, groupOf

SUBNET = '10.111.0.{}'
KINDS = {'net': 0x40000000, 'uts': 0x04000000}      # CLONE_NEWNET, CLONE_NEWUTS of sched.h
SPACE = '/proc/thread-self/ns/{}'
try:
    LIBRARY = ctypes.CDLL(None, use_errno=True)
except OSError:
    LIBRARY = None


def call(name, *arguments):
    """A function of the C library. Raises OSError, or Unavailable where there is no such
    function."""
    try:
        function = getattr(LIBRARY, name)           # Python has these from 3.12
    except AttributeError:
        raise servers.Unavailable('There are no network namespaces here: the C library has no '
                                  f'{name}') from None
    if function(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f'{name}: {os.strerror(number)}')


def here():
    """Descriptors of the namespaces of this thread."""
    return {kind: os.open(SPACE.format(kind), os.O_RDONLY) for kind in KINDS}


@contextmanager
def kept():
    """This thread comes back to its namespaces."""
    home = here()
    try:
        yield
    finally:
        for kind, file in home.items():
            if not os.path.samestat(os.fstat(file), os.stat(SPACE.format(kind))):
                call('setns', file, KINDS[kind])
            os.close(file)


class Namespace:
    """A network without any connection, and a hostname. Processes that are started `with within()`
    are there."""

    def __init__(self, name):
        self.name = name
        with kept():
            call('unshare', sum(KINDS.values()))
            socket.sethostname(name)
            self.files = here()
        self.ip('link', 'set', 'lo', 'up')

    @contextmanager
    def within(self):
        """This thread, and what it starts, is there."""
        with kept():
            for kind, file in self.files.items():
                call('setns', file, KINDS[kind])
            yield

    def ip(self, *words):
        """The command ip, there. Raises Unavailable with what it said."""
        with self.within():
            done = subprocess.run(['ip', *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise servers.Unavailable(f'ip {" ".join(words)}: {done.stderr.strip()}')

    def close(self):
        """Leave it to the processes that are there."""
        for file in self.files.values():
            os.close(file)


class Switch:
    """A bridge in a namespace of its own, with an address, and hosts that are plugged in. Raises
    Unavailable."""

    address = SUBNET.format(1)

    def __init__(self):
        if shutil.which('ip') is None:
            raise servers.Unavailable('The command ip is missing; apt-get install iproute2')
        self.plugged = 1
        with ExitStack() as undo:
            try:
                self.namespace = self.make('switch', undo)
            except OSError as error:
                raise servers.Unavailable('Network namespaces cannot be made here, which takes '
                                          f'root ({error})') from None
            self.namespace.ip('link', 'add', 'bridge', 'type', 'bridge')
            self.namespace.ip('address', 'add', f'{self.address}/24', 'dev', 'bridge')
            self.namespace.ip('link', 'set', 'bridge', 'up')
            self.undo = undo.pop_all()

    @staticmethod
    def make(name, undo):
        namespace = Namespace(name)
        undo.callback(namespace.close)
        return namespace

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.undo.close()

    def plug(self, name):
        """A new host; returns its namespace."""
        host = self.make(name, self.undo)
        self.plugged += 1
        host.address = SUBNET.format(self.plugged)
        there = f'/proc/{os.getpid()}/fd/{host.files["net"]}'
        self.namespace.ip('link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns',
                          there)
        self.namespace.ip('link', 'set', name, 'master', 'bridge', 'up')
        host.ip('address', 'add', f'{host.address}/24', 'dev', 'eth0')
        host.ip('link', 'set', 'eth0', 'up')
        return host

    def cut(self, name):
        """From now on everything from and to this host is lost, and its connections are not
        told."""
        # out of the bridge alone, the port would hear what is for the server
        self.namespace.ip('link', 'set', name, 'down')

    def join(self, name):
        """The host is back."""
        self.namespace.ip('link', 'set', name, 'up')


class Server(servers.PostgreSQL):
    """A PostgreSQL server at the switch."""

    access = servers.ACCESS + f'host all all {SUBNET.format(0)}/24 trust\n'

    def __init__(self, switch):
        super().__init__()
        self.switch = switch
        self.options['listen_addresses'] = switch.address

    def start(self):
        with self.switch.namespace.within():
            super().start()

    def uri(self, name, **parts):
        """The address of a database for hosts at the switch."""
        given = urlencode(parts, quote_via=quote)
        return f'postgresql://{servers.ADMIN}@{self.switch.address}:{self.port}/{name}?{given}'


class Host(Tree):
    """A tree of workers on a host of its own: another hostname, network and folder for temporary
    files."""

    def __init__(self, switch, name, address, folder, **options):
        self.name = name
        self.namespace = switch.plug(name)
        self.address = self.namespace.address
        temporary = folder / name
        temporary.mkdir()
        with self.namespace.within(), patch.dict(os.environ, TMPDIR=str(temporary)):
            super().__init__(address, temporary, **options)
        self.boxes = temporary / folders.folderFor(None).name

    def has(self, pid):
        """Whether a process is there."""
        return groupOf(pid) == self.process.pid

    def close(self):
        """End it at once, and show what it said."""
        self.kill()
        for line in self.said.splitlines():
            print(f'{self.name}: {line}')
