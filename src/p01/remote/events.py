# SPDX-License-Identifier: ZPL-2.1
"""What happens to jobs and workers, for subscribers of zope.event (and with zope.component, its handlers).

Events are told by the thread in which they happen, after the fact; a subscriber's error is the subscriber's to handle, so
keep them short. Instants are POSIX seconds.
"""
from __future__ import annotations

from dataclasses import dataclass

import zope.event


@dataclass(frozen=True)
class ProcessorStarted:
    """A processor's worker thread was started."""

    name: str


@dataclass(frozen=True)
class ProcessorStopped:
    """A processor's worker thread has ended."""

    name: str


@dataclass(frozen=True)
class JobQueued:
    """A job was enqueued; its transaction may still be aborted."""

    id: int
    name: str


@dataclass(frozen=True)
class JobStarted:
    """A run of a job begins."""

    id: int
    name: str
    attempt: int
    worker: str


@dataclass(frozen=True)
class JobCompleted:
    """A run of a job succeeded."""

    id: int
    name: str
    attempt: int
    worker: str
    seconds: float


@dataclass(frozen=True)
class JobRetried:
    """A run failed, and the job will run again."""

    id: int
    name: str
    attempt: int
    worker: str
    reason: str
    due: float | None


@dataclass(frozen=True)
class JobErred:
    """A job failed for good."""

    id: int
    name: str
    attempt: int
    worker: str
    reason: str


@dataclass(frozen=True)
class ClaimRefused:
    """A worker finished a job that was no longer its own; the job's changes were undone."""

    id: int
    name: str
    worker: str


@dataclass(frozen=True)
class WorkerRescued:
    """The jobs of a worker that died went back."""

    worker: str
    jobs: int
    running: int | None


@dataclass(frozen=True)
class ScheduleFailed:
    """A schedule's item was due, and its job could not be enqueued."""

    key: str
    jobName: str
    reason: str


@dataclass(frozen=True)
class StorageLost:
    """A worker cannot reach its database; it will try again, with growing pauses."""

    worker: str
    reason: str


@dataclass(frozen=True)
class StorageBack:
    """A worker reaches its database again."""

    worker: str


def heard() -> bool:
    """Whether anybody but our log listens; the log has no line for the ordinary life of a job."""
    return len(zope.event.subscribers) > 1


def notify(event: object) -> None:
    """Tell all subscribers."""
    zope.event.notify(event)
