# SPDX-License-Identifier: ZPL-2.1
"""What people do with jobs: the same verbs as the command's, each in transactions that say who did
what."""
from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

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
from p01.remote.wire.deeds import ATONCE, DEEDS, Verb, each

Form = MultiDict[str, str]


def act(site: Site, visitor: Visitor, form: Form) -> Response:
    """Do what a form says with the jobs that it names, or with all of its filter."""
    word = form.get('do', '')
    if word not in DEEDS:
        raise InputError('What is to be done is not known here; go back, and try again.')
    jobids, more = meant(site, visitor, form, DEEDS[word])
    return done(site, visitor, form, word, jobids, more)


def meant(site: Site, visitor: Visitor, form: Form, verb: Verb) -> tuple[list[int], bool]:
    """The jobs that a form is about, and whether there are more of its filter."""
    if 'all' not in form:
        found = [jobid for text in form.getlist('job')
                 if (jobid := lists.wholeOf(text)) is not None]
        if not found:
            raise InputError('No job was selected; select some first.')
        return list(dict.fromkeys(found)), False
    which = grammar.parse(form.get('filter', ''), clocks.now())
    stati = tuple(status for status in which.stati if status in verb.stati)
    with taken(site.app, site.target, visitor, {}) as at:
        views = list(islice(find(at.processor.store, which._replace(stati=stati)), ATONCE + 1))
    return [view.id for view in views[:ATONCE]], len(views) > ATONCE


def done(site: Site, visitor: Visitor, form: Form, word: str, jobids: list[int],
         more: bool = False) -> Response:
    """Do it, and go back; what cannot be undone is asked for first."""
    back = form.get('back', '')
    back = back if isLocal(back) else addressOf('jobs')
    if word == 'remove' and 'sure' not in form:
        return asked(site, form, jobids, more, back)
    number = sum(each(site.app, visitor.name, jobids, DEEDS[word]))
    return redirect(told(back, word, number, len(jobids) - number, more), 303)


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


