# SPDX-License-Identifier: ZPL-2.1
"""zeo:HOST:PORT or zeo:/PATH/OF/SOCKET, a ZEO server; options follow a question mark.

storage=1           the name of the storage on the server
wait_timeout=10     seconds to wait for the server, at the start and whenever it has gone away
ssl=1               TLS, with a server whose certificate the system trusts; or ssl=FILE or FOLDER of
                    those to trust
cert=FILE           the certificate that the server knows us by
key=FILE            its key, unless it is in the same file
hostname=NAME       the name in the server's certificate, unless it is HOST
cache_size=64MB     of the client's cache
client_label=NAME   what the server calls us in its log
blob_dir=FOLDER     for blobs; with shared_blob_dir=1 the server's own, else a cache, of about
                    blob_cache_size=1GB

All that ZEO can do besides, such as several servers or a cache that outlives the process, zconfig:
can express.
"""
from __future__ import annotations

import os
import socket
import ssl
from dataclasses import dataclass, field
from typing import Any

import ZODB
from ZEO.cache import ClientCache
from ZEO.ClientStorage import ClientStorage
from ZEO.Exceptions import ClientDisconnected
from ZODB.POSException import ConflictError

from p01.remote.exceptions import AddressError
from p01.remote.ground.upstream import over
from p01.remote.storage import query
from p01.remote.storage.address import Address, pathOf
from p01.remote.storage.insides import cacheOf, forgetIds, proveZeo

proveZeo(ClientStorage, ClientCache)

ZEOWAIT = 10.0         # seconds
ZEOTRIES = 10
PROBE = 2.0         # seconds to find out why no connection came about


@dataclass(frozen=True)
class Server:
    """Where a server is, and how to talk to it."""

    where: str | tuple[str, int]
    storage: str = '1'
    wait: float = ZEOWAIT
    context: ssl.SSLContext | None = None
    hostname: str | None = None
    client: dict[str, Any] = field(default_factory=dict)        # what ClientStorage is told besides


def openDatabase(address: Address, **settings: Any) -> ZODB.DB:
    """The database of a server. Raises AddressError."""
    server = serverOf(address)
    for tried in range(ZEOTRIES):
        try:
            return _open(server, address.text, settings)
        except ConflictError:       # another first user has just made the root object
            if tried == ZEOTRIES - 1:
                raise
        except ClientDisconnected as error:
            raise AddressError(f'{address.text} cannot be opened within {server.wait:g} seconds: '
                               f'{_reason(server)}.') from error
    raise AssertionError('unreachable')


def _open(server: Server, name: str, settings: dict[str, Any]) -> ZODB.DB:
    # Server sync: a transaction sees what was committed before it began, also when it was another
    # process that committed, and told us of it in another way. Without it a signal to look may come
    # before its reason.
    storage = Client(server.where, server.storage, name=name, wait_timeout=server.wait,
                     ssl=server.context,
                            ssl_server_hostname=server.hostname, server_sync=True, **server.client)
    lenient(cacheOf(storage))
    try:
        return ZODB.DB(storage, **settings)
    except BaseException:
        storage.close()
        raise


class Client(ClientStorage):
    """ZEO's, which forgets the ids that it has fetched ahead when the server goes away.

    A server that starts anew gives the ids that it gave before and has not seen used, to whoever
    asks first; two clients would then use the same ids for new objects.
    """

    @over(ClientStorage)
    def notify_disconnected(self) -> None:
        """See ZEO."""
        forgetIds(self)
        super().notify_disconnected()


def lenient(cache: ClientCache) -> None:
    """Let the server tell late of a transaction that was before one of ours.

    A server on uvloop, which ZEO takes wherever it is installed, answers our commit before it tells
    us of the ones before. ZEO takes notice of them, and then stumbles over their older id: an error
    in the log each time.
    """
    inner = cache.setLastTid

    def setLastTid(tid: bytes) -> None:
        if not len(cache) or tid >= cache.getLastTid():
            inner(tid)

    cache.setLastTid = setLastTid


