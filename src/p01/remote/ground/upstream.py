# SPDX-License-Identifier: ZPL-2.1
"""The libraries below us: which versions were tested, and whether they are what we take them for.

Some of what we do needs more of them than they promise: their insides, all named in
storage.insides, and methods that we override, each marked as `over`. Both are looked at when they
are imported. A release that renames one would else unmend a mend without a word.
"""
from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any, NamedTuple, TypeVar

from p01.remote.exceptions import LibraryChanged

# As in pyproject.toml: the oldest version that was tested, and the first that cannot have been. Of
# those whose insides we use that is the next release, of the others the next big one.
RANGES = {
    'ZODB': ('6.0', '6.5'), 'transaction': ('4.0', '5.2'), 'persistent': ('6.0', '7'),
    'BTrees': ('6.0', '7'), 'ZConfig': ('4.0', '5'), 'zc.lockfile': ('3.0', '5'),
    'zope.interface': ('6.0', '9'), 'zope.location': ('5.0', '7'), 'zope.event': ('5.0', '7'),
    'cronsim': ('2.6', '3'), 'click': ('8.1', '9'), 'rich': ('13.7', '16'),
    'psycopg': ('3.2.1', '3.4'), 'ZEO': ('6.0', '6.3'),
    'prometheus-client': ('0.21', '0.27'),
}
OURPACKAGE = 'p01.remote'

logger = logging.getLogger(OURPACKAGE)
Method = TypeVar('Method')


class Inside(NamedTuple):
    """Something that a library has and does not promise."""

    owner: Any              # its class, or module
    name: str
    lost: str               # what would be without it, as the end of a sentence
    takes: int | None = None    # how many arguments it takes, with self, where it is a method


class Library(NamedTuple):
    """An installed library."""

    name: str
    version: str
    first: str              # the oldest that was tested
    below: str              # what comes after the newest

    @property
    def tested(self) -> bool:
        """Whether such a version was."""
        return numbers(self.first) <= numbers(self.version) < numbers(self.below)


def of(owner: Any, lost: str, **names: int | None) -> list[Inside]:
    """Names of one owner that are needed for one thing; with how many arguments, where they are
    methods."""
    return [Inside(owner, name, lost, takes) for name, takes in names.items()]


def prove(insides: Iterable[Inside]) -> None:
    """Raises LibraryChanged for the first that is not there, or takes other arguments."""
    for owner, name, lost, takes in insides:
        if not has(owner, name):
            raise changed(owner, f'has no {shown(owner, name)}', lost)
        found = None if takes is None else taken(getattr(owner, name))
        if found is not None and found != takes:
            raise changed(owner, f'has a {shown(owner, name)} of {found} arguments, not {takes}',
                          lost)


def has(owner: Any, name: str) -> bool:
    """Whether a class or module has a name, be it that __init__ gives it to objects of the
    class."""
    if hasattr(owner, name):
        return True
    makers = (vars(each).get('__init__') for each in getattr(owner, '__mro__', ()))
    return any(name in each.__code__.co_names for each in makers if isinstance(each, FunctionType))


def taken(method: Any) -> int | None:
    """How many arguments a method takes, with self; None for what is not written in Python."""
    code = getattr(method, '__code__', None)
    return None if code is None else int(code.co_argcount)


overridden: set[tuple[str, str]] = set()        # module, and class.method, of ours


def over(parent: type) -> Callable[[Method], Method]:
    """Marks a method in place of one that a library's class has, with as many arguments.

    Raises LibraryChanged where the library has no such method any more: ours would never be called.
    """
    def marked(method: Method) -> Method:
        ours: Any = method
        lost = f'{ours.__module__}.{ours.__qualname__} would never be called'
        prove([Inside(parent, ours.__name__, lost, taken(ours))])
        overridden.add((ours.__module__, ours.__qualname__))
        return method

    return marked


def changed(owner: Any, what: str, lost: str) -> LibraryChanged:
    """The error of a library that is not what we take it for."""
    module = owner.__module__ if isinstance(owner, type) else getattr(owner, '__name__', str(owner))
    name = '.'.join(module.split('.')[:2 if module.startswith(('zope.', 'zc.')) else 1])
    first, below = RANGES.get(name, ('', ''))
    mend = f'pip install "{name}>={first},<{below}"' if first \
        else 'p01.remote needs another version of it'
    return LibraryChanged(f'{name} {versionOf(name) or "(unknown)"} {what}, and p01.remote needs '
                          f'it as it was: else {lost}; install a version that was tested: {mend}.')


def shown(owner: Any, name: str) -> str:
    """Something of a library as people look for it."""
    if isinstance(owner, type):
        return f'{owner.__module__}.{owner.__qualname__}.{name}'
    return f'{owner.__name__}.{name}'


# -- versions

def libraries() -> list[Library]:
    """Those that are installed, in the order of the table."""
    found = [(name, versionOf(name), *bounds) for name, bounds in RANGES.items()]
    return [Library(name, number, first, below) for name, number, first, below in found if number]


def versionOf(name: str) -> str:
    """The version of an installed library, '' for none."""
    from importlib.metadata import PackageNotFoundError, version  # which takes a while
    try:
        return version(name)
    except PackageNotFoundError:
        return ''


def numbers(text: str) -> tuple[int, ...]:
    """A version to compare: 6.0.0 is 6, and what was before 6.5 counts as 6.5."""
    found = re.match(r'\d+(\.\d+)*', text)
    parts = [int(each) for each in found[0].split('.')] if found else []
    while parts and not parts[-1]:
        parts.pop()
    return tuple(parts)


def untested(found: Iterable[Library]) -> str:
    """What to say of versions that were not tested; '' when all were."""
    odd = [each for each in found if not each.tested]
    names = ', '.join(f'{each.name} {each.version} (tested: {each.first} to below {each.below})'
                      for each in odd)
    wanted = ' '.join(f'"{each.name}>={each.first},<{each.below}"' for each in odd)
    return f'p01.remote was not tested with {names}; pip install {wanted} brings what was.' \
        if odd else ''


def warn() -> None:
    """Log, once in a process, which libraries are of versions that were not tested."""
    if not _warned:
        _warned.append(True)
        text = untested(libraries())
        if text:
            logger.warning('%s', text)


_warned: list[bool] = []
