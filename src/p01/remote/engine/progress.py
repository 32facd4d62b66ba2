# SPDX-License-Identifier: ZPL-2.1
"""How far jobs are, for others on this host: a small file beside the box of a process, as long as
one of its jobs says so."""
from __future__ import annotations

import json
import math
import threading
import weakref
from pathlib import Path
from typing import Any, NamedTuple

from ZODB.DB import DB

from p01.remote import storage
from p01.remote.engine import presence
from p01.remote.exceptions import InputError
from p01.remote.ground import blackbox, fork
from p01.remote.ground.foreign import short
from p01.remote.store.seats import Seat

PROGRESSSUFFIX = '.progress'
LONGESTTEXT = 200          # characters of a text that are kept


class Progress(NamedTuple):
    """How far a job is."""

    done: float
    total: float | None         # None when nobody knows
    text: str

    def words(self) -> str:
        """For people: 30 % reading, 12 of 40, 7 so far."""
        if self.total is None:
            return f'{self.done:g} so far {self.text}'.rstrip()
        share = f'{self.done / self.total:.0%} ' if self.total else ''
        return f'{share}{self.text}'.strip() or f'{self.done:g} of {self.total:g}'


def checked(done: Any, total: Any, text: Any) -> Progress:
    """What a job says, when it makes sense. Raises InputError."""
    for name, value in (('done', done), ('total', total)):
        if not (value is None and name == 'total') and (
                isinstance(value, bool) or not isinstance(value, int | float)
                or not math.isfinite(value)):
            raise InputError(f'{name} must be a number, not {short(value)}.')
    if not isinstance(text, str):
        raise InputError(f'text must be a text, not {short(text)}.')
    return Progress(float(done), None if total is None else float(total), text[:LONGESTTEXT])


class Board:
    """What the running jobs of this process have said."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: dict[int, Progress] = {}
        self.lock = threading.Lock()

    def keep(self, jobid: int, said: Progress | None) -> None:
        """Keep what a job says; None when it has ended. A place that cannot be written keeps
        nothing."""
        with self.lock:
            if said is None:
                self.said.pop(jobid, None)
            else:
                self.said[jobid] = said
            try:
                if self.said:
                    fresh = self.path.with_suffix('.saying')
                    fresh.write_text(json.dumps(self.said))
                    fresh.rename(self.path)     # whoever reads it has it whole
                else:
                    self.path.unlink(missing_ok=True)
            except OSError:
                pass


_boards: weakref.WeakKeyDictionary[DB, Board] = weakref.WeakKeyDictionary()
_lock = fork.Lock()


def say(db: DB, jobid: int, said: Progress | None) -> None:
    """Say how far a job of this process is; None when it has ended."""
    board = boardOf(db)
    if board is not None:
        board.keep(jobid, said)


def boardOf(db: DB) -> Board | None:
    """The board of this process for a database; None where others cannot look."""
    if storage.kind(db) in ('memory', 'file'):
        return None
    box = presence.mine(db)
    if not box.path.exists():
        return None
    path = box.path.with_suffix(PROGRESSSUFFIX)
    with _lock:
        board = _boards.get(db)
        # none yet, or that of the process we were forked from
        if board is None or board.path != path:
            tidy(path.parent)
            board = _boards[db] = Board(path)
        return board


def tidy(folder: Path) -> None:
    """Remove what processes left that were killed."""
    for path in (*folder.glob(f'*{PROGRESSSUFFIX}'), *folder.glob('*.saying')):
        box = path.with_suffix('.box')
        if not box.exists() or blackbox.died(box):
            path.unlink(missing_ok=True)


def saidBy(seat: Seat) -> dict[int, Progress]:
    """What the running jobs of a worker's process say; nothing for a worker of another host."""
    if seat.host != blackbox.HOST or not seat.box:
        return {}
    try:
        found = json.loads(seat.path.with_suffix(PROGRESSSUFFIX).read_text())
        return {int(jobid): Progress(*said) for jobid, said in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}

