# SPDX-License-Identifier: ZPL-2.1
"""How much is measured, and how often; and the backlog that several measurements share."""
from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import cached_property

from bench import hands
from bench.place import Place

MILLION, QUICK = 1_000_000, 50_000


class Plan:
    """What was asked for on the command line."""

    def __init__(self, jobs: int | None = None, quick: bool = False, folder: str | None = None) -> None:
        self.jobs = jobs or (QUICK if quick else MILLION)
        self.quick = quick
        self.folder = folder

    def few(self, full: int, quick: int) -> int:
        """One of two numbers."""
        return quick if self.quick else full

    def place(self, kind: str = 'sqlite', objects: int = 0) -> Place:
        """A fresh database."""
        return Place(kind, self.folder, objects)

    @cached_property
    def backlog(self) -> Backlog:
        """The many jobs, waiting; made when they are first asked for."""
        return Backlog(self)

    def close(self) -> None:
        """Remove what is left."""
        if 'backlog' in self.__dict__:
            self.backlog.place.close()


class Backlog:
    """Many jobs that wait in line, then pass through one worker process."""

    def __init__(self, plan: Plan) -> None:
        self.jobs = plan.jobs
        self.place = plan.place()
        self.place.enqueue(self.jobs)
        [self.intake] = hands.work(self.place.address, what=hands.intake)

    @cached_property
    def passage(self) -> list[hands.Sample]:
        """The samples of the worker that they passed through, ten for each tenth of them."""
        [samples] = hands.work(self.place.address, every=max(self.jobs // 100, 1))
        return samples


def alternate(rounds: int, *blocks: Callable[[], float]) -> list[float]:
    """Run the blocks in turn, in another order each time; returns the median of what each returned.

    What else happens on the machine then falls on all of them alike.
    """
    figures: Sequence[list[float]] = [[] for _ in blocks]
    for number in range(rounds):
        for place in range(len(blocks)):
            chosen = (place + number) % len(blocks)
            figures[chosen].append(blocks[chosen]())
    return [statistics.median(each) for each in figures]
