# SPDX-License-Identifier: ZPL-2.1
"""Huey on SQLite with fsync: the same job, one worker thread of its consumer, from the first job's
end to the last's."""
from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.hands import spawn


def available() -> bool:
    """Whether Huey is installed: pip install huey."""
    try:
        import huey  # noqa: F401
    except ImportError:
        return False
    return True


def hueyRate(folder: str | None, count: int, job: Callable[[int], Any]) -> float:
    """Jobs per second; none is being enqueued meanwhile."""
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=serve, args=(folder, count, job, theirs), daemon=True)
    process.start()
    theirs.close()
    rate: float = ours.recv()
    process.join()
    return rate


def serve(folder: str | None, count: int, job: Callable[[int], Any], line: Connection) -> None:
    """The process of the consumer."""
    from huey import SqliteHuey

    instants: list[float] = []

    def run(number: int) -> Any:
        result = job(number)
        instants.append(time.monotonic())
        return result

    with tempfile.TemporaryDirectory(prefix='p01.remote-bench-', dir=folder) as name:
        queue = SqliteHuey('bench', filename=str(Path(name) / 'huey.db'), fsync=True)
        task = queue.task()(run)
        for number in range(count):
            task(number)
        consumer = queue.create_consumer(workers=1, periodic=False)
        consumer.start()
        while len(instants) < count:
            time.sleep(0.01)
        consumer.stop(graceful=True)
        line.send((count - 1) / (instants[-1] - instants[0]))
