# SPDX-License-Identifier: ZPL-2.1
"""Filters in words find just the jobs that a plain look at all jobs finds, on every storage; and
look at few others."""
from contextlib import ExitStack
from unittest import mock

import pytest
import transaction
from hypothesis import given
from hypothesis import strategies as some

from p01.remote import verbs
from p01.remote.store.records import Attempt, Outcome, Record
from p01.remote.store.seats import Seat
from p01.remote.store.segments import Segment
from p01.remote.views import grammar, listing
from p01.remote.views.filters import STATI, Filter
from p01.remote.views.listing import find
from tests.conftest import START, Place, commit, inside, stored

NAMES = 'echo', 'shop.echo', 'shop.mail', 'mail'
QUEUES = 'default', 'mail', 'my queue'
KEYS = None, 'u', 'echo 1'
WORKERS = 'x:1:aa', 'y:2:bb'
ERRORS = 'Timeout: too late', 'SMTPError: no such mail', 'x'
FIELDS = {'status': STATI, 'job': (*NAMES, 'none'), 'queue': (*QUEUES, 'none'),
          'worker': (*WORKERS, 'x', 'by hand'),
          'error': ('timeout', 'NO SUCH', 'x'), 'key': (*KEYS[1:], 'none'),
          'schedule': ('nightly', 'none'),
          'id': tuple(map(str, range(1, 60))),
          '': ('mail', 'SHOP', 'nightly', 'too late', 'x', '1')}

KINDS = 'add', 'add', 'commit', 'claim', 'settle', 'complete', 'retry', 'people'
digits = some.integers(0, 9)
operations = some.lists(some.tuples(some.sampled_from(KINDS), digits, digits, digits), min_size=5,
                        max_size=60)
words = some.lists(some.sampled_from(sorted(FIELDS)).flatmap(lambda field: some.tuples(
    some.booleans(), some.just(field), some.sampled_from(FIELDS[field]))), max_size=4)
instants = some.none() | some.integers(-5, 15).map(lambda shift: START + shift)


def build(processor, steps):
    """A database that came about by these steps."""
    store = processor.store
    for name in WORKERS:
        verbs.sit(store, Seat(name, 'host', 1, 'process', 'box', 60.0, START))
    for kind, one, two, three in steps:
        store = inside(processor._p_jar).store
        seat = store.seats[WORKERS[one % 2]]
        if kind == 'add':
            key = KEYS[three % 3]
            extras = {'unique': (key, 'finish', None)} if key and two == one else {}
            extras |= {'schedule': 'nightly'} if one == 3 else {}
            for _ in range(three + 1):
                verbs.add(store, Record(NAMES[one % 4], None, START - 5 + one, QUEUES[two % 3], 0,
                                        START + 1e6 if two == 9 else None, extras or None))
        elif kind == 'commit':
            commit(processor)
        elif kind == 'claim':
            verbs.claim(store, seat, three + 1, START)
        elif kind == 'settle':
            verbs.settle(store,
                         seat, {jobid: outcome(two, three)
                                for jobid in sorted(seat.claims)[:three]})
        elif kind == 'complete' and (left := sorted(set(seat.claims) - set(seat.written()))):
            verbs.complete(store, seat, {left[0]: outcome(two, three)})
        elif kind == 'retry' and (left := sorted(set(seat.claims) - set(seat.written()))):
            verbs.retry(store, seat, left[0], START + 1e6 if two % 2 else None,
                        Attempt(1, 1.0, 2.0, seat.name, ERRORS[three % 3]))
        elif kind == 'people' and (ids := list(listing.ids(store))):
            (verbs.cancel, verbs.revive,
             verbs.remove)[one % 3](store, ids[two * three % len(ids)], START + one)
    commit(processor)


def outcome(two, three):
    return Outcome('completed', None, '', 1, START, START + three) if two % 2 else \
        Outcome('error', None, ERRORS[three % 3], 1, START, START + three)


def wanted(view, terms, since, before):
    """Whether a job is meant, straight from the words."""
    extras = view.record.extras or {}
    key = extras.get('unique', [''])[0]
    own = {'status': [view.status], 'job': [view.record.name, view.record.name.split('.')[-1]],
           'queue': [view.record.queue],
           'worker': [view.worker, view.worker.split(':')[0]], 'key': [key],
           'schedule': [extras.get('schedule')],
           'id': [str(view.id)]}
    texts = [text.lower()
             for text in (view.record.name, view.record.queue, view.worker, view.error, key,
                                       extras.get('schedule', ''))]

    def holds(field, value):
        if field == 'error':
            return value.lower() in view.error.lower()
        return any(value.lower() in text for text in texts) if field == '' else value in own[field]

    for field in {field for _, field, _ in terms}:
        yes = [holds(field, value) for no, other, value in terms if other == field and not no]
        if yes and not (all if field == '' else any)(yes) \
            or any(holds(field, value) for no, other, value in terms
                                                                if other == field and no):
            return False
    at = view.outcome.completed if view.outcome else view.record.created
    return (since is None or since <= at) and (before is None or at < before)


