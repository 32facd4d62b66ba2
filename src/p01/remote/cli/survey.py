# SPDX-License-Identifier: ZPL-2.1
"""What status and doctor both look at: workers, queues, schedules. Looking at one bad thing never
hides the others."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from p01.remote.app import App
from p01.remote.cli.terminal import shown
from p01.remote.engine.fingerprint import fingerprintOf
from p01.remote.ground import checks
from p01.remote.ground.foreign import Raised, guarded
from p01.remote.options import DEFAULTQUEUE
from p01.remote.processor import RemoteProcessor
from p01.remote.store.records import QUEUED
from p01.remote.views import figures


def unserved(counts: dict[str, dict[str, int]], workers: Iterable[dict[str, Any]],
             paused: Iterable[str]) -> dict[str, int]:
    """How many jobs wait in queues that no worker serves, though some work."""
    alive = [worker['queues'] for worker in workers if worker['alive']]
    if not alive or not all(alive):     # nobody works, or somebody serves all
        return {}
    served = {queue for queues in alive for queue in queues} | set(paused)
    return {queue: found[QUEUED] for queue, found in counts.items() if found.get(QUEUED)
            and queue not in served}


def outdated(app: App, workers: Iterable[dict[str, Any]]) -> list[str]:
    """The labels of workers that run other code than the application has here and now."""
    code = fingerprintOf(app)
    return [worker['name'].partition(':')[0] for worker in workers
            if worker['alive'] and worker['code'] and code and worker['code'] != code]


def knownQueues(app: App, processor: RemoteProcessor) -> set[str]:
    """The queues that jobs have been in, or may come to be in, as far as can be seen from here."""
    known = {DEFAULTQUEUE, *figures.reckoned(processor.store).queues,
             *(job.prototype.queue for job in app.jobs.values())}
    looks: tuple[Callable[[], list[str | None]], ...] = (
        lambda: [job.queue for job in processor.jobs.values()],
        lambda: [processor.scheduler[key].queue for key in processor.scheduler])
    for look in looks:
        found = guarded(look)
        known.update(name for name in ([] if isinstance(found, Raised) else found)
                     if isinstance(name, str))
    return known


def meant(queue: str, known: Iterable[str]) -> str:
    """What to say of a queue that nobody knows."""
    near = checks.nearest(queue, known)
    hint = f'; did you mean {shown(near)}?' if near else ''
    return f'no job has ever been in queue {shown(queue)}, nor names it{hint}'
