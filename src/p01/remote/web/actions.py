# SPDX-License-Identifier: ZPL-2.1
"""What people do with jobs: the same verbs as the command's, each in transactions that say who did
what."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flask import make_response, redirect
from flask import url_for as addressOf
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from p01.remote.bulk import Order
from p01.remote.exceptions import InputError, JobNotFound
from p01.remote.ground import clocks
from p01.remote.views import grammar
from p01.remote.views.queues import totalOf
from p01.remote.web import lists
from p01.remote.web.access import Visitor
from p01.remote.web.site import Site, isLocal
from p01.remote.web.snapshot import taken
from p01.remote.wire.deeds import DEEDS, MOVE, WAITING, each, verbOf

Form = MultiDict[str, str]


def act(site: Site, visitor: Visitor, form: Form) -> Response:
    """Do what a form says with the jobs that it names, or with all of its filter."""
    word = form.get('do', '')
    if word == MOVE and not optionsOf(form):
        return whither(site, visitor, form)
    if 'all' in form:
        return whole(site, visitor, form, word)
    verb, jobids = verbOf(word, optionsOf(form)), selected(form)
    if word == 'remove' and 'sure' not in form:
        return asked(site, form, len(jobids), jobids)
    number = sum(each(site.app, visitor.name, jobids, verb))
    return redirect(told(backOf(form), word, number, len(jobids) - number), 303)


def whole(site: Site, visitor: Visitor, form: Form, word: str) -> Response:
    """Do what a form says with all jobs of its filter; where they are many a job does it, whose
    page this leads to."""
    order = Order(word, optionsOf(form), form.get('filter', ''), visitor.name, clocks.now())
    if word == 'remove' and 'sure' not in form:
        with taken(site.app, site.target, visitor, {}) as at:
            views, more = order.newest(at.processor.store)
            number = totalOf(order.which, at.queues) if more else len(views)
        return asked(site, form, number)
    found = order.give(site.app, 'dash')
    if found.job is not None:
        return redirect(told(addressOf('job', jobid=found.job), 'run', 1), 303)
    return redirect(told(backOf(form), word, found.done, found.left), 303)


def backOf(form: Form, usual: str = 'jobs') -> str:
    """The address that a form leads back to; usual: the page where it says none of ours."""
    back = form.get('back', '')
    return back if isLocal(back) else addressOf(usual)


def selected(form: Form) -> list[int]:
    """The jobs that a form names. Raises InputError without any."""
    found = [jobid for text in form.getlist('job') if (jobid := lists.wholeOf(text)) is not None]
    if not found:
        raise InputError('No job was selected; select some first.')
    return list(dict.fromkeys(found))


def optionsOf(form: Form) -> dict[str, Any]:
    """Where jobs are to be moved, as a form says it. Raises InputError."""
    queue, priority = form.get('to', '').strip(), form.get('priority', '').strip()
    return ({'queue': queue} if queue else {}) \
        | ({'priority': lists.priorityOf(priority)} if priority else {})


def whither(site: Site, visitor: Visitor, form: Form) -> Response:
    """A page that asks where jobs are to be moved."""
    which = grammar.parse(form.get('filter', ''), clocks.now())
    with taken(site.app, site.target, visitor, {}) as at:
        queues, stati = at.queues, tuple(status for status in which.stati
                                         if status in WAITING)
        total = totalOf(which._replace(stati=stati), queues) \
            if 'all' in form else len(set(form.getlist('job')))
        return make_response(site.rendered('move.html', at, {
            'number': total, 'queues': sorted(queues.all)[:lists.CHOICES],
            'back': backOf(form),
            'fields': [(key, value) for key, value in form.items(multi=True)
                       if key not in ('do', 'to', 'priority')]}))


def asked(site: Site, form: Form, number: int | None, jobids: Iterable[int] = ()) -> Response:
    """A page that asks whether so many jobs are to be deleted, None for all that match. jobids:
    these, where the form does not say which."""
    fields = [(key, value) for key, value in form.items(multi=True) if key not in ('sure', 'job')]
    fields += [('job', str(jobid)) for jobid in jobids]
    with taken(site.app, site.target, Visitor(''), {}) as at:
        return make_response(site.rendered('confirm.html', at, {
            'number': number, 'fields': fields, 'back': backOf(form)}))


def told(back: str, word: str, number: int, left: int = 0) -> str:
    """The address to go back to, which says what was done."""
    path, _, query = back.partition('?')
    kept = [part for part in query.split('&') if part and part.partition('=')[0]
            not in ('did', 'n', 'left', 'all')]
    said: Mapping[str, object] = {'did': word, 'n': number} | ({'left': left} if left else {})
    new = [f'{key}={value}' for key, value in said.items()]
    return f'{path}?{"&".join([*kept, *new])}'


def kindOf(site: Site, visitor: Visitor, key: str) -> list[int]:
    """The jobs of a kind of failure. Raises JobNotFound without one."""
    with taken(site.app, site.target, visitor, {}) as at:
        for kind in at.failures.kinds:
            if kind.key == key:
                return list(kind.jobids)
    raise JobNotFound('No failed job of this kind is left.')


def retryKind(site: Site, visitor: Visitor, form: Form, key: str) -> Response:
    """Run all jobs of a kind of failure again."""
    jobids = kindOf(site, visitor, key)
    number = sum(each(site.app, visitor.name, jobids, DEEDS['retry']))
    return redirect(told(addressOf('errors'), 'retry', number, len(jobids) - number), 303)


def removeKind(site: Site, visitor: Visitor, form: Form, key: str) -> Response:
    """Delete all jobs of a kind of failure, after a question."""
    fields = MultiDict([('do', 'remove'), ('back', addressOf('errors'))])
    jobids = kindOf(site, visitor, key)
    return asked(site, fields, len(jobids), jobids)


