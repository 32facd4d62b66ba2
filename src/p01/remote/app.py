# SPDX-License-Identifier: ZPL-2.1
"""The front: App, @app.job, handles. Everything here ends in the component's processJob and getJob."""
from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, Unpack, cast, overload

from transaction.interfaces import TransientError
from ZODB.Connection import Connection
from ZODB.DB import DB
from ZODB.interfaces import IDatabase

from p01.remote import block, checks, fork, scope, storage
from p01.remote.engine import beacon
from p01.remote.engine.loop import Loop
from p01.remote.exceptions import InputError, RegistrationError, RemoteError
from p01.remote.function import JobChoice, JobFunction, Output, P
from p01.remote.handle import Handle
from p01.remote.home import Home
from p01.remote.job import FunctionJob
from p01.remote.options import CONFLICTS, DEFAULTQUEUE, Policy, Span, WorkerOptions
from p01.remote.processor import RemoteProcessor
from p01.remote.registration import decorated, pathOf
from p01.remote.storage import databases
from p01.remote.storage.transactions import begun, opened, pause, systematic
from p01.remote.store.migrate import migrate

BACKOFF = 1.0           # seconds; the default of @app.job
TRIES = 10              # of app.run
SOLITARY = {'memory': 'memory: lives in the process that opened it; use sqlite: for several processes',
            'file': 'a FileStorage serves a single process; open it after the fork, or use sqlite: or zeo:'}
OPENING = ('This thread is opening the database just now; what comes between, as a signal handler, '
           'cannot use it yet.')

Result = TypeVar('Result')


