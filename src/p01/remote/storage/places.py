# SPDX-License-Identifier: ZPL-2.1
"""Where things are in a database: a path of names to an object, and the paths of all objects of a
kind."""
from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from BTrees.Interfaces import IBTree
from persistent import Persistent
from ZODB.Connection import Connection
from ZODB.POSException import POSKeyError

from p01.remote.exceptions import ProcessorGone, RemoteError
from p01.remote.storage.insides import SITEMANAGER, stateOf

APPLICATION = 'Application'     # where Zope keeps its root folder
SITE = '++etc++site'            # the name of a site's manager, in paths
MOSTLOOKED = 2_000                    # objects that are looked at in search of others
WIDE = 200                      # objects of one container that are looked at

Path = tuple[str, ...]
Key = tuple[int, bytes | int]


def split(path: str) -> Path:
    """The names in a text such as /site/remote."""
    return tuple(name for name in path.split('/') if name)


def traverse(connection: Connection, path: Sequence[str]) -> Any:
    """The object at a path of names, from Zope's root folder if the path begins there, else from
    the database's root.

    Raises RemoteError when there is none.
    """
    root = connection.root()
    for start in (root.get(APPLICATION), root):
        found = start
        for name in path:
            found = step(found, name)
            if found is None:
                break
        if found is not None and path:
            return found
    raise RemoteError(f'There is no processor at {"/".join(path)!r}; commit it before a worker '
                      'looks for it.')


def pathOf(here: Any) -> Path:
    """The path of a stored object: by its own name and those of its parents if they lead to it, as
    in zope.container and, with its context, in OFS; else by a search; else what its class is
    called.
    """
    names: Path = ()
    up = here
    while up is not None and getattr(up, '__name__', None):
        names = (up.__name__, *names)
        up = getattr(up, '__parent__', None)
    if names and leads(here, names):
        return names
    found, _ = search(here._p_jar, lambda other: key(other) == key(here), 1)
    return found[0][0] if found else names or (type(here).__name__,)


def parentOf(here: Any) -> Any:
    """What holds an object: its own parent, or, for one that knows none, as an attribute in OFS,
    what its path leads through.

    Found once, for as long as the connection keeps the object; None for one that is not stored.
    """
    parent, jar = getattr(here, '__parent__', None), getattr(here, '_p_jar', None)
    if parent is None:              # an empty container is false
        parent = getattr(here, '_v_parent', None)
    if parent is None and jar is not None:
        path = pathOf(here)
        try:
            parent = traverse(jar, path[:-1])
        except RemoteError:
            parent = jar.root().get(APPLICATION, jar.root())
        here._v_parent = parent
    return parent


def leads(here: Any, path: Path) -> bool:
    """Whether a path leads to an object."""
    try:
        return key(traverse(here._p_jar, path)) == key(here)
    except (RemoteError, AttributeError):
        return False


def step(here: Any, name: str) -> Any:
    """What a container, or an attribute, has by a name; None without one."""
    try:
        return here[name]
    except (KeyError, TypeError, AttributeError):
        pass
    # its own, and nothing that is acquired
    held = vars(here) if isinstance(here, Persistent) else {}
    return held.get(SITEMANAGER if name == SITE else name)


def search(connection: Connection, wanted: Callable[[Any], bool],
           most: int = MOSTLOOKED) -> tuple[list[tuple[Path, Any]], bool]:
    """The objects that are wanted, each with its path, at most so many, those nearest to the root
    first; whether all were looked at. Nothing within these is looked at, and no more than some
    thousand objects in all.
    """
    queue: deque[tuple[Path, Any]] = deque([((), connection.root())])
    seen: set[Key] = set()
    found: list[tuple[Path, Any]] = []
    whole = True
    while queue and len(seen) < MOSTLOOKED and len(found) < most:
        path, here = queue.popleft()
        if not isinstance(here, Persistent) or key(here) in seen:
            continue
        seen.add(key(here))
        if wanted(here):
            found.append((path or (APPLICATION,), here))        # that is a processor itself
            continue
        held = within(here)
        whole = whole and len(held) <= WIDE
        for name, there in held[:WIDE]:
            queue.append((() if not path and name == APPLICATION else (*path, name), there))
    return found, whole and not queue


def key(here: Any) -> Key:
    """What tells an object from others of the same databases, stored or not."""
    return (0, id(here)) if here._p_oid is None else (id(here._p_jar), here._p_oid)


def within(here: Any) -> list[tuple[str, Any]]:
    """What an object holds by name, as a container or as attributes; one more than WIDE where there
    are more."""
    try:
        if IBTree.providedBy(here) or isinstance(here, Mapping):
            return named(here)
        here._p_activate()
        held = stateOf(here)
        found = []
        for name, there in held.items():
            if name == SITEMANAGER:
                found.append((SITE, there))
            elif name.startswith('_') or name == 'data':
                found += named(there) if IBTree.providedBy(there) or isinstance(there,
                                                                                Mapping) else []
            else:
                found.append((name, there))
        return found
    except Exception:       # loading runs foreign code
        return []


def named(mapping: Any) -> list[tuple[str, Any]]:
    """The items of a mapping whose keys are texts."""
    return [(name, there) for name, there in islice(mapping.items(), WIDE + 1)
            if isinstance(name, str)]


class Follower:
    """Finds a processor by its path, and wherever it goes later by its oid."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # its database, one of several perhaps, and its oid
        self.known: tuple[str, bytes] | None = None
        self.found = False                              # whether it was ever found

    def locate(self, connection: Connection) -> Any:
        """The processor in a connection, with its context where the path still leads to it.

        Raises RemoteError when there is none yet, ProcessorGone when there was one.
        """
        try:
            here = traverse(connection, self.path)
        except RemoteError:
            if self.known is None:
                raise
            here = None
        if here is None or self.known not in (None, identity(here)):
            here = self.follow(connection, *self.known)         # type: ignore[misc]
        self.known, self.found = identity(here), True
        return here

    def follow(self, connection: Connection, database: str, oid: bytes) -> Any:
        """The processor at the place where it is now, or without one where nobody can say."""
        there, whole = search(connection, lambda here: identity(here) == (database, oid), 1)
        if there:
            self.path, here = there[0]
            return here
        try:
            here = connection.get_connection(database).get(oid)
        except POSKeyError:
            here = None
        if here is None or self.found and whole:
            name = '/'.join(self.path)
            if self.found:
                raise ProcessorGone(f'The processor {name!r} is no longer there; it was deleted.')
            raise RemoteError(f'There is no processor at {name!r}; commit it before a worker looks '
                              'for it.')
        return here


def identity(here: Any) -> tuple[str, bytes] | None:
    """What tells a stored object from all others, in every connection; None for one that is not
    stored, or none at all."""
    jar = getattr(here, '_p_jar', None)
    return None if jar is None else (jar.db().database_name, here._p_oid)
