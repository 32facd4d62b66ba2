# SPDX-License-Identifier: ZPL-2.1
"""Fresh databases, each in a folder of its own that goes when it is closed, or on a server."""
from __future__ import annotations

import tempfile
import time
from pathlib import Path
from types import TracebackType

from BTrees.IOBTree import IOBTree

from bench import tasks
from p01.remote import App, JobFunction

BULK = 10_000       # jobs in one transaction, when their number alone matters


class Place:
    """A database with the measured jobs in it, and so many objects of the application."""

    def __init__(self, kind: str, folder: str | None, objects: int = 0, address: str = '') -> None:
        self.folder = tempfile.TemporaryDirectory(prefix='p01.remote-bench-', dir=folder)
        self.path = Path(self.folder.name)
        self.address = address or ('memory:' if kind == 'memory' else f'{kind}:{self.path / "db"}')
        self.open()
        with self.app.transaction() as root:
            # the workers' App does not know them
            for job in (self.nothing, self.echo, self.bump, self.doze):
                self.app.processor.addJob(job.name, job)
            root[tasks.OBJECTS] = IOBTree({number: tasks.Counter() for number in range(objects)})

    def open(self) -> None:
        """Open the database."""
        self.app = App(self.address)
        self.nothing, self.echo, self.bump, self.doze = (
            self.app.job(job) for job in (tasks.nothing, tasks.echo, tasks.bump, tasks.doze))

    def reopen(self) -> None:
        """Open it anew, with connections that have reserved and cached nothing."""
        self.app.close()
        self.open()

    def enqueue(self, count: int, each: int = BULK, job: JobFunction | None = None) -> float:
        """Enqueue jobs, nothing by default, so many in each transaction; returns the seconds that
        it took."""
        job = job or self.nothing
        began = time.perf_counter()
        for first in range(0, count, each):
            with self.app.transaction():
                for number in range(first, min(first + each, count)):
                    job.enqueue(number)
        return time.perf_counter() - began

    def size(self) -> int:
        """The bytes that the database takes, with its journals."""
        return sum(file.stat().st_size for file in self.path.rglob('*') if file.is_file())

    def close(self) -> None:
        """Close the database, and remove it."""
        self.app.close()
        self.folder.cleanup()

    def __enter__(self) -> Place:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()
