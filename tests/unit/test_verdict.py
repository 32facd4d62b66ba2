# SPDX-License-Identifier: ZPL-2.1
"""The verdict in words: what it says of each way things may stand, and what is to be done."""
import pytest

from p01.remote.views.errors import Failure, Failures
from p01.remote.views.filters import STATI
from p01.remote.views.queues import Queue, Queues
from p01.remote.views.verdict import FINE, HALTED, UNSURE, Evidence, verdictOf
from p01.remote.views.workers import Worker

NOW = 1_900_000_000.0
ALIVE = Worker('w:1:1', 'w', 'host', 1, 'p', 'alive', True, '', NOW - 60, NOW, (), '', (), (), {},
               '', 0.0)
DEAD = ALIVE._replace(name='v:1:1', state='dead', alive=False, death='killed')


def queue(name, paused=False, **counts):
    return Queue(name, {**dict.fromkeys(STATI, 0), **counts}, paused, None)


def failed(number, ago=60.0, job='shop.mail', key='key'):
    return Failure(key, job, 'SMTPError', 'no', 'smtp.py:8 send', tuple(range(number, 0, -1)),
                   tuple(NOW - ago for _ in range(number)))


def judged(queues=(), workers=(ALIVE,), kinds=(), oldest=None, alone=None, rate=0.0, **more):
    total = sum(len(kind.jobids) for kind in kinds)
    return verdictOf(Evidence(Queues({each.name: each for each in queues}, False), list(workers),
                              rate, Failures(tuple(kinds), total, total, True), oldest, alone or {},
                              'tasks:app', NOW, **more))


@pytest.mark.parametrize('given, kind, sentence, step', [
    ({}, FINE, 'All is ready: there are no jobs yet.',
     "p01-remote enqueue tasks:app NAME '[arguments]'"),
    ({'queues': [queue('a', completed=9)], 'rate': 70.4}, FINE,
     'All is well: 70 jobs a minute, nothing late, nothing failing.', 'Nothing.'),
    ({'queues': [queue('a', completed=9)]}, FINE,
     'All is well: nothing is late, and nothing keeps failing.', 'Nothing.'),
    ({'queues': [queue('a', completed=9)], 'rate': 1.2}, FINE,
     'All is well: 1 job a minute, nothing late, nothing failing.', 'Nothing.'),
    ({'queues': [queue('a', error=2)], 'kinds': [failed(2)], 'rate': 2}, FINE,
     'All is well: 2 jobs a minute, nothing late, 2 failed within the hour.', 'See the failures'),
    ({'queues': [queue('a', error=2)], 'kinds': [failed(2)]}, FINE,
     'All is well: nothing is late, 2 failed within the hour.', 'See the failures'),
    ({'queues': [queue('a', completed=9)], 'workers': (), 'due': 1}, HALTED,
     'Nothing runs: no worker is alive, and a schedule is due.', 'p01-remote worker tasks:app'),
    ({'queues': [queue('a', completed=9)], 'due': 2, 'overdue': 2}, UNSURE,
     'Work stands still, but schedules are late.', 'p01-remote doctor tasks:app'),
    ({'workers': (), 'due': 3}, HALTED,
     'Nothing runs: no worker is alive, and schedules are due.', 'p01-remote worker tasks:app'),
    ({'queues': [queue('a', queued=1930)], 'workers': ()}, HALTED,
     'Nothing runs: no worker is alive, and 1,930 jobs wait.', 'p01-remote worker tasks:app'),
    ({'queues': [queue('a', queued=1)], 'workers': [DEAD]}, HALTED,
     'Nothing runs: no worker is alive, and 1 job waits.', 'p01-remote worker tasks:app'),
    ({'queues': [queue('mail', queued=318, processing=8)], 'oldest': ('mail', NOW - 372)}, UNSURE,
     'Work is flowing, but mail is 6.2 min late.', 'p01-remote worker tasks:app --queue mail'),
    ({'queues': [queue('mail', queued=3)], 'alone': {'mail': 3}}, UNSURE,
     'Work stands still, but nobody serves mail.', 'p01-remote worker tasks:app --queue mail'),
    ({'queues': [queue('a', error=5)], 'kinds': [failed(5)], 'rate': 3}, UNSURE,
     'Work is flowing, but one kind of job keeps failing.', 'See the failures'),
    ({'queues': [queue('a', error=5)], 'kinds': [failed(5, 7200)], 'rate': 3}, FINE,
     'All is well: 3 jobs a minute, nothing late, nothing failing.', 'See the failures'),
    ({'queues': [queue('a', error=2)], 'kinds': [failed(5, 99999)], 'rate': 3}, FINE,
     'All is well: 3 jobs a minute, nothing late, nothing failing.', 'Nothing.'),
    ({'queues': [queue('a', paused=True, queued=4)]}, FINE,
     'All is well: nothing is late, and nothing keeps failing.', 'Resume a'),
])
def test_it_says_how_all_stands_and_what_to_do(given, kind, sentence, step):
    found = judged(**given)
    assert (found.kind, found.sentence) == (kind, sentence)
    assert step in (found.step.text, found.step.command, found.step.label)


def test_three_things_at_once_are_one_sentence():
    found = judged([queue('mail', queued=9, processing=1), queue('b', queued=1)],
                   oldest=('mail', NOW - 600), alone={'b': 1}, kinds=[failed(3), failed(4)])
    assert found.sentence == ('Work is flowing, but nobody serves b, mail is 10 min late and '
                              '2 kinds of job keep failing.')
    assert found.fails.strong == 'shop.mail' and '4 times since' in found.fails.text


def test_the_dead_are_counted():
    assert '1 of 2 workers has died.' in judged(workers=[ALIVE, DEAD]).flow.text
    assert 'Its one worker is alive.' in judged().flow.text
    assert 'No worker runs.' in judged(workers=()).flow.text


def test_what_to_see_is_what_keeps_failing_now():
    found = judged([queue('a', error=55)], kinds=[failed(50, 7200, 'shop.old', 'old'),
                                                  failed(5, key='new')], rate=3)
    assert 'one kind of job keeps failing' in found.sentence
    assert (found.fails.strong, found.step.subject) == ('shop.old', 'new')
