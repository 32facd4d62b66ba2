# SPDX-License-Identifier: ZPL-2.1
"""How much is measured, and how often; and the backlog that several measurements share."""
from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from bench import hands
from bench.place import Place

MILLION, QUICK = 1_000_000, 50_000
SERVED = ('postgresql', 'zeo')      # kinds of storage that need a server


class Plan:
    """What was asked for on the command line."""

    def __init__(self, jobs: int | None = None, quick: bool = False,
                 folder: str | None = None) -> None:
        self.jobs = jobs or (QUICK if quick else MILLION)
        self.quick = quick
        self.folder = folder
        self.servers: dict[str, Any] = {}       # those that run, by kind

    def few(self, full: int, quick: int) -> int:
        """One of two numbers."""
        return quick if self.quick else full

    def place(self, kind: str = 'sqlite', objects: int = 0) -> Place:
        """A fresh database."""
        return Place(kind, self.folder, objects,
                     self.server(kind).database() if kind in SERVED else '')

    def server(self, kind: str) -> Any:
        """The one server of this kind, started when it is first asked for. Raises
        bench.servers.Unavailable."""
        if kind not in self.servers:
            # here, since it imports pytest, and the memory of worker processes is measured
            from bench import servers
            self.servers[kind] = servers.started(kind, self.folder)
        return self.servers[kind]

    def lack(self, kind: str) -> str:
        """Why there can be no place of this kind; '' when there can."""
        if kind in SERVED:
            try:
                from bench import servers
            except ImportError as error:
                return f'{error}; pip install "p01.remote[test]" brings it'
            try:
                self.server(kind)
            except servers.Unavailable as error:
                return str(error)
        return ''

    @cached_property
    def backlog(self) -> Backlog:
        """The many jobs, waiting; made when they are first asked for."""
        return Backlog(self)

    def close(self) -> None:
        """Remove what is left."""
        if 'backlog' in self.__dict__:
            self.backlog.place.close()
        while self.servers:
            self.servers.popitem()[1].__exit__()


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
