# SPDX-License-Identifier: ZPL-2.1
"""What people do with jobs: the same verbs as the command's, each in transactions that say who did
what."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import NamedTuple

from flask import make_response, redirect
from flask import url_for as addressOf
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from p01.remote import verbs
from p01.remote.engine.requests import GRACE
from p01.remote.exceptions import InputError, JobNotFound
from p01.remote.ground import clocks
from p01.remote.ground.foreign import listed
from p01.remote.ground.words import count
from p01.remote.processor import RemoteProcessor
from p01.remote.store.records import CANCELLED, DELAYED, ERROR, FINISHED, PROCESSING, QUEUED
from p01.remote.views import grammar
from p01.remote.views.errors import failuresOf
from p01.remote.views.listing import find
from p01.remote.web import lists
from p01.remote.web.access import Visitor
from p01.remote.web.site import Site, isLocal
from p01.remote.web.snapshot import change, taken

BATCHJOBS = 100          # jobs that are changed in one transaction
ATONCE = 5_000          # jobs that one request changes
Form = MultiDict[str, str]


class Verb(NamedTuple):
    """What can be done with jobs: its word for people, to jobs of which stati, and how."""

    word: str
    stati: tuple[str, ...]
    do: Callable[[RemoteProcessor, int, Visitor], bool]


def retried(processor: RemoteProcessor, jobid: int, visitor: Visitor) -> bool:
    """Run a job again."""
    return processor.retryJob(jobid)


def cancelled(processor: RemoteProcessor, jobid: int, visitor: Visitor) -> bool:
    """Cancel a job, or ask one that runs to end."""
    return processor.cancelJob(jobid, True, GRACE, visitor.name)


def removed(processor: RemoteProcessor, jobid: int, visitor: Visitor) -> bool:
    """Forget a job."""
    return verbs.remove(processor.store, jobid, clocks.now()) is not None


DEEDS = {'retry': Verb('run again', (ERROR, CANCELLED), retried),
         'cancel': Verb('cancel', (QUEUED, DELAYED, PROCESSING), cancelled),
         'remove': Verb('delete', FINISHED, removed)}


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
    number = sum(each(site, visitor, jobids, word))
    return redirect(told(back, word, number, len(jobids) - number, more), 303)


def each(site: Site, visitor: Visitor, jobids: list[int], word: str) -> Iterator[bool]:
    """Do a verb with each job, in transactions of BATCHJOBS; gives whether it could be, once it is
    committed."""
    verb = DEEDS[word]

    def some(processor: RemoteProcessor, batch: Iterable[int]) -> list[bool]:
        found = []
        for jobid in batch:
            try:
                found.append(verb.do(processor, jobid, visitor))
            except JobNotFound:
                found.append(False)
        return found

    for start in range(0, len(jobids), BATCHJOBS):
        batch = jobids[start:start + BATCHJOBS]
        what = f'{verb.word} {count(len(batch), "job")}: {listed(map(str, batch))}'
        yield from change(site.app, visitor.name, what, partial(some, batch=batch))


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
    number = sum(each(site, visitor, jobids := kindOf(site, visitor, key), 'retry'))
    return redirect(told(addressOf('errors'), 'retry', number, len(jobids) - number), 303)


def removeKind(site: Site, visitor: Visitor, form: Form, key: str) -> Response:
    """Delete all jobs of a kind of failure, after a question."""
    fields = MultiDict([('do', 'remove'), ('back', addressOf('errors'))])
    return asked(site, fields, kindOf(site, visitor, key), False, addressOf('errors'))


