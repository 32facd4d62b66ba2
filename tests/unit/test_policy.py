# SPDX-License-Identifier: ZPL-2.1
"""Retry policies are pure decisions: values in, a pause out."""
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from p01.remote.engine.verdict import Again, Failed, Task, failure
from p01.remote.exceptions import JobError, RunLater, UnknownJob
from p01.remote.options import Policy, Unique, WorkerOptions
from p01.remote.store.records import Attempt, Claim, Record

CLAIM = Claim('default')


def task(runs=0, attempts=()):
    return Task(1, Record('name', None, 0.0), CLAIM._replace(runs=runs, attempts=attempts))


def decide(error, runs=0, policy=None, chance=0.0, attempts=()):
    return failure(task(runs, attempts), policy or Policy(), error, 10.0, 11.0, 'worker', chance)


def test_four_runs_in_all_by_default():
    for runs in (1, 2, 3):
        assert Policy().pause(ValueError(), runs, 0.5) == 0
    assert Policy().pause(ValueError(), 4, 0.5) is None
    assert Policy(retries=0).pause(ValueError(), 1, 0.5) is None


def test_the_pause_doubles_up_to_the_longest():
    policy = Policy(retries=20, backoff=2, longest=60)
    assert [policy.pause(ValueError(), runs, 0)
            for runs in range(1, 8)] == [2, 4, 8, 16, 32, 60, 60]


def test_final_classes_are_not_retried():
    policy = Policy(final=(LookupError,))
    assert policy.pause(KeyError(), 1, 0) is None and policy.pause(ValueError(), 1, 0) == 0


@given(retries=some.integers(0, 10 ** 6), runs=some.integers(1, 10 ** 6),
       backoff=some.floats(0, 1e9),
       longest=some.floats(0, 1e9), chance=some.floats(0, 1))
def test_a_pause_is_bounded_whatever_comes(retries, runs, backoff, longest, chance):
    pause = Policy(retries=retries, backoff=backoff,
                   longest=longest).pause(ValueError(), runs, chance)
    assert (pause is None) == (runs > retries)
    if pause is not None:
        full = Policy(retries=retries, backoff=backoff,
                      longest=longest).pause(ValueError(), runs, 0)
        assert full / 2 <= pause <= full <= longest


def test_durations_may_be_timedeltas():
    policy = Policy(backoff=timedelta(seconds=2), timeout=timedelta(minutes=1))
    assert (policy.backoff, policy.timeout) == (2.0, 60.0)
    assert Unique('key', period=timedelta(hours=1)).period == 3600.0


# -- what follows a failure

def test_a_failure_is_retried_with_its_attempt():
    verdict = decide(ValueError('no'), policy=Policy(backoff=4), chance=1.0)
    assert isinstance(verdict, Again) and verdict.due == 11 + 2
    assert verdict.attempt == Attempt(1, 10.0, 11.0, 'worker', 'ValueError: no',
                                      verdict.attempt.trace)
    assert 'ValueError: no' in verdict.attempt.trace
    assert decide(ValueError()).due is None         # to its old place in line


def test_the_last_failure_is_an_error_with_all_attempts():
    before = (Attempt(1, 1.0, 2.0, 'other', 'first'),)
    verdict = decide(ValueError('no'), runs=3, attempts=before)
    assert isinstance(verdict, Failed)
    outcome = verdict.outcome
    assert (outcome.status, outcome.error, outcome.runs) == ('error', 'ValueError: no', 4)
    assert outcome.attempts[0] is before[0] and outcome.attempts[1].number == 4


@pytest.mark.parametrize('error', [JobError('final'), UnknownJob('final')])
def test_some_errors_are_final_and_tell_their_text_alone(error):
    verdict = decide(error)
    assert (verdict.outcome.status, verdict.outcome.error,
            verdict.outcome.runs) == ('error', 'final', 1)


def test_to_run_later_counts_nothing():
    verdict = decide(RunLater(30))
    assert verdict == Again(41.0, None, 'The job asks to run again in 30 seconds.')
    assert RunLater(timedelta(minutes=1)).delay == 60.0


class Loud(Exception):

    def __str__(self):
        return 'x' * 100_000


class Mute(Exception):

    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize('error', [
    Loud(), Mute(), JobError(), JobError(1, 'two', None), RecursionError(), SystemExit(1),
    ExceptionGroup('several', [Loud(), Mute()])])
def test_texts_are_bounded_whatever_they_are(error):
    for runs in (0, 3):
        verdict = decide(error, runs=runs)
        attempt = verdict.attempt if isinstance(verdict, Again) else verdict.outcome.attempts[-1]
        texts = [attempt.reason,
                 attempt.trace] + ([verdict.outcome.error] if isinstance(verdict, Failed) else [])
        assert all(isinstance(text, str) and len(text) <= 10_000 for text in texts)


def test_a_deep_traceback_is_bounded():
    def fall(depth):
        if depth:
            fall(depth - 1)
        raise ValueError('deep')
    try:
        fall(500)
    except ValueError as error:
        trace = decide(error).attempt.trace
    assert len(trace) < 10_000 and 'ValueError: deep' in trace


# -- options of workers

def test_worker_options_come_from_the_environment():
    found = WorkerOptions.read({'P01_REMOTE_WAIT_TIME': '2.5', 'P01_REMOTE_QUEUES': 'a b',
                                'P01_REMOTE_DRAIN': 'yes',
                                'P01_REMOTE_TOGETHER': '1', 'P01_REMOTE_THREADS': '3'},
                               threads=None, processes=2)
    assert found == WorkerOptions(processes=2, threads=3, waitTime=2.5, queues=('a', 'b'),
                                  drain=True, together=True)


@pytest.mark.parametrize('environ', [
    {'P01_REMOTE_THREADS': 'x'}, {'P01_REMOTE_THREADS': '0'}, {'P01_REMOTE_THREADS': ''},
    {'P01_REMOTE_DRAIN': 'maybe'}, {'P01_REMOTE_LEASE': '0'}])
def test_a_bad_environment_is_told(environ):
    with pytest.raises(ValueError, match=r'[Tt]hreads|THREADS|DRAIN|lease'):
        WorkerOptions.read(environ)
