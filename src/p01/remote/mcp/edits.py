# SPDX-License-Identifier: ZPL-2.1
"""What assistants may change of one job that waits, and that they enqueue one like a job that has
ended."""
from __future__ import annotations

from typing import Any

from p01.remote.engine import editing as engine
from p01.remote.ground.foreign import listed
from p01.remote.ground.words import iso, shown
from p01.remote.mcp.orders import callOf
from p01.remote.mcp.shapes import Desk, Given, Told
from p01.remote.mcp.tokens import Plan
from p01.remote.processor import RemoteProcessor
from p01.remote.store.views import View
from p01.remote.views.facts import jobFacts
from p01.remote.views.job import rowOf
from p01.remote.wire import deeds


def editing(desk: Desk, processor: RemoteProcessor, given: Given) -> Plan:
    """That a job is changed. Raises JobNotFound, InputError, UnknownJob, Refused."""
    jobid = given['id']
    if engine.standingOf(processor, jobid) not in deeds.WAITING:
        raise deeds.Refused(engine.refusal(processor, jobid))
    changes, calling = deeds.wantedOf(desk.app, processor, desk.jobs, jobid, given)
    deeds.proveAny(changes, calling)
    view = processor.store.view(jobid)
    engine.called(processor, view.record.name, changes, calling)
    return planOf(view, f'Job {jobid}, {shown(view.record.name)}, would be changed: '
                        f'{told(view, changes, calling)}.', f'edit job {jobid}')


def edit(desk: Desk, processor: RemoteProcessor, given: Given) -> Told:
    """Change a job that waits."""
    wanted = deeds.wantedOf(desk.app, processor, desk.jobs, given['id'], given)
    jobid = deeds.edit(processor, given['id'], *wanted)
    return {'id': jobid, 'status': processor.getJobStatus(jobid)}


def repeating(desk: Desk, processor: RemoteProcessor, given: Given) -> Plan:
    """That a job like one is enqueued. Raises JobNotFound, InputError, UnknownJob, Refused."""
    view = processor.store.view(given['id'])
    if why := engine.unended(processor, view.id):
        raise deeds.Refused(why)
    changes, calling = deeds.wantedOf(desk.app, processor, desk.jobs, view.id, given)
    engine.called(processor, view.record.name, changes, calling)
    how = told(view, changes, calling)
    return planOf(view, f'A job like job {view.id}, {shown(view.record.name)}, would be enqueued, '
                        f'{f"but with {how}" if how else "as it was"}; job {view.id} stays as it '
                        'is.', f'run job {view.id} again as another one')


def again(desk: Desk, processor: RemoteProcessor, given: Given) -> Told:
    """Enqueue a job like one that has ended."""
    wanted = deeds.wantedOf(desk.app, processor, desk.jobs, given['id'], given)
    new = deeds.edit(processor, given['id'], *wanted, again=True)
    return {'id': new, 'of': given['id'], 'status': processor.getJobStatus(new)}


def told(view: View, changes: dict[str, Any], calling: engine.Calling | None) -> str:
    """What would be other of a job, in words; '' for nothing."""
    found = [f'{name} {shown(changes[name])}' for name in ('queue', 'priority') if name in changes]
    if 'due' in changes:
        found.append(f'due {iso(changes["due"]) or "at once"}')
    if calling is not None:
        found.append(f'the call {callOf(view.record.name, calling.input)}')
    return listed(found)


def planOf(view: View, would: str, what: str) -> Plan:
    """A plan about a job, which must stand and be called as it does."""
    facts, kept = jobFacts(rowOf(view)), view.record.input
    return Plan(would, what, (facts, getattr(kept, '_p_oid', kept)), facts)
