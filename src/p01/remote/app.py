# SPDX-License-Identifier: ZPL-2.1
"""The front: App, @app.job, handles. Everything here ends in the component's processJob and getJob."""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import transaction
from ZODB.Connection import Connection
from ZODB.DB import DB

from p01.remote import checks, foreign, imports, logs, storage  # noqa: F401 - logs subscribes itself
from p01.remote.engine import beacon
from p01.remote.engine.context import running
from p01.remote.engine.loop import Loop
from p01.remote.exceptions import AddressError, InputError, RegistrationError, RemoteError
from p01.remote.function import JobFunction
from p01.remote.handle import Handle
from p01.remote.home import Home
from p01.remote.job import FunctionJob
from p01.remote.options import CONFLICTS, DEFAULTQUEUE, Policy, Span, WorkerOptions
from p01.remote.processor import RemoteProcessor
from p01.remote.registration import decorated, pathOf
from p01.remote.storage.transactions import systematic
from p01.remote.store.migrate import migrate

BACKOFF = 1.0           # seconds; the default of @app.job
JOBOPTIONS = ('name', 'queue', 'priority', 'retries', 'backoff', 'timeout', 'final', 'conflicts', 'detached')


_shared: tuple[dict[str, tuple[DB, int]], Any] = {}, threading.Lock()      # address → database, Apps that have it open


class App:
    """An application's job queue in a database: an address, or an open ZODB.DB.

    The database is opened, and the processor added to it, on first use; name is its name in the root. processor is the path of
    one that is there already, as in Zope: /Plone/remote; an address may name it as well, after a #. A database that has other
    processors gets none without a name. settings are ZODB.DB's own: pool_size, cache_size … Raises AddressError, InputError.
    """

    adds = True         # whether a processor may be added, or brought forward; the command says no where it only looks

    def __init__(self, database: str | DB = 'sqlite:./jobs', *, name: str | None = None, processor: str = '',
                 **settings: Any) -> None:
        storage.check(settings, 'App')
        self.database = database
        address = storage.parse(database) if isinstance(database, str) else None    # a bad one is told here
        self.home = Home(None if name is None else checks.nameOf(name, 'name'),
                         checks.nameOf(processor, 'processor') if processor else address.processor if address else '')
        self.name = self.home.name
        self.settings = settings
        self.jobs: dict[str, JobFunction] = {}
        self._db: DB | None = None
        self._lock = threading.RLock()
        self._active: ContextVar[Connection | None] = ContextVar('active', default=None)
        if address is None:
            self.open()                 # now, since a transaction that has begun before would not see the queue

    @property
    def db(self) -> DB:
        """The open database."""
        return self._db if self._db is not None else self.open()

    def open(self) -> DB:
        """Open the database, unless it is open. Raises AddressError, NewerDatabase, NoProcessor, OldProcessor."""
        with self._lock:
            if self._db is None:
                db = self._borrow()
                try:
                    home, oid = systematic(db, self._install)
                    if self.adds:
                        migrate(home, oid)
                except BaseException:
                    self._return(db)
                    raise
                self._db = db
            return self._db

    def _borrow(self) -> DB:
        # One DB for all Apps of a process with the same address: a job may enqueue through the App of its own module, while
        # its worker opened the address for itself; two DBs in one transaction would wait for each other's locks.
        key = self._key()
        with _shared[1]:
            db, count = _shared[0].get(key, (None, 0)) if key else (None, 0)
            if db is None:
                db = storage.openDatabase(self.database, **self.settings)
            if key:
                _shared[0][key] = db, count + 1
            return db

    def _return(self, db: DB) -> None:
        key = self._key()
        with _shared[1]:
            if key and _shared[0][key][1] > 1:
                _shared[0][key] = db, _shared[0][key][1] - 1
                return
            _shared[0].pop(key, None)
        if db is not self.database:
            beacon.forget(db)
            db.close()

    def _key(self) -> str:
        if not isinstance(self.database, str):
            return ''
        address = storage.parse(self.database)
        return '' if address.text == 'memory:' else f'{address.kind}:{address.path or address.rest}'

    def _install(self, connection: Connection) -> tuple[DB, bytes]:
        return self.home.install(connection, self.place, self.adds)

    @property
    def place(self) -> str:
        """Where the database is, safe to print."""
        return storage.parse(self.database).text if isinstance(self.database, str) else repr(self.database)

    def locate(self, connection: Connection) -> RemoteProcessor:
        """The processor in a connection. Raises RemoteError."""
        return self.home.locate(connection)

    # -- transactions

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """A transaction of its own; gives the root of the database. Commits, or aborts on an exception."""
        manager = transaction.TransactionManager(explicit=True)
        connection = self.db.open(manager)
        token = self._active.set(connection)
        try:
            with manager:
                yield connection.root()
        finally:
            self._active.reset(token)
            connection.close()

    def connection(self) -> Connection:
        """The connection of the current transaction: of app.transaction(), of the running job, or of the thread."""
        active = self._active.get()
        if active is not None:
            return active
        db = self.db
        job = running.get()
        if job is not None and job.processor is None:
            raise RemoteError('A detached job has no transaction; write `with app.transaction():` around what enqueues.')
        if job is not None and job.processor._p_jar is not None \
                and job.processor._p_jar.db() is db:
            return job.processor._p_jar
        manager = transaction.manager.manager
        for reference in manager._synchs.as_weakref_list():
            known = reference()
            if isinstance(known, Connection) and known.db() is db:
                return known
        manager.get()
        connection = db.open(manager)
        _Closer(manager, connection)
        return connection

    @property
    def processor(self) -> RemoteProcessor:
        """The processor, in the current transaction."""
        return self.locate(self.connection())

    @contextmanager
    def reading(self) -> Iterator[RemoteProcessor]:
        """The processor as of now, in a short transaction that is aborted."""
        manager = transaction.TransactionManager(explicit=True)
        connection = self.db.open(manager)
        try:
            manager.begin()
            yield self.locate(connection)
        finally:
            manager.abort()
            connection.close()

    # -- jobs

    def job(self, function: Any = None, /, *, name: str | None = None, queue: str = DEFAULTQUEUE, priority: int = 0,
            retries: int = 3, backoff: Span = BACKOFF, timeout: Span | None = None,
            final: tuple[type[BaseException], ...] = (), conflicts: int = CONFLICTS, detached: bool = False,
            **unknown: Any) -> Any:
        """Make a function a job, as @app.job or @app.job(queue='mail', retries=5, timeout=30); see options.Policy.

        The function stays callable. Raises RegistrationError for what cannot be a job, InputError for options.
        """
        checks.known(unknown, JOBOPTIONS, '@app.job')
        checks.nameOf(queue, 'queue')
        checks.priorityOf(priority)
        checks.flagOf(detached, 'detached')
        if name is not None:
            checks.nameOf(name, 'name')
        policy = Policy(retries=retries, backoff=backoff, timeout=timeout, final=final, conflicts=conflicts)

        def register(function: Callable[..., Any]) -> JobFunction:
            function = decorated(function)
            path = pathOf(function)
            prototype = FunctionJob(path)
            prototype.policy, prototype.queue, prototype.detached = policy, queue, detached
            made = JobFunction(self, name or path, function, prototype, {'priority': priority})
            known = self.jobs.get(made.name)
            if known is not None and known.prototype.path != path:
                raise RegistrationError(f'{known.prototype.path} is registered as {made.name!r} already; give {path} '
                                        'another name.')
            self.jobs[made.name] = made
            return made

        return register if function is None else register(function)

    def handle(self, jobid: int) -> Handle:
        """A handle of a job that was enqueued anywhere, at any time."""
        return Handle(self, jobid)

    def drain(self) -> int:
        """Run everything that is due, here and now, in transactions of its own; returns how many runs there were."""
        loop = Loop(self.db, self.locate, 'drain', WorkerOptions(drain=True))
        try:
            loop.work()
            return loop.done
        finally:
            loop.close()

    def close(self) -> None:
        """Close the database, unless it was given open."""
        with self._lock:
            if self._db is not None:
                self._return(self._db)
            self._db = None

    def __reduce__(self) -> Any:
        raise InputError('An App belongs to its process and cannot be passed on; import it where it is needed')