class App:
    """An application's job queue in a database: an address, or an open ZODB.DB.

    The database is opened, and the processor added to it, on first use; the path in an address is
    that of now, wherever the process goes later. name is the processor's name in the root.
    processor is the path of one that is there already, as in Zope: /Plone/remote; an address may
    name it as well, after a #. A database that has other processors gets none without a name.
    autocommit=False has each enqueue join the thread's transaction when there is no other, instead
    of being one of its own. settings are ZODB.DB's own: pool_size, cache_size … Raises
    AddressError, InputError.
    """

    # whether a processor may be added, or brought forward; the command says no where it only looks
    adds = True

    def __init__(self, database: str | DB = 'sqlite:./jobs', *, name: str | None = None, processor: str = '',
                 autocommit: bool = True, **settings: Any) -> None:
        storage.check(settings, 'App')
        self.settings = settings
        self.jobs: dict[str, JobFunction[..., Any]] = {}
        self._db: DB | None = None
        self._lock, self._opening = threading.RLock(), False
        # where a connection keeps the processor, so that both go together
        self._near = f'p01.remote.near.{id(self)}'
        self._refused = ''              # why a forked child cannot have it
        self.database = database
        path = self._address.processor if self._address else ''
        self.home = Home(None if name is None else checks.nameOf(name, 'name'),
                         checks.nameOf(processor, 'processor') if processor != '' else path)
        self.name = self.home.name
        self.autocommit = checks.flagOf(autocommit, 'autocommit')
        _apps.add(self)
        if self._address is None:
            # now, since a transaction that has begun before would not see the queue
            self.open()

    @property
    def database(self) -> str | DB:
        """The address, or the database that was given open; setting another one closes this one."""
        return self._database

    @database.setter
    def database(self, database: str | DB) -> None:
        self.close()
        # a bad address is told here, and a path is that of now
        self._address = None if IDatabase.providedBy(database) else storage.parse(database)
        self._database = database

    @property
    def db(self) -> DB:
        """The open database."""
        return self._db if self._db is not None else self.open()

    def open(self) -> DB:
        """Open the database, unless it is open.

        Raises AddressError, NewerDatabase, NoProcessor, OldProcessor, and RemoteError in some
        forked children.
        """
        with self._lock:
            if self._db is None:
                if self._refused or self._opening:
                    raise RemoteError(self._refused or OPENING)
                self._opening, db = True, None
                try:
                    db = databases.take(self._database) if self._address is None \
                        else databases.borrow(self._address, **self.settings)
                    home, oid = systematic(db, self._install)
                    if self.adds:
                        migrate(home, oid)
                    self._db = db
                finally:
                    self._opening = False
                    if db is not None and self._db is None:
                        self._return(db)
            return self._db

    def _return(self, db: DB) -> None:
        if self._address is not None and databases.giveBack(self._address, db):
            db.close()              # behind the workers of this process, see engine.closing
            beacon.forget(db)

    def _forked(self) -> None:
        """This is a child now: it opens the database for itself, or cannot have it."""
        self._lock, self._opening = threading.RLock(), False
        db, self._db = self._db, None
        if db is None:
            return
        fork.leave(db)
        if self._address is None:
            self._refused = ('The ZODB.DB of this App was opened before the process was forked, '
                             'and belongs to the parent; make the App in the child, or give it an '
                             'address, which each process opens for itself.')
        elif storage.kind(db) in SOLITARY:
            self._refused = (f'{self._address.text} was opened before the process was forked: '
                             f'{SOLITARY[storage.kind(db)]}.')

    def _install(self, connection: Connection) -> tuple[DB, bytes]:
        return self.home.install(connection, self.place, self.adds)

    @property
    def place(self) -> str:
        """Where the database is, safe to print."""
        return self._address.text if self._address is not None else repr(self.database)

    def locate(self, connection: Connection) -> RemoteProcessor:
        """The processor in a connection. Raises RemoteError."""
        return self.home.locate(connection)

    # -- transactions

    @contextmanager
    def transaction(self, *, independent: bool = False) -> Iterator[Any]:
        """A transaction; gives the root of the database. Commits at the end, or aborts on an
        exception, which it passes on.

        Within a job, another app.transaction() or app.within() of the same database it is a part of
        that one: an exception takes the part back, all else is the outer one's. independent says
        that it is one of its own, even there.
        """
        outer = None if independent else scope.inside(self.db)
        with block.own(self.db) if outer is None else block.part(outer) as connection:
            yield connection.root()

    @contextmanager
    def within(self, what: Any) -> Iterator[Any]:
        """Have what is called within join the transaction of an open connection of ZODB, or of a
        transaction manager; gives the root of the database. For those whose manager is not the
        thread's, such as request.tm. Raises TransactionOver."""
        with block.within(self.db, what) as connection:
            yield connection.root()

    def run(self, function: Callable[[Any], Result], *, tries: int = TRIES) -> Result:
        """Call function(root) in a transaction, all of it again after a conflict, with growing
        pauses; returns what it returns.

        Raises the last conflict after so many tries. Within another transaction of this database it
        runs once: only all of that one can be repeated.
        """
        alone = scope.inside(self.db) is None
        for tried in range(tries):
            try:
                with self.transaction() as root:
                    return function(root)
            except TransientError:
                if not alone or tried == tries - 1:
                    raise
                pause(tried)
        raise AssertionError('unreachable')

    def around(self) -> Connection | None:
        """The connection of the transaction around the caller; None when there is none, and an
        enqueue is one of its own."""
        return scope.around(self.db) if self.autocommit else scope.always(self.db)

    def near(self, connection: Connection) -> RemoteProcessor:
        """The processor in a connection, looked up once a transaction. Raises RemoteError."""
        kept, current = vars(connection).get(self._near), begun(connection.transaction_manager)
        if kept is None or kept[0]() is not current or current is None:
            current = weakref.ref(connection.transaction_manager.get())
            kept = vars(connection)[self._near] = current, self.locate(connection)
        processor: RemoteProcessor = kept[1]
        return processor

    def connection(self) -> Connection:
        """The connection of the current transaction: of app.transaction(), of the running job, or
        of the thread, whose transaction this begins if need be."""
        return scope.always(self.db)

    @property
    def processor(self) -> RemoteProcessor:
        """The processor, in the current transaction; what is changed there is committed with it."""
        return self.locate(self.connection())

    @contextmanager
    def reading(self) -> Iterator[RemoteProcessor]:
        """The processor as of now, in a short transaction that is aborted."""
        with opened(self.db) as connection:
            yield self.locate(connection)

    # -- jobs

    @overload
    def job(self, function: Callable[P, Output], /) -> JobFunction[P, Output]: ...

    @overload
    def job(self, /, **options: Unpack[JobChoice]) -> Callable[[Callable[P, Output]], JobFunction[P, Output]]: ...

    def job(self, function: Any = None, /, *, name: str | None = None, queue: str = DEFAULTQUEUE,
            priority: int = 0, retries: int = 3, backoff: Span = BACKOFF, timeout: Span | None = None,
            final: tuple[type[BaseException], ...] = (), conflicts: int = CONFLICTS,
            deaths: int | None = None, detached: bool = False, together: bool = False,
            **unknown: Any) -> Any:
        """Make a function a job, as @app.job or @app.job(queue='mail', retries=5, timeout=30); see
        options.Policy, and IJob for detached and together.

        The function stays callable. Raises RegistrationError for what cannot be a job, InputError
        for options.
        """
        checks.known(unknown, tuple(JobChoice.__annotations__), '@app.job')
        queue, priority = checks.nameOf(queue, 'queue'), checks.priorityOf(priority)
        if checks.flagOf(detached, 'detached') & checks.flagOf(together, 'together'):
            raise InputError('A detached job has no transaction that it could share; give detached '
                             'or together, not both.')
        name = None if name is None else checks.nameOf(name, 'name')
        policy = Policy(retries=retries, backoff=backoff, timeout=timeout, final=final, conflicts=conflicts,
                        deaths=deaths)

        def register(function: Callable[P, Output]) -> JobFunction[P, Output]:
            function = cast(Callable[P, Output], decorated(function))
            path = pathOf(function)
            prototype = FunctionJob(path)
            prototype.policy, prototype.queue = policy, queue
            prototype.detached, prototype.together = detached, together
            made = JobFunction(self, name or path, function, prototype, {'priority': priority})
            known = self.jobs.get(made.name)
            if known is not None and known.prototype.path != path:
                raise RegistrationError(f'{known.prototype.path} is registered as {made.name!r} already; '
                                        f'give {path} another name.')
            self.jobs[made.name] = made
            return made

        return register if function is None else register(function)

    def handle(self, jobid: int) -> Handle[Any]:
        """A handle of a job that was enqueued anywhere, at any time."""
        return Handle(self, jobid)

    def drain(self) -> int:
        """Run everything that is due, here and now, in transactions of its own; returns how many
        runs there were."""
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
        raise InputError('An App belongs to its process and cannot be passed on; '
                         'import it where it is needed')


_apps: weakref.WeakSet[App] = weakref.WeakSet()


def _forked() -> None:
    for app in list(_apps):
        app._forked()


os.register_at_fork(after_in_child=_forked)
