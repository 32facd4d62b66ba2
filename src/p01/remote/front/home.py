# SPDX-License-Identifier: ZPL-2.1
"""Where the processor of an App is: under the App's name in the root of its database, where it is
added, or at a path."""
from __future__ import annotations

from ZODB.Connection import Connection
from ZODB.DB import DB

from p01.remote.exceptions import NoProcessor, RemoteError
from p01.remote.ground.door import isOld
from p01.remote.processor import RemoteProcessor
from p01.remote.storage.places import Follower, search, split

PLACENAME = 'p01.remote'     # where an App keeps its processor, in the root of the database
PLACESNAMED = 5               # processors that a sentence names


class Home:
    """The place of a processor. One at a path is somebody's own: it is followed, never added."""

    def __init__(self, name: str | None, path: str) -> None:
        self.name = name or PLACENAME
        self.asked = name is not None       # so that it is added whatever others there are
        self.move(path)

    def move(self, path: str) -> None:
        """Have the processor at this path, '' for the one under the name."""
        self.follower = Follower(split(path)) if split(path) else None

    def locate(self, connection: Connection) -> RemoteProcessor:
        """The processor in a connection. Raises RemoteError."""
        if self.follower is not None:
            return checked(self.follower.locate(connection), '/'.join(self.follower.path))
        processor: RemoteProcessor | None = connection.root().get(self.name)
        if processor is None:
            raise RemoteError('This transaction began before the queue was added to its database; '
                              'commit or abort it first.')
        return processor

    def install(self, connection: Connection, place: str, add: bool) -> tuple[DB, bytes]:
        """The database and oid of the store, of a new processor where there is none yet and it may
        be added.

        Raises NoProcessor, naming those that there are; OldProcessor; where nothing may be changed
        OlderDatabase.
        """
        root = connection.root()
        if self.follower is not None:
            try:
                found = self.locate(connection)
            except NoProcessor:
                raise
            except RemoteError:
                path = '/'.join(self.follower.path)
                raise NoProcessor(f'There is no processor at {path!r} in '
                                  f'{place}{others(connection)}.') from None
        elif self.name in root:
            found = checked(root[self.name], self.name)
        else:
            there = others(connection) if not add or not self.asked else ''
            if there:
                raise NoProcessor(f'{place} has no processor named {self.name!r}{there} by '
                                  '--processor PATH or App(…, '
                                  "processor=PATH), or add one by App(…, name='…').")
            if not add:
                raise NoProcessor(f'There is no processor in {place} yet; a worker or an enqueued '
                                  'job adds it.')
            found = root[self.name] = RemoteProcessor()
            found.__name__ = self.name
            connection.add(found.store)
        if found.store._p_oid is None:      # it was made just now, see door.Part
            connection.add(found.store)
        if not add:
            found.store.check()
        # it may live in another database of several
        return found.store._p_jar.db(), found.store._p_oid


def checked(found: object, path: str) -> RemoteProcessor:
    """A processor. Raises NoProcessor for anything else."""
    if not isinstance(found, RemoteProcessor):
        raise NoProcessor(f'What stands at {path!r} is no processor but {type(found).__name__}; '
                          'name a processor.')
    return found


def others(connection: Connection) -> str:
    """Which processors there are, as the rest of a sentence; '' where there is none."""
    found, whole = search(connection, lambda here: isinstance(here, RemoteProcessor),
                          PLACESNAMED + 1)
    if not found:
        return ''
    named = ', '.join(f'/{"/".join(path)}{" (of 0.5)" if isOld(each) else ""}'
                      for path, each in found[:PLACESNAMED])
    return (f'; it has {named}{" and others" if len(found) > PLACESNAMED or not whole else ""}: '
            'name one')
