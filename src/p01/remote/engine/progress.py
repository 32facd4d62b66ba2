# SPDX-License-Identifier: ZPL-2.1
"""How far jobs are, and what they log: seen while they run, and kept with the job when it ends."""
from __future__ import annotations

import os
import time
import weakref
from typing import Any

from ZODB.DB import DB

from p01.remote.engine import presence
from p01.remote.exceptions import InputError
from p01.remote.ground import blackbox, boards, fork
from p01.remote.ground.boards import Area, Board, Words
from p01.remote.ground.foreign import short
from p01.remote.store.records import LOGKEPT, Progress, Said
from p01.remote.store.seats import Seat

COUNTS = (int, float)
HUGE = 1e300
LONGESTTEXT = 200          # characters of a text that are kept


def checked(done: Any, total: Any, text: Any) -> tuple[float, float | None, str]:
    """What a job says, when it makes sense. Raises InputError."""
    if type(done) in COUNTS and -HUGE < done < HUGE and type(text) is str and (
            total is None or type(total) in COUNTS and -HUGE < total < HUGE):
        return done, total, text if len(text) <= LONGESTTEXT else text[:LONGESTTEXT]
    for name, value in (('done', done), ('total', total)):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and -HUGE < value < HUGE) and not (value is None and name == 'total'):
            raise InputError(f'{name} must be a number, not {short(value)}.')
    if not isinstance(text, str):
        raise InputError(f'text must be a text, not {short(text)}.')
    return done, total, text[:LONGESTTEXT]


# -- the jobs of this process

_boards: weakref.WeakKeyDictionary[DB, Board] = weakref.WeakKeyDictionary()
_lock = fork.Lock()


def areaFor(db: DB, jobid: int) -> Area | None:
    """Where a job of this process says something; None where nothing can be said."""
    board = boardOf(db)
    return board.take(jobid) if board is not None else None


def boardOf(db: DB) -> Board | None:
    """The board of this process for a database; None where none can be made."""
    box = presence.mine(db)
    path = box.path.with_suffix(blackbox.SAID)
    with _lock:
        board = _boards.get(db)
        # none yet, or that of the process we were forked from
        if board is None or board.path != path:
            try:
                board = Board(path, box.file is not None)
            except OSError:
                return None
            _boards[db] = board
        return board


def said(area: Area) -> Said | None:
    """What was said in an area."""
    found = area.said()
    return None if found is None else kept(found)


def kept(words: Words) -> Said | None:
    """What is kept of what a job has said; None of nothing."""
    progress = None if words.progress is None else Progress(*words.progress)
    log = words.log.decode(errors='replace')
    if len(log) > LOGKEPT:
        log = log[-LOGKEPT:]
        log = log[log.find('\n') + 1:]
    return Said(progress, log, words.written) if progress is not None or log else None


def stamp(level: str, text: str) -> str:
    """A line of a log: when, how grave, what; '' for what was printed."""
    return f'{time.strftime("%H:%M:%S", time.gmtime())} {level} {text}' if level else text


# -- those of others on this host, also when they have died

def wordsOf(seat: Seat) -> dict[int, Words]:
    """What the running jobs of a worker's process say, or said when it died; nothing for a worker
    of another host."""
    if not seat.box or seat.host != blackbox.HOST and seat.process != presence.PROCESS:
        return {}
    return boards.read(seat.path.with_suffix(blackbox.SAID))


def saidBy(seat: Seat) -> dict[int, Progress]:
    """How far the running jobs of a worker's process are, as they say; nothing for one of another
    host."""
    return {jobid: Progress(*words.progress) for jobid, words in wordsOf(seat).items()
            if words.progress is not None}


def left(seat: Seat, jobid: int) -> Said | None:
    """What is kept of what a job has said that a worker has run; None of nothing."""
    words = wordsOf(seat).get(jobid)
    return None if words is None else kept(words)


def _forked() -> None:
    """A forked process has a board of its own; the job that forked still says what it does in its
    parent's."""
    _boards.clear()
    boards.near.clear()


os.register_at_fork(after_in_child=_forked)
