# SPDX-License-Identifier: ZPL-2.1
"""What needs the database and no process of a supervisor can do: a process is sent for it."""
from __future__ import annotations

import contextlib
import time
from pathlib import Path

from ZODB.Connection import Connection

from p01.remote import storage
from p01.remote.app import App
from p01.remote.engine.channel import Line
from p01.remote.engine.neighbours import Neighbours, bury
from p01.remote.front.named import loadApp
from p01.remote.ground import blackbox, folders
from p01.remote.options import WorkerOptions
from p01.remote.storage.transactions import transact
from p01.remote.views.figures import leftOf


def mark(app: App, boxes: set[Path]) -> None:
    """Say in the database that the processes of these boxes were told to stop: other hosts do not
    see them."""
    def work(connection: Connection) -> None:
        for seat in app.locate(connection).store.seats.values():
            if seat.box and seat.path in boxes:
                seat.told = True

    transact(app.db, work)


def errand(line: Line, target: str, options: WorkerOptions) -> None:
    """Do what needs the database and no process of the supervisor can: say that those were told to
    stop who cannot say so, give back what the dead held, and say what a drain has left."""
    with contextlib.closing(loadApp(target)) as app:
        folder = folders.folderFor(storage.folder(app.db))
        mark(app, {box for box in folders.listed(folder, '.box') if blackbox.isTold(box)
                   and not blackbox.died(box)})
        bury(Neighbours().dead(folder), [(app.db, app.locate)])
        with app.reading() as processor:
            now = time.monotonic()
            line.say('ended', [now, leftOf(processor.store, options.queues, time.time())
                               if options.drain else None])
