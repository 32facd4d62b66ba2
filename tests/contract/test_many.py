# SPDX-License-Identifier: ZPL-2.1
"""Many calls enqueued at once: all of them or none, in order."""
import operator

import pytest

from p01.remote import App, current
from p01.remote.exceptions import ArgumentsError, InputError, RegistrationError
from p01.remote.views import figures, listing

application = App('memory:')


@application.job
def power(base, exponent=2):
    current.root['order'] = (*current.root.get('order', ()), base)
    return base ** exponent


@application.job
def size(text):
    return len(text)


def count(app):
    with app.transaction():
        return len(list(listing.ids(app.processor.store)))


def test_a_call_is_a_tuple_a_dict_or_one_argument(app):
    handles = power.enqueueMany([(2, 3), {'base': 3}, 4, (5,), {'exponent': 1, 'base': 6}])
    assert app.drain() == 5
    assert [handle.result(0) for handle in handles] == [8, 9, 16, 25, 6]
    with app.transaction() as root:
        assert root['order'] == (2, 3, 4, 5, 6)


def test_map_is_as_the_built_in_one(app):
    bases, exponents = [2, 3, 4], (number for number in (1, 2, 3, 4))
    handles = power.map(bases, exponents)
    assert app.drain() == 3
    assert [handle.result(0) for handle in handles] == list(map(pow, bases, (1, 2, 3)))
    [pair] = size.map([('a', 'b')])         # a tuple is one argument here
    assert app.drain() == 1 and pair.result(0) == 2


def test_without_a_transaction_around_them_they_are_one(app):
    power.enqueue(1)
    with app.transaction():
        before = figures.exact(app.processor.store)
    handles = power.map(range(100))
    assert count(app) == 101 and before != {}
    assert [handle.id for handle in handles] == sorted({handle.id for handle in handles})
    assert {handle.status for handle in handles} == {'queued'}


def test_they_join_the_transaction_around_them(app):
    with app.transaction() as root:
        root['data'] = 1
        power.map(range(3))
        power.enqueueMany(iter([1, 2]))
        assert count(app) == 5
    assert count(app) == 5
    with pytest.raises(ZeroDivisionError), app.transaction() as root:
        root['data'] = 2
        power.map(range(3))
        raise ZeroDivisionError
    assert count(app) == 5


def test_none(app):
    assert power.enqueueMany([]) == [] and power.map([]) == []
    assert count(app) == 0


@pytest.mark.parametrize('wrong, error', [((1, 2, 3),
                                           ArgumentsError), ({'nobase': 1}, ArgumentsError),
                                          (lambda: None, InputError)])
def test_one_that_cannot_be_taken_keeps_all_out_and_is_named(app, wrong, error):
    with app.transaction() as root:
        root['data'] = 1
        with pytest.raises(error, match=r'^Call 3 of 1,001: '):
            power.enqueueMany([1, 2, wrong, *range(998)])
    assert count(app) == 0
    with pytest.raises(error) as caught:
        power.enqueueMany([wrong])
    assert not str(caught.value).startswith('Call')
    assert count(app) == 0 and app.drain() == 0


def test_what_fails_while_it_is_gathered_enqueues_nothing(app):
    with pytest.raises(ZeroDivisionError):
        power.map(1 // number for number in (1, 0))
    assert count(app) == 0


def test_options_hold_for_all(app):
    handles = power.using(priority=5, queue='later', delay='1h').map(range(3))
    with app.transaction():
        jobs = [handle.job for handle in handles]
        assert {(job.priority, job.queue, job.status) for job in jobs} == {(5, 'later', 'delayed')}
        assert len({job.queued for job in jobs} | {job.created for job in jobs}) >= 3
    with pytest.raises(InputError):
        power.using(delay=1, at=2).map(range(3))


def test_one_key_for_all_of_them_is_one_job(app):
    handles = power.using(unique='only').map(range(3))
    assert len({handle.id for handle in handles}) == 1 and count(app) == 1


def test_the_transaction_stays_usable(app):
    with app.transaction():
        first = power.enqueue(2)
        with pytest.raises(ArgumentsError):
            power.enqueueMany([(), ()])
        rest = power.map([3])
    app.drain()
    assert list(map(operator.methodcaller('result', 0), (first, *rest))) == [4, 9]


def test_a_function_that_no_worker_would_find_is_refused():
    def local(number):
        """Nobody finds it."""

    with pytest.raises(RegistrationError):
        application.job(local).map([1])