def textOf(terms, since, before):
    found = [grammar.Term(no, field, ':', value).text for no, field, value in terms]
    found += [f'age<{START + 100 - since:g}s'] if since is not None else []
    return ' '.join(found + ([f'age>{START + 100 - before:g}s'] if before is not None else []))


def prove(store, terms, since=None, before=None):
    which = grammar.parse(textOf(terms, since, before), START + 100)
    views = [store.view(jobid) for jobid in listing.ids(store, newest=True)]
    expected = [view.id for view in views if wanted(view, terms, since, before)]
    assert [view.id for view in find(store, which)] == expected, which
    assert [view.id for view in find(store, which._replace(limit=2))] == expected[:2]
    again = grammar.parse(grammar.written(which), 0)
    assert [view.id for view in find(store, again)] == expected


filters = some.lists(some.tuples(words, instants, instants), min_size=1, max_size=20)


@given(operations, filters, some.booleans(), some.booleans())
def test_a_filter_gives_what_a_look_at_all_jobs_gives(steps, filters, few, sets):
    place = Place('memory', None)
    try:
        processor = stored(place)
        build(processor, steps)
        with ExitStack() as patched:
            if few:
                patched.enter_context(mock.patch.object(listing, 'FEWINLINE', 0))
            if sets:
                patched.enter_context(mock.patch.object(listing, 'SETS', 0))
            for terms, since, before in filters:
                prove(processor.store, terms, since, before)
    finally:
        transaction.abort()
        place.close()


STEPS = [(kind, number % 10, number * 7 % 10, number * 3 % 10) for number in range(12) for kind in
         ('add', 'commit', 'claim', 'settle', 'add', 'complete', 'retry', 'people')]
STEPS += [('people', 0, 9, number) for number in range(10)] + [('add', 1, 1, 2), ('claim', 0, 0, 1)]


def test_each_field_on_every_storage(place):
    processor = stored(place)
    build(processor, STEPS)
    for field, values in FIELDS.items():
        for value in values:
            for no in (False, True):
                prove(processor.store, [(no, field, value)])
    found = {view.status for view in find(processor.store)}
    assert found == set(STATI)


@pytest.fixture
def crowd(memory, monkeypatch):
    """Some 60 segments of jobs that completed, among them three that failed; gives how many
    segments a filter looks at."""
    processor = stored(memory)
    for number in range(60):
        for _ in range(30):
            verbs.add(processor.store, Record('echo', None, START, 'default'))
        if number % 20 == 0:
            verbs.add(processor.store, Record('shop.fatal', None, START, 'mail', 0, None,
                                              {'unique': (f'u{number}', 'finish', None)}))
        commit(processor)
    seat = Seat('w:1:1', 'host', 1, 'process', 'box', 60.0, START)
    verbs.sit(processor.store, seat)
    while claimed := verbs.claim(processor.store, seat, 100, START):
        entries = processor.store.entries(claimed)
        verbs.settle(processor.store, seat, {
            jobid: Outcome(*(('completed', None, '') if record.name == 'echo' else
                             ('error', None, 'Timeout')), 1, START, START + 1, seat.name)
            for jobid, (_, record) in zip(claimed, list(entries))})
        commit(processor)
    loaded = set()
    load = Segment.__setstate__
    monkeypatch.setattr(Segment,
                        '__setstate__', lambda self, state: (loaded.add(self._p_oid),
                                                             load(self, state))[1])

    def crowd(text):
        processor._p_jar.cacheMinimize()
        loaded.clear()
        list(processor.store.untaken())         # in segments that may have more
        open = len(loaded)
        processor._p_jar.cacheMinimize()
        loaded.clear()
        return len(list(find(processor.store, grammar.parse(text, START)))), len(loaded) - open
    return crowd


@pytest.mark.parametrize('text, number, most', [
    ('error:timeout', 3, 3), ('job:fatal', 3, 3), ('queue:mail timeout', 3, 3),
    ('status:error -error:timeout', 0, 3), ('id:31', 1, 1), ('id:31 id:5 status:error', 1, 2),
    ('-queue:default', 3, 3), ('error:timeout -job:fatal', 0, 3), ('status:error key:u20', 1, 3),
    ('job:fatal u20', 1, 3), ('status:error age>1h', 0, 3), ('worker:w timeout', 3, 100)])
def test_a_filter_looks_only_where_its_jobs_may_be(crowd, text, number, most):
    found, segments = crowd(text)
    assert found == number and segments <= most


def test_the_default_is_all_and_an_unknown_status_is_refused(memory):
    processor = stored(memory)
    build(processor, STEPS)
    assert [view.id
            for view in find(processor.store)] == list(listing.ids(processor.store, newest=True))
    with pytest.raises(Exception, match='did you mean error'):
        list(find(processor.store, Filter(('failed',))))
