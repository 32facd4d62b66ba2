# SPDX-License-Identifier: ZPL-2.1
"""What a page is made of: one connection, one transaction, one instant, and who looks."""
from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from p01.remote.app import App
from p01.remote.ground import clocks
from p01.remote.processor import RemoteProcessor
from p01.remote.store.records import ERROR
from p01.remote.views.errors import Failures, failuresOf
from p01.remote.views.glance import totals
from p01.remote.views.history import Past, historyOf
from p01.remote.views.queues import Queues, queuesOf
from p01.remote.views.workers import Worker, workersOf
from p01.remote.web.access import Visitor
from p01.remote.wire.commits import tidOf

# seconds that a page stays the same while nothing runs, or something does
STEADY, LIVELY = 60.0, 2.0


@dataclass
class Snapshot:
    """What a page is made of; what several parts of one need is looked at once. target: how
    commands name the application; given: the arguments of its address; now: POSIX seconds."""

    app: App
    processor: RemoteProcessor
    target: str
    visitor: Visitor
    given: Mapping[str, str]
    now: float
    tid: str
    began: float        # on the clock of time.perf_counter

    @cached_property
    def queues(self) -> Queues:
        """The queues."""
        return queuesOf(self.processor.store, self.now)

    @cached_property
    def workers(self) -> list[Worker]:
        """The workers."""
        return workersOf(self.processor.store, self.now)

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many jobs have which status."""
        return totals(self.queues)

    @cached_property
    def failures(self) -> Failures:
        """What failed, by kind."""
        return failuresOf(self.processor.store, total=self.failed)

    @property
    def failed(self) -> int:
        """How many failed jobs are kept."""
        return self.counts[ERROR]

    def history(self, span: str) -> Past:
        """What came of jobs within a span."""
        return historyOf(self.processor.store, span, self.now, self.queues.counts)

    @property
    def cost(self) -> float:
        """Seconds that it took so far."""
        return time.perf_counter() - self.began


@contextmanager
def taken(app: App, target: str, visitor: Visitor, given: Mapping[str, str]) -> Iterator[Snapshot]:
    """A snapshot of now."""
    began = time.perf_counter()
    with app.reading() as processor:
        yield Snapshot(app, processor, target, visitor, given, clocks.now(), tidOf(processor),
                       began)


def tagOf(snapshot: Snapshot) -> str:
    """What is the same as long as the page is: the transaction, who looks, and a while, short where
    jobs run, since they tell how far they are without a commit."""
    runs = any(seat.claims for seat in snapshot.processor.store.seats.values())
    pace = LIVELY if runs else STEADY
    return f'{snapshot.tid}-{snapshot.visitor.may}-{int(snapshot.now // pace)}'