def loadApp(target: str) -> App:
    """The App that 'module:attribute' names, imported with the current folder on the path; or an App of an address.

    Raises AddressError or RegistrationError with what to mend.
    """
    imports.reachable()     # for an address too: its jobs are imported by name
    text, _, path = target.partition('#')
    names = imports.split(text)
    if names is not None and names[0] not in storage.known():
        found: App = imports.found(*names, App)
        if path:
            found.close()
            found.home.move(path)
        return found
    try:
        return App(target)
    except AddressError as error:
        if storage.isAddress(target):
            raise
        form = imports.corrected(target)
        hint = f'; did you mean {form}?' if form else '.'
        raise AddressError(f'{foreign.shown(storage.hidden(target))} is of no kind known here: APP is module:attribute of an '
                           f'App, or an address such as sqlite:./jobs{hint}') from error


class _Closer:
    """Closes a connection when its transaction is over."""

    _kept: set[_Closer] = set()

    def __init__(self, manager: transaction.TransactionManager, connection: Connection) -> None:
        self.manager = manager
        self.connection = connection
        manager.registerSynch(self)
        self._kept.add(self)            # a manager keeps its synchronizers weakly

    def beforeCompletion(self, txn: Any) -> None:
        """Nothing to do."""

    newTransaction = beforeCompletion

    def afterCompletion(self, txn: Any) -> None:
        """The transaction is over."""
        self.manager.unregisterSynch(self)
        self._kept.discard(self)
        self.connection.close()