def serverOf(address: Address) -> Server:
    """The server that an address names. Raises AddressError."""
    options, text = address.options, address.text
    where = _where(address.rest.partition('?')[0], text)
    try:
        wait = float(options.get('wait_timeout', ZEOWAIT))
    except ValueError:
        wait = -1.0
    if not 0 < wait < float('inf'):
        raise AddressError(f'{address.text} waits for no number of seconds; write for example '
                           'wait_timeout=10.')
    if 'wait' in options and not query.flag(options['wait'], 'wait', text):
        raise AddressError(f'{text} has wait=0, and a job queue is of no use without its server; '
                           'leave wait out.')
    return Server(where, options.get('storage', '1'), wait, _context(where, options, text),
                  options.get('hostname'),
                  _clientOf(options, text))


def _clientOf(options: dict[str, str], text: str) -> dict[str, Any]:
    """What ZEO's client is told besides. Raises AddressError."""
    found: dict[str, Any] = {name: options[name] for name in ('client_label', 'blob_dir')
                             if name in options}
    found.update((name, query.size(options[name], name, text))
                 for name in ('cache_size', 'blob_cache_size') if name in options)
    if 'shared_blob_dir' in options:
        found['shared_blob_dir'] = query.flag(options['shared_blob_dir'], 'shared_blob_dir', text)
    return found


def _where(rest: str, text: str) -> str | tuple[str, int]:
    """A path, or host and port."""
    plain = rest[2:] if rest.startswith('//') else rest
    if plain.startswith(('/', '.', '~')):
        return str(pathOf(rest, text, 'zeo:/var/run/zeo.sock'))
    host, colon, port = plain.rpartition(':')
    if host.startswith('[') and host.endswith(']'):     # as IPv6 is written beside a port
        host = host[1:-1]
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536 or '/' in host:
        raise AddressError(f'{text} names no server; write zeo:HOST:PORT or zeo:/PATH/OF/SOCKET, '
                           f'for example zeo:localhost:8100.')
    return host, int(port)


def _context(where: str | tuple[str, int], options: dict[str, str],
             text: str) -> ssl.SSLContext | None:
    """What TLS needs to know; None without TLS. Raises AddressError."""
    trust = options.get('ssl', '')
    if trust in ('', '0'):
        lost = [name for name in ('cert', 'key', 'hostname') if name in options]
        if lost:
            raise AddressError(f'{text} has {" and ".join(lost)}, which only TLS needs; add ssl=1, '
                               'or ssl=FILE with the certificates to trust.')
        return None
    if isinstance(where, str):
        raise AddressError(f'{text} asks for TLS on a socket, which ZEO cannot do; use HOST:PORT, '
                           'or leave ssl out.')
    try:
        context = ssl.create_default_context()
        if trust != '1':        # those alone
            folder = os.path.isdir(trust)
            context = ssl.create_default_context(cafile=None if folder else trust,
                                                 capath=trust if folder else None)
        if 'cert' in options:
            context.load_cert_chain(options['cert'], options.get('key'), password=_noPassword)
        return context
    except OSError as error:        # and ssl.SSLError, which is one
        raise AddressError(f'{text} names certificates that cannot be used ({error}); check the '
                           'files of ssl, cert and key, in PEM form and without a '
                           'password.') from error


def _noPassword() -> str:
    # without this, OpenSSL asks at the terminal
    return ''


def _reason(server: Server) -> str:
    """Why no connection came about, and what to do: ZEO itself only says that it has waited."""
    family = socket.AF_UNIX if isinstance(server.where, str) else socket.AF_UNSPEC
    try:
        if family == socket.AF_UNIX:
            probe = socket.socket(family)
            probe.settimeout(PROBE)
            probe.connect(server.where)
        else:
            probe = socket.create_connection(server.where, PROBE)   # type: ignore[arg-type]
        with probe:
            if server.context is not None:
                with server.context.wrap_socket(probe,
                                                server_hostname=server.hostname or server.where[0]):
                    pass
    except ssl.SSLError as error:
        return f'TLS fails ({error}); check ssl, cert, key and hostname'
    except OSError as error:
        return f'no server answers there ({error}); start it, or name another'
    return (f'a server answers there, but not for a storage named {server.storage!r}; check '
            'storage, and whether it wants TLS')
