# SPDX-License-Identifier: ZPL-2.1
"""The other processes of this host that work: who of them dies is noticed at once, however it died,
and its jobs go back.

The kernel tells the end of a process to whoever holds a descriptor of it; nobody needs to look, nor
to be its parent. Where it has no such descriptors, the janitors' rounds find the dead.
"""
from __future__ import annotations

import logging
import os
import select
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from transaction.interfaces import TransientError
from ZODB.DB import DB

from p01.remote import storage
from p01.remote.engine import rescuing
from p01.remote.engine.bell import bellOf
from p01.remote.engine.seams import Locate
from p01.remote.exceptions import RemoteError
from p01.remote.ground import blackbox, folders
from p01.remote.ground.foreign import reasonOf
from p01.remote.storage.origin import fromStorage
from p01.remote.storage.transactions import transact

RECENT = 50_000_000     # nanoseconds; the instants of files are of a coarse clock

logger = logging.getLogger('p01.remote')


class Neighbours:
    """Watches all boxes of some folders but those of this process. For one thread."""

    def __init__(self) -> None:
        self.poller = select.poll()
        self.handles: dict[Path, int] = {}      # of the living, by their boxes
        # when each folder had changed last, as it says itself
        self.looked: dict[Path, int] = {}
        self.known: dict[Path, set[str]] = {}   # the boxes of the dead there that were looked after

    def dead(self, folder: Path) -> list[Path]:
        """The boxes of those who died there and were not told before; looks when something there
        has changed."""
        try:
            changed = os.stat(folder).st_mtime_ns
        except OSError:
            return []
        if self.looked.get(folder) == changed:
            return []
        # else something may come that changes it to the same instant
        if abs(time.time_ns() - changed) > RECENT:
            self.looked[folder] = changed
        boxes = folders.listed(folder, '.box')
        known = self.known[folder] = self.known.get(folder, set()) & {box.name for box in boxes}
        found = [box for box in boxes if box.name not in known and box.name not in blackbox.near
                 and not self.lives(box)]
        known.update(box.name for box in found)
        return found

    def lives(self, box: Path) -> bool:
        """Whether the process of a box lives; its end will be heard."""
        if box in self.handles:
            return True
        try:
            handle = os.pidfd_open(blackbox.pidOf(box))
        # not of this kernel; or of another one's numbers, as in a container
        except (AttributeError, OSError, ValueError):
            return not blackbox.died(box)
        # its number is another one's by now, or it ended just now
        if blackbox.died(box):
            os.close(handle)
            return False
        self.handles[box] = handle
        self.poller.register(handle, select.POLLIN)
        return True

    def wait(self, seconds: float) -> None:
        """Wait until one of them ends, but no longer than this."""
        ended = {handle for handle, _ in self.poller.poll(seconds * 1000)}
        for box in [box for box, handle in self.handles.items() if handle in ended]:
            self.drop(box)
            self.looked.pop(box.parent, None)

    def drop(self, box: Path) -> None:
        """Watch a process no more."""
        handle = self.handles.pop(box)
        self.poller.unregister(handle)
        os.close(handle)

    def close(self) -> None:
        """Watch nobody any more."""
        for box in list(self.handles):
            self.drop(box)


def bury(boxes: Iterable[Path], places: Iterable[tuple[DB, Locate]]) -> None:
    """Give back what processes held that died, by their boxes, for each database with what locates
    its processor there.

    All who saw it come one after the other, since they may have other processors; the first is the
    last where they have not. What the storage refuses is left to the janitors.
    """
    places = list(places)
    for box in boxes:
        blackbox.heard(box)
        with suppress(OSError), folders.alone(box.parent):
            given = [give(box, db, locate) for db, locate in places] if box.exists() else []
            # It may have died before it had a seat; elsewhere than in a database's own folder it
            # may be another one's.
            if given and all(given) and all(storage.folder(db) is not None for db, _ in places) \
                    and \
                    not any(slot.round > 0 for slot in blackbox.slots(box)):
                blackbox.remove(box)


def give(box: Path, db: DB, locate: Locate) -> bool:
    """Give back what the process of a box held in one processor; whether that could be done."""
    try:
        told, slots = transact(
            db, lambda connection: rescuing.rescueProcess(locate(connection), box))
    except Exception as error:
        # a storage that is away is told of by those who work; all else is a fault
        quiet = isinstance(error, TransientError | RemoteError) or fromStorage(error)
        logger.log(logging.INFO if quiet else logging.WARNING, 'What %s held is left to others: %s',
                   box.name, reasonOf(error))
        return False
    for slot in slots:
        blackbox.settle(box, slot)
    rescuing.tell(told)
    if told:
        bellOf(db).tell()
    return True
