# SPDX-License-Identifier: ZPL-2.1
"""Inputs and outputs, each packed for itself, so that one that cannot be loaded never takes others
with it."""
from __future__ import annotations

import io
import pickle
from pickle import UnpicklingError
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType
from typing import Any

from persistent import Persistent
from transaction.interfaces import TransientError
from ZODB.blob import Blob
from ZODB.broken import Broken
from ZODB.Connection import Connection
from ZODB.interfaces import IBlobStorage

from p01.remote.exceptions import InputError, OutputError, RemoteError
from p01.remote.front.registration import MAIN
from p01.remote.ground.door import Closed
from p01.remote.ground.foreign import guarded, interrupts, reasonOf

# bytes; beyond, a payload gets an object of its own, so that segments stay small
INLINE = 1024
LIMIT = 1 << 20     # bytes; the default of options.inputLimit
_PLAIN = (int, str, float, bool, type(None), bytes)
UNRUN: dict[type, str] = {      # what a function returns that has not run at all
    CoroutineType: 'a coroutine, so that nothing has run; make the async def itself the job, '
                   'without a decorator in between that hides it',
    GeneratorType: 'a generator, so that nothing has run; return a list of what it yields',
    AsyncGeneratorType: 'an asynchronous generator, so that nothing has run; return a list of what '
                        'it yields'}


class Payload(Closed, Persistent):
    """A value in an object of its own: it is big, or it refers to the application's persistent
    objects."""

    def __init__(self, value: Any, packed: bool) -> None:
        self.value = value
        self.packed = packed


class _Pickler(pickle.Pickler):
    """Notices persistent objects, which must be stored as references and not as copies."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.objects: list[Any] = []

    def persistent_id(self, obj: Any) -> Any:
        # what ZODB loads in place of an object whose class is gone; it must reach no job
        if isinstance(obj, Broken):
            raise UnpicklingError(f'the class {type(obj).__module__}.{type(obj).__name__} cannot '
                                  'be imported')
        if isinstance(obj, Persistent) and not isinstance(obj, type):
            self.objects.append(obj)
            return len(self.objects) - 1
        return None


class _Unpickler(pickle.Unpickler):
    objects: list[Any]

    def persistent_load(self, pid: Any) -> Any:
        return self.objects[pid]


class _Finder(pickle.Pickler):
    """Notes what is pickled by its name in a module that no other process can import."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), 4)
        self.found: list[str] = []

    def persistent_id(self, obj: Any) -> Any:
        return 0 if isinstance(obj, Persistent) and not isinstance(obj, type) else None

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, type | FunctionType) and obj.__module__ in MAIN:
            self.found.append(obj.__qualname__)
        return NotImplemented


def pack(value: Any, what: str, limit: int = LIMIT, verb: str = 'pass', option: str = 'inputLimit',
         jar: Connection | None = None) -> Any:
    """What to keep for a value as it is now: None, its pickle, or a Payload.

    It may refer to persistent objects of the connection that it will be stored by, the jar, and to
    new ones.

    Raises InputError, naming what, when the value cannot be pickled, refers to the script that
    runs, has a blob that the database of the jar has no place for, or exceeds the limit in bytes,
    which is the processor's option.
    """
    if value is None:
        return None
    found = False
    try:
        if type(value) in _PLAIN:
            data = pickle.dumps(value, 4)
        else:
            stream = io.BytesIO()
            pickler = _Pickler(stream, 4)
            pickler.dump(value)
            data, found = stream.getvalue(), bool(pickler.objects)
            if b'_main__' in data:
                refuseMain(value, what, verb)
            if found:
                refuseBlobs(pickler.objects, what, verb, jar)
    except TransientError:      # an object had to be loaded for it
        raise
    except InputError as error:     # of ours: a handle, say
        raise InputError(f'{what} cannot be pickled: {str(error).rstrip(".")}.') from error
    except BaseException as error:  # a pickle calls foreign code, which may raise anything
        if interrupts(error):
            raise
        raise InputError(f'{what} cannot be pickled ({reasonOf(error)}); {verb} plain values, or '
                         'ids to look the objects up by.') from error
    if len(data) > limit:
        raise InputError(f'{what} takes {len(data):,} bytes, more than the limit of {limit:,}; '
                         f'keep it in the database or a file and {verb} its id, or raise {option} '
                         'of the processor.')
    if found:
        refuseStrangers(pickler.objects, what, verb, jar)
        # a copy: what is changed before the commit is not meant
        return Payload(_loaded(pickler, stream), False)
    return data if len(data) <= INLINE else Payload(data, True)


