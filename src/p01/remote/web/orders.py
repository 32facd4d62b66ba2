# SPDX-License-Identifier: ZPL-2.1
"""What people do with queues, workers and schedules: the same verbs as the command's, each in a
transaction that says who did what."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import make_response, redirect
from flask import url_for as addressOf
from werkzeug.wrappers import Response

from p01.remote import verbs
from p01.remote.clock.settings import edited
from p01.remote.engine import scheduling
from p01.remote.engine.bell import bellOf
from p01.remote.exceptions import InputError
from p01.remote.ground import checks, clocks
from p01.remote.ground.words import labelOf
from p01.remote.processor import RemoteProcessor
from p01.remote.store.records import PROCESSING
from p01.remote.store.seats import Order
from p01.remote.verbs.requests import QUIET, STOP, order, revoke
from p01.remote.views.workers import workersOf
from p01.remote.web.access import Visitor
from p01.remote.web.actions import Form, backOf, told
from p01.remote.web.site import Site
from p01.remote.web.snapshot import taken
from p01.remote.wire.commits import change
from p01.remote.wire.deeds import untilOf
from p01.remote.wire.stacks import ofJob, stackOf

EDITS = ('tz', 'queue', 'every')        # settings of a schedule that a page changes, as texts


def ending(form: Form) -> float | None:
    """Until when something is to be paused, as a form says. Raises InputError."""
    length = form.get('for', '').strip()
    return untilOf({'for': length} if length else {}, 'How long', bare=True)


def back(form: Form, usual: str, word: str, number: int = 1) -> Response:
    """Go back, and say what was done."""
    return redirect(told(backOf(form, usual), word, number), 303)


def pauseQueue(site: Site, visitor: Visitor, form: Form, name: str) -> Response:
    """Let no more jobs of a queue start."""
    until = ending(form)
    checks.nameOf(name, 'A queue')
    change(site.app, visitor.name, f'pause queue {name}',
           lambda processor: verbs.pause(processor.store, name, until))
    return back(form, 'queues', 'pause')


def resumeQueue(site: Site, visitor: Visitor, form: Form, name: str) -> Response:
    """Let the jobs of a queue start again."""
    was = change(site.app, visitor.name, f'resume queue {name}',
                 lambda processor: verbs.resume(processor.store, name))
    bellOf(site.app.db).tell()
    return back(form, 'queues', 'resume', number=int(was))


def orderWorkers(site: Site, visitor: Visitor, form: Form) -> Response:
    """Have workers stop, claim no more, or claim again; those of one process, or one of them."""
    word, process = form.get('do', ''), form.get('process', '')
    if word not in ('stop', 'quiet', 'unquiet'):
        raise InputError('What is to be done is not known here; go back, and try again.')
    wanted = Order(visitor.name, clocks.now())

    def work(processor: RemoteProcessor) -> int:
        seats = [processor.store.seats[each.name]
                 for each in workersOf(processor.store, wanted.when)
                 if each.alive and process in (each.process, each.name)]
        return sum(revoke(seat, QUIET) if word == 'unquiet'
                   else order(seat, STOP if word == 'stop' else QUIET, wanted) for seat in seats)

    number = change(site.app, visitor.name,
                    lambda number: f'{word} workers of {process}' if number else '', work)
    bellOf(site.app.db).tell()
    return back(form, 'workers', word, number=number)


def stack(site: Site, visitor: Visitor, form: Form, jobid: int) -> Response:
    """A page of where a job that runs stands, which its worker is asked for. Raises JobNotFound."""
    with taken(site.app, site.target, visitor, {}) as at:
        view = at.processor.store.view(jobid)
    if view.status != PROCESSING:
        return redirect(addressOf('job', jobid=jobid), 303)
    found = stackOf(site.app, view.worker, visitor.name)
    return stands(site, visitor, view.worker, *ofJob(found or '', jobid), jobid=jobid,
                  name=view.record.name)


def stackOfWorker(site: Site, visitor: Visitor, form: Form) -> Response:
    """A page of where the threads of the process of a worker stand, which it is asked for."""
    worker = form.get('worker', '')
    return stands(site, visitor, worker, '', stackOf(site.app, worker, visitor.name) or '')


def stands(site: Site, visitor: Visitor, worker: str, mine: str, others: str,
           jobid: int | None = None, name: str = '') -> Response:
    """A page of where threads of the process of a worker stand: the one that runs a job of this id
    and name, and the others."""
    with taken(site.app, site.target, visitor, {}) as at:
        return make_response(site.rendered('stack.html', at, {
            'jobid': jobid, 'name': name, 'worker': worker, 'label': labelOf(worker),
            'stands': mine, 'others': others}))


def scheduled(word: str, work: Callable[[RemoteProcessor, str, Form], Any]
              ) -> Callable[[Site, Visitor, Form, str], Response]:
    """An action on one schedule."""
    def act(site: Site, visitor: Visitor, form: Form, name: str) -> Response:
        done = change(site.app, visitor.name, f'{word} schedule {name}',
                      lambda processor: work(processor, name, form))
        return back(form, 'schedules', word, int(done is not False))

    return act


def skip(processor: RemoteProcessor, name: str, form: Form) -> None:
    """Let the next runs go by. Raises InputError."""
    text = form.get('count', '1')
    if not text.isdecimal() or len(text) > 4:
        raise InputError('How many runs are skipped is a whole number.')
    scheduling.skip(processor, name, int(text))


def edit(processor: RemoteProcessor, name: str, form: Form) -> None:
    """Change what was chosen for a schedule. Raises InputError."""
    given: dict[str, Any] = {key: form[key].strip() for key in EDITS if form.get(key, '').strip()}
    cron = form.get('cron', '').strip() or None
    if cron is not None and 'every' in given:
        raise InputError('Give a crontab line or a length of time between two runs, not both.')
    edits = edited(cron, given)
    if not edits:
        raise InputError('Give what is to be changed, as a crontab line or a queue.')
    scheduling.change(processor, name, edits)


def pause(processor: RemoteProcessor, name: str, form: Form) -> None:
    """Fire it no more. Raises InputError."""
    scheduling.pause(processor, name, ending(form))


def removeSchedule(site: Site, visitor: Visitor, form: Form, name: str) -> Response:
    """Delete a schedule, after a question. Raises UnknownSchedule, InputError for one that code
    declares."""
    if 'sure' not in form:
        with taken(site.app, site.target, visitor, {}) as at:
            scheduling.known(at.processor, name)
            return make_response(site.rendered('forget.html', at, {'name': name}))
    change(site.app, visitor.name, f'remove schedule {name}',
           lambda processor: scheduling.remove(processor, name))
    return redirect(told(addressOf('schedules'), 'remove', 1), 303)


SCHEDULES = {
    'pause': scheduled('pause', pause),
    'resume': scheduled('resume', lambda processor, name, form: scheduling.resume(processor,
                                                                                  name)),
    'run': scheduled('run', lambda processor, name, form: scheduling.runNow(processor, name)),
    'skip': scheduled('skip', skip), 'edit': scheduled('edit', edit),
    'remove': removeSchedule,
    'reset': scheduled('reset', lambda processor, name, form: scheduling.reset(processor, name))}
