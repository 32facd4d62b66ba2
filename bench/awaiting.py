# SPDX-License-Identifier: ZPL-2.1
"""Jobs that are an async def: how near many short ones come to what their sleeps allow, and what
one that awaits costs."""
from __future__ import annotations

import gc
import threading
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

from bench import hands, tasks
from bench.plan import Plan
from bench.table import Row, micros

NAP = 0.01          # seconds
LIMIT = 120.0       # seconds until all must await


def measure(plan: Plan) -> Iterator[Row]:
    """sqlite:, one process, one worker."""
    for concurrency, count in ((1, 100), (100, 10_000), (1_000, 50_000)):
        count = count if not plan.quick else count // 5
        rate = naps(plan, concurrency, count)
        ideal = concurrency / NAP
        yield Row(f'async jobs/s that sleep for 10 ms, {concurrency:,} at once', f'{rate:,.0f}',
                  f'ideal: {ideal:,.0f}',
                  rate / ideal, '≥ 0.8' if concurrency == 100 else '')
    plain, later = each(plan, 'nothing', 20_000), each(plan, 'nap', 20_000)
    yield Row('an async job that does nothing, in all', micros(later),
              f'a plain one: {micros(plain)}', later / plain)
    for count in (1_000, 10_000):
        yield Row(f'memory of a job that awaits, of {count:,} in one process',
                  f'{memory(plan, count) / 1024:.1f} KiB')


def job(place: Any, name: str) -> Any:
    """One of the jobs that are an async def."""
    made = place.app.job(getattr(tasks, name))
    with place.app.transaction():
        place.app.processor.addJob(made.name, made)
    return made


def drained(plan: Plan, name: str, count: int, input: Any, concurrency: int) -> float:
    """Seconds that so many jobs take."""
    with plan.place() as place:
        made = getattr(place, name, None) or job(place, name)
        with place.app.transaction():
            for _ in range(count):
                made.enqueue(input)
        loop = hands.looped(place, concurrency=concurrency)
        with hands.collecting():
            began = time.perf_counter()
            loop.work()
            took = time.perf_counter() - began
        assert loop.done == count
        loop.close()
        return took


def naps(plan: Plan, concurrency: int, count: int) -> float:
    """Jobs a second."""
    return count / drained(plan, 'nap', count, NAP, concurrency)


def each(plan: Plan, name: str, count: int) -> float:
    """Seconds for each job."""
    return min(drained(plan, name, count, 0, 100) for _ in range(3)) / count


def memory(plan: Plan, count: int) -> float:
    """Bytes of each of so many jobs that await at once."""
    with plan.place() as place:
        made, gate = job(place, 'rest'), f'gate {count}'
        drained(plan, 'nap', 100, 0, 100)       # what is imported and made once
        with place.app.transaction():
            for _ in range(count):
                made.enqueue(gate)
        loop = hands.looped(place, concurrency=count)
        tracemalloc.start()
        thread = threading.Thread(target=loop.work)
        thread.start()
        until = time.monotonic() + LIMIT
        while tasks.gates.get(gate, 0) < count and time.monotonic() < until:
            time.sleep(0.1)
        assert tasks.gates[gate] == count
        gc.collect()
        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        tasks.gates[gate] = 0
        thread.join()
        loop.close()
        return used / count
