# SPDX-License-Identifier: ZPL-2.1
"""A worker that has run ten thousand failing jobs is what it was after the first thousand: threads,
descriptors, memory."""
from pathlib import Path
from typing import NamedTuple

import pytest

from p01.remote.store.records import ERROR
from p01.remote.testing import waitFor
from p01.remote.views import figures
from tests.acceptance.test_death import house  # noqa: F401 - a fixture

FIRST, JOBS = 2_000, 10_000
DEADLINE = 300
# kilobytes that the others may add: 5 KiB that each of them leaks would be more
GROWTH = 40_000


class Size(NamedTuple):
    """What a process has."""

    threads: int
    files: int
    memory: int         # kilobytes


def sizeOf(pid):
    """What a process has just now."""
    process = Path(f'/proc/{pid}')
    memory = next(int(line.split()[1]) for line in (process / 'status').read_text().splitlines()
                  if line.startswith('VmRSS'))
    return Size(len(list((process / 'task').iterdir())), len(list((process / 'fd').iterdir())),
                memory)


def failed(house):      # noqa: F811
    """How many jobs have failed."""
    counts = house.stage.do(lambda processor: figures.exact(processor.store))
    return sum(queue.get(ERROR, 0) for queue in counts.values())


@pytest.mark.parametrize('name', ['fails', 'failsLater'])
def test_ten_thousand_failing_jobs_leave_nothing(house, name):     # noqa: F811
    house.address += '?connection_cache_size=100'      # soon full: what grows then is no cache
    tree = house.tree(processes=1, threads=2)
    tree.ready(1)

    def run(first, until):
        house.stage.enqueue(name, *range(first, until))
        waitFor(lambda: failed(house) >= until, DEADLINE, 'the jobs do not end')
        [pid] = tree.workers()
        return pid, sizeOf(pid)

    pid, before = run(0, FIRST)
    again, after = run(FIRST, JOBS)
    assert pid == again and house.stage.effects == {}
    assert after.threads <= before.threads + 4          # a job's own may be about to end
    assert after.files <= before.files + 2
    assert after.memory <= before.memory + GROWTH, (before, after)
    print(before, after)
