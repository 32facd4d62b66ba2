# SPDX-License-Identifier: ZPL-2.1
"""The door: what Zope finds in our persistent classes, which need no Zope for it.

Its publisher and its security look for names such as __roles__, zope.annotation for
__annotations__, OFS for __name__ and __parent__; all of them look at an object and see the
attributes of its class as well.
"""
from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from p01.remote.exceptions import OldProcessor

if TYPE_CHECKING:
    from persistent import Persistent

NOBODY: tuple[str, ...] = ()            # roles that may: none, not even Manager
SHUT = {'__roles__': NOBODY, '__zpublishable__': False,
        '__allow_access_to_unprotected_subobjects__': 0}
PACKAGE = 'p01.remote.'
OLDATTRIBUTE = '_processor'                      # what a processor of 0.5 has and ours have not


class Hints(dict[str, Any]):
    """The type hints of a class body; found in the class alone, since an object's __annotations__
    are its own."""

    def __get__(self, instance: Any, owner: type) -> Hints:
        if instance is not None:
            raise AttributeError('__annotations__')
        return self


class Other:
    """A class attribute that gives way to what another class among the bases has under its name;
    None without one.

    OFS's items have a __name__ that tells their id, wherever they stand among the bases.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.owner = owner
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        return None if instance is None else getattr(super(self.owner, instance), self.name, None)


class Closed:
    """Instances cannot be reached by URL, XML-RPC or WebDAV, nor by restricted code, whoever asks.

    This holds for subclasses, too, and what else they inherit from. One that declares
    __zpublishable__ and __roles__ for itself, as by ClassSecurityInfo, opens itself and what it
    declares; our own methods and attributes stay closed one by one.
    """

    __slots__ = ()

    __roles__ = NOBODY
    __zpublishable__: Any = False
    __allow_access_to_unprotected_subobjects__: Any = 0

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, value in SHUT.items():
            first = next(base for base in cls.__mro__ if name in vars(base))
            if not issubclass(first, Closed):       # such as SimpleItem, which is open
                setattr(cls, name, value)
        if cls.__module__.startswith(PACKAGE):
            for name in [name for name in vars(cls) if not name.startswith('_')]:
                setattr(cls, f'{name}__roles__', NOBODY)
        # Before Python 3.14 whoever asks a class puts them there; since then only those of `from
        # __future__` can be seen.
        if sys.version_info < (3, 14) or '__annotations__' in vars(cls):
            cls.__annotations__ = Hints(vars(cls).get('__annotations__', {}))

    def __before_publishing_traverse__(self, here: Any, request: Any) -> None:
        """Zope's publisher has come here, perhaps through a namespace, which asks nobody. Raises
        its NotFound."""
        if not self.__zpublishable__:
            raise import_module('zExceptions').NotFound(request['URL'])


class Placed(Closed):
    """Has a place, see ILocation: zope.container and we set it, OFS's items know it."""

    __slots__ = ()

    __parent__: Any = Other()
    __name__: Any = Other()


def isOld(processor: Persistent) -> bool:
    """Whether a processor was stored by 0.5."""
    processor._p_activate()
    return OLDATTRIBUTE in vars(processor)


Made = TypeVar('Made')


class Part(Generic[Made]):
    """A part of a processor, which stands in its own dict as a rule.

    Where the __init__ of another base has not called ours, as that of OFS's Folder, it is made on
    first use; an acquiring processor would else find the part of another one above it. Raises
    OldProcessor.
    """

    def __init__(self, make: Callable[[Any], Made]) -> None:
        self.make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, processor: None, owner: type) -> Part[Made]: ...

    @overload
    def __get__(self, processor: Persistent, owner: type) -> Made: ...

    def __get__(self, processor: Persistent | None, owner: type) -> Part[Made] | Made:
        if processor is None:
            return self
        if isOld(processor):
            raise OldProcessor
        part = self.make(processor)
        setattr(processor, self.name, part)
        return part
