# SPDX-License-Identifier: ZPL-2.1
"""Places in a transaction that can be gone back to: what savepoints do, and what they leave."""
from __future__ import annotations

from typing import Any, NamedTuple

from p01.remote.storage.insides import hooksOf, participants
from p01.remote.storage.transactions import LIVE


class Follower:
    """One whose hooks stay with a transaction when they were added in what is taken back: they do
    no harm there."""


class Place(NamedTuple):
    """What savepoints do not know of a place in a transaction."""

    hooks: tuple[int, ...] = (0, 0, 0, 0)       # how many there are of each kind
    # what the storage is to keep: note, user, extension
    said: tuple[str, str, dict[str, Any]] = ('', '', {})

    @classmethod
    def of(cls, current: Any) -> Place:
        """Where a transaction is."""
        said = current.description, current.user, dict(current.extension)
        return cls(tuple(map(len, hooksOf(current))), said)

    def hooked(self, current: Any) -> bool:
        """Whether anybody but a Follower has added a hook since."""
        return any(len(each) > count and not all(map(follows, each[count:]))
                   for each, count in zip(hooksOf(current), self.hooks, strict=True))

    def spoken(self, current: Any) -> bool:
        """Whether the transaction was given a note, a user or the like since."""
        return bool(self.said != (current.description, current.user, current.extension))


BEGIN = Place()


class Mark:
    """A place in a transaction that can be gone back to, again and again. Raises what data managers
    do."""

    def __init__(self, current: Any) -> None:
        self.current = current
        self.place = Place.of(current)
        self.savepoint = current.savepoint()

    def stands(self) -> bool:
        """Whether nobody has ended the transaction, nor gone back to a place before this one."""
        return self.current.status in LIVE and bool(self.savepoint.valid)

    def back(self) -> None:
        """Take back what came since. Raises what data managers do."""
        self.savepoint.rollback()
        current, (counts, (note, user, extension)) = self.current, self.place
        for each, count in zip(hooksOf(current), counts, strict=True):
            each[count:] = filter(follows, each[count:])
        current.description, current.user, current.extension = note, user, dict(extension)


def follows(hook: tuple[Any, ...]) -> bool:
    """Whether a hook is a Follower's."""
    return isinstance(getattr(hook[0], '__self__', None), Follower)


def markable(current: Any) -> bool:
    """Whether all who take part in a transaction can go back."""
    return all(hasattr(each, 'savepoint') for each in participants(current))
