# SPDX-License-Identifier: ZPL-2.1
"""What people do with jobs: the same verbs as the command's, each in transactions that say who did
what."""
from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from flask import make_response, redirect
from flask import url_for as addressOf
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from p01.remote.exceptions import InputError, JobNotFound
from p01.remote.ground import clocks
from p01.remote.views import grammar
from p01.remote.views.errors import failuresOf
from p01.remote.views.listing import find
from p01.remote.web import lists
from p01.remote.web.access import Visitor
from p01.remote.web.site import Site, isLocal
from p01.remote.web.snapshot import taken
from p01.remote.wire.deeds import ATONCE, DEEDS, MOVE, Verb, each, verbOf

Form = MultiDict[str, str]
WHEREFROM = verbOf(MOVE, {'priority': 0})        # whatever they get


def act(site: Site, visitor: Visitor, form: Form) -> Response:
    """Do what a form says with the jobs that it names, or with all of its filter."""
    word = form.get('do', '')
    if word == MOVE and not optionsOf(form):
        return whither(site, visitor, form)
    verb = verbOf(word, optionsOf(form))
    jobids, more = meant(site, visitor, form, verb)
    return done(site, visitor, form, word, verb, jobids, more)


def optionsOf(form: Form) -> dict[str, Any]:
    """Where jobs are to be moved, as a form says it. Raises InputError."""
    queue, priority = form.get('to', '').strip(), form.get('priority', '').strip()
    return ({'queue': queue} if queue else {}) \
        | ({'priority': lists.priorityOf(priority)} if priority else {})


def meant(site: Site, visitor: Visitor, form: Form, verb: Verb) -> tuple[list[int], bool]:
    """The jobs that a form is about, and whether there are more of its filter."""
    if 'all' not in form:
        found = [jobid for text in form.getlist('job')
                 if (jobid := lists.wholeOf(text)) is not None]
        if not found:
            raise InputError('No job was selected; select some first.')
        return list(dict.fromkeys(found)), False
    which = grammar.parse(form.get('filter', ''), clocks.now())
    stati = verb.takes(which.stati)
    with taken(site.app, site.target, visitor, {}) as at:
        views = list(islice(find(at.processor.store, which._replace(stati=stati)), ATONCE + 1))
    return [view.id for view in views[:ATONCE]], len(views) > ATONCE


def done(site: Site, visitor: Visitor, form: Form, word: str, verb: Verb, jobids: list[int],
         more: bool = False) -> Response:
    """Do it, and go back; what cannot be undone is asked for first."""
    back = form.get('back', '')
    back = back if isLocal(back) else addressOf('jobs')
    if word == 'remove' and 'sure' not in form:
        return asked(site, form, jobids, more, back)
    number = sum(each(site.app, visitor.name, jobids, verb))
    return redirect(told(back, word, number, len(jobids) - number, more), 303)


def whither(site: Site, visitor: Visitor, form: Form) -> Response:
    """A page that asks where jobs are to be moved."""
    which = grammar.parse(form.get('filter', ''), clocks.now())
    with taken(site.app, site.target, visitor, {}) as at:
        queues = at.queues
        total = lists.totalOf(which._replace(stati=WHEREFROM.takes(which.stati)), queues) \
            if 'all' in form else len(set(form.getlist('job')))
        back = form.get('back', '')
        return make_response(site.rendered('move.html', at, {
            'number': total, 'queues': sorted(queues.all)[:lists.CHOICES],
            'back': back if isLocal(back) else addressOf('jobs'),
            'fields': [(key, value) for key, value in form.items(multi=True)
                       if key not in ('do', 'to', 'priority')]}))


def asked(site: Site, form: Form, jobids: list[int], more: bool, back: str) -> Response:
    """A page that asks whether so many jobs are to be deleted."""
    fields = [(key, value) for key, value in form.items(multi=True) if key not in ('sure', 'job')]
    if 'all' not in form:
        fields += [('job', str(jobid)) for jobid in jobids]
    with taken(site.app, site.target, Visitor(''), {}) as at:
        return make_response(site.rendered('confirm.html', at, {
            'number': len(jobids), 'more': more, 'fields': fields, 'back': back}))


def told(back: str, word: str, number: int, left: int = 0, more: bool = False) -> str:
    """The address to go back to, which says what was done."""
    path, _, query = back.partition('?')
    kept = [part for part in query.split('&') if part and part.partition('=')[0]
            not in ('did', 'n', 'left', 'more', 'all')]
    said: Mapping[str, object] = {'did': word, 'n': number} | ({'left': left} if left else {}) \
        | ({'more': 1} if more else {})
    new = [f'{key}={value}' for key, value in said.items()]
    return f'{path}?{"&".join([*kept, *new])}'


def kindOf(site: Site, visitor: Visitor, key: str) -> list[int]:
    """The jobs of a kind of failure. Raises JobNotFound without one."""
    with taken(site.app, site.target, visitor, {}) as at:
        for kind in failuresOf(at.processor.store).kinds:
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
    return asked(site, fields, kindOf(site, visitor, key), False, addressOf('errors'))


