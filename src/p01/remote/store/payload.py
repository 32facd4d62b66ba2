# SPDX-License-Identifier: ZPL-2.1
"""Inputs and outputs, each packed for itself, so that one that cannot be loaded never takes others with it."""
from __future__ import annotations

import io
import pickle
from pickle import UnpicklingError
from typing import Any

from persistent import Persistent
from ZODB.broken import Broken

from p01.remote.door import Closed
from p01.remote.exceptions import InputError

INLINE = 1024       # bytes; beyond, a payload gets an object of its own, so that segments stay small
LIMIT = 1 << 20     # bytes; the default of options.inputLimit
_PLAIN = (int, str, float, bool, type(None), bytes)


class Payload(Closed, Persistent):
    """A value in an object of its own: it is big, or it refers to the application's persistent objects."""

    def __init__(self, value: Any, packed: bool) -> None:
        self.value = value
        self.packed = packed


class _Pickler(pickle.Pickler):
    """Notices persistent objects, which must be stored as references and not as copies."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.objects: list[Any] = []

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, Broken):     # what ZODB loads in place of an object whose class is gone; it must reach no job
            raise UnpicklingError(f'the class {type(obj).__module__}.{type(obj).__name__} cannot be imported')
        if isinstance(obj, Persistent) and not isinstance(obj, type):
            self.objects.append(obj)
            return len(self.objects) - 1
        return None


class _Unpickler(pickle.Unpickler):
    objects: list[Any]

    def persistent_load(self, pid: Any) -> Any:
        return self.objects[pid]


def pack(value: Any, what: str, limit: int = LIMIT) -> Any:
    """What to keep for a value: None, its pickle, or a Payload.

    Raises InputError, naming what, when the value cannot be pickled or its pickle exceeds the limit in bytes.
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
    except Exception as error:  # a pickle calls foreign code, which may raise anything
        raise InputError(f'{what} cannot be pickled ({type(error).__name__}: {error}); pass plain values, '
                         f'or ids to look the objects up by.') from error
    if len(data) > limit:
        raise InputError(f'{what} takes {len(data):,} bytes, more than the limit of {limit:,}; keep it in the '
                         f'database or a file and pass its id, or raise inputLimit.')
    if found:
        return Payload(value, False)
    return data if len(data) <= INLINE else Payload(data, True)


def unpack(kept: Any) -> Any:
    """The value that pack was given. Raises whatever its loading raises."""
    if kept is None:
        return None
    if isinstance(kept, Payload):
        return pickle.loads(kept.value) if kept.packed else _copied(kept.value)
    return pickle.loads(kept)


def _copied(value: Any) -> Any:
    """A copy that refers to the same persistent objects: what a run does to its input must not reach the next run."""
    stream = io.BytesIO()
    pickler = _Pickler(stream, 4)
    pickler.dump(value)
    stream.seek(0)
    unpickler = _Unpickler(stream)
    unpickler.objects = pickler.objects
    return unpickler.load()