def refuseMain(value: Any, what: str, verb: str) -> None:
    """Raises InputError when workers could not load a value, since it is of a class of the script
    that runs."""
    finder = _Finder()
    finder.dump(value)
    if finder.found:
        raise InputError(f"{finder.found[0]} is defined in the script that is running, '__main__', "
                         "which workers cannot "
                         f'import; move it to a module of its own, or {verb} plain values.')


def refuseBlobs(objects: list[Any], what: str, verb: str, jar: Connection | None) -> None:
    """Raises InputError for a blob that the database has no place for: its commit would fail, with
    all that is in it."""
    if jar is not None and any(isinstance(obj, Blob) for obj in objects) \
            and not IBlobStorage.providedBy(jar.db().storage):
        raise InputError('it has a blob, and this database has no folder for blobs; keep the data '
                         f'in a file and {verb} its path, or name one in its address '
                         '(blobstorage_dir).')


def packOutput(output: Any, what: str, limit: int = LIMIT, jar: Connection | None = None) -> Any:
    """What to keep for what a job returned. Raises OutputError, naming what: the next run would
    return the same."""
    if isinstance(output, tuple(UNRUN)):
        unrun = UNRUN[type(output)]
        guarded(getattr(output, 'close', bool))     # else Python warns that nobody waited for it
        raise OutputError(f'{what} is {unrun}.')
    try:
        return pack(output, what, limit, 'return', 'outputLimit', jar)
    except InputError as error:
        raise OutputError(str(error)) from error.__cause__


def unpack(kept: Any) -> Any:
    """The value that pack was given. Raises the Exception that its loading raises, RemoteError for
    what is none."""
    if kept is None:
        return None
    try:
        if isinstance(kept, Payload):
            return pickle.loads(kept.value) if kept.packed else _copied(kept.value)
        return pickle.loads(kept)
    except Exception:
        raise
    except BaseException as error:
        # SystemExit …: the code of a value must not end who looks at it
        if interrupts(error):
            raise
        raise RemoteError(f'A stored value cannot be loaded ({reasonOf(error)}).') from error


def portable(kept: Any, what: str) -> object:
    """What was kept, as something that any thread may unpack, while its connection does what it
    likes.

    Raises InputError, naming what, for a value that refers to persistent objects, and what its
    loading raises.
    """
    if not isinstance(kept, Payload):
        return kept
    value: object = kept.value
    packed = kept.packed
    if not packed:
        raise InputError(f'{what} refers to persistent objects, which belong to one transaction, '
                         'and an async def awaits without any; pass ids, and look them up in async '
                         'with app.transaction().')
    kept._p_deactivate()        # once is enough in memory
    return value


def _copied(value: Any) -> Any:
    """A copy that refers to the same persistent objects: what a run does to its input must not
    reach the next run."""
    stream = io.BytesIO()
    pickler = _Pickler(stream, 4)
    pickler.dump(value)
    return _loaded(pickler, stream)


def refuseStrangers(objects: list[Any], what: str, verb: str, jar: Connection | None) -> None:
    """Raises InputError for objects that the connection cannot refer to: they are of another one,
    open or closed."""
    for obj in objects:
        other = obj._p_jar
        if jar is not None and other is not None \
                and jar.connections.get(other.db().database_name) is not other:
            raise InputError(f'{what} refers to a {type(obj).__module__}.{type(obj).__name__} of '
                             f'another connection, which this one cannot store; {verb} its id or '
                             'path, or stay in the transaction that it is of.')


def _loaded(pickler: _Pickler, stream: io.BytesIO) -> Any:
    """What was pickled, with the same persistent objects."""
    stream.seek(0)
    unpickler = _Unpickler(stream)
    unpickler.objects = pickler.objects
    return unpickler.load()
