# SPDX-License-Identifier: ZPL-2.1
"""Jobs that share a commit, on every storage: what is lost with one that fails, and what cannot be
shared."""
import time
from collections import Counter

import pytest
import transaction
import zope.event
from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping
from zope.component.hooks import getSite, setSite

from p01.remote import current, events
from p01.remote.engine import group, sizes
from p01.remote.engine.loop import Loop
from p01.remote.exceptions import JobError, RunLater
from p01.remote.job import Job
from p01.remote.options import Policy, WorkerOptions
from p01.remote.storage.places import traverse
from tests.conftest import NAME, counted, unhurry

heard = []          # what hooks and data managers say


class Thing(PersistentMapping):
    """An object of the application."""


class Does(Job):
    """Writes its key, then does what it is told to."""

    policy = Policy(retries=0)
    together = True

    def __call__(self, remoteProcessor):
        key, step = self.input
        thing = current.root['things'][key]
        thing['runs'] = thing.get('runs', 0) + 1
        return STEPS[step](key) if step else key


class Alone(Does):
    """Does the same, and shares nothing."""

    together = False


class Away(Job):
    """Has no transaction."""

    detached = True

    def __call__(self, remoteProcessor):
        return 'away'


class Looks(Job):
    """Changes nothing; says how many have written so far."""

    together = True

    def __call__(self, remoteProcessor):
        return sum('runs' in thing for thing in current.root['things'].values())


class Manager:
    """A data manager that knows no savepoints."""

    def __init__(self, key):
        self.key = key
        self.transaction_manager = transaction.manager.manager

    def sortKey(self):
        return '~'

    def tpc_finish(self, transaction):
        heard.append((self.key, 'finish'))

    def abort(self, transaction):
        heard.append((self.key, 'abort'))

    def ignore(self, transaction):
        pass

    tpc_begin = commit = tpc_vote = tpc_abort = ignore


class Knows(Manager):
    """One that has savepoints which cannot be gone back to."""

    def savepoint(self):
        return self

    def rollback(self):
        raise RuntimeError('it cannot go back')


class Unpicklable:
    def __getstate__(self):
        raise ValueError('not this one')


def fails(key):
    current.root['things'][key]['x'] = 1
    raise JobError('no')


def part(key):
    """A part of it fails, and it goes on."""
    app = current.processor
    savepoint = transaction.savepoint()
    current.root['things'][key]['runs'] = 1000
    app.processJob('does', (0, ''))
    savepoint.rollback()


def undoes(key):
    transaction.abort()
    current.root['things'][key]['runs'] = 1


def swallows(key):
    """Old code that wants no errors from its commit."""
    try:
        transaction.commit()
    except Exception:
        heard.append((key, 'swallowed'))


def hooks(key):
    transaction.get().addAfterCommitHook(lambda done: heard.append((key, 'after', done)))
    transaction.get().addBeforeCommitHook(lambda: heard.append((key, 'before')))


def hooksAndFails(key):
    hooks(key)
    current.processor.processJob('does', (key, ''))
    raise JobError('no')


def trips(key):
    def trip():
        raise RuntimeError('a hook that fails')
    transaction.get().addBeforeCommitHook(trip)


def unpicklable(key):
    current.root['things'][key]['x'] = Unpicklable()


def moves(key):
    heard.append((key, getSite()))
    setSite(Moved())
    transaction.get().addBeforeCommitHook(lambda: heard.append((key, type(getSite()))))


class Moved:
    """A site that a job is in."""

    def getSiteManager(self):
        from zope.component import getGlobalSiteManager
        return getGlobalSiteManager()


def notes(key):
    transaction.get().note(f'job {key}')


def follows(key):
    current.processor.processJob('does', (key + 50, ''))


def grows(key):
    """Returns what others change."""
    thing = current.root['things'][99]
    thing.setdefault('list', []).append(key)
    thing['list'] = thing['list']
    return thing['list']


def keeps(key):
    heard.append(transaction.savepoint())


def wayBack(key):
    """Takes back what others did, by a savepoint of theirs."""
    if heard:
        heard.pop().rollback()


def later(key):
    if key not in heard:
        heard.append(key)
        raise RunLater(3600)


def conflict(key):
    """Reads what its snapshot cannot show, once."""
    if key not in heard:
        heard.append(key)
        raise transaction.interfaces.TransientError('read again')


NAMES = ('looks', 'alone', 'away')      # of jobs, each a step of its own
STEPS = {
    'fails': fails, 'part': part, 'commit': lambda key: transaction.commit(), 'abort': undoes,
    'begin': lambda key: transaction.begin(), 'doom': lambda key: transaction.doom(),
    'swallows': swallows,
    'joins': lambda key: transaction.get().join(Manager(key)),
    'knows': lambda key: transaction.get().join(Knows(key)),
    'joins and fails': lambda key: (transaction.get().join(Manager(key)), fails(key)),
    'knows and fails': lambda key: (transaction.get().join(Knows(key)), fails(key)),
    'grows': grows, 'keeps': keeps, 'way back': wayBack,
    'hooks': hooks, 'hooks and fails': hooksAndFails, 'trips': trips, 'unpicklable': unpicklable,
    'moves': moves,
    'notes': notes, 'follows': follows, 'later': later, 'conflict': conflict,
    'big': lambda key: 'x' * 5000,
    'refers': lambda key: current.root['things'][key], 'new': lambda key: Thing(key=key),
    'bad output': lambda key: Unpicklable(),
    'no memory': lambda key: (_ for _ in ()).throw(MemoryError()),
}


@pytest.fixture
def loop(place, processor):
    heard.clear()
    root = processor._p_jar.root()
    root['things'] = OOBTree({key: Thing() for key in range(100)})
    processor.addJob('does', Does())
    processor.addJob('odd', Does())
    for name, job in ('looks', Looks()), ('alone', Alone()), ('away', Away()):
        processor.addJob(name, job)
    processor._p_jar.transaction_manager.commit()
    found = Loop(place.db, lambda connection: traverse(connection, [NAME]), 'one',
                 WorkerOptions(drain=True))
    found.ready()
    found.batch.average = 1e-4        # it claims them all at once
    yield found
    found.close()


@pytest.fixture
def unhurried(monkeypatch):
    """However slow this machine is, what is to share a commit does."""
    unhurry(monkeypatch)


def enqueue(processor, *steps):
    """A job for each step, its key where it stands; the ids."""
    ids = [processor.processJob(step if step in NAMES else 'does' if step in ('', 'hooks')
                                else 'odd',
                                (key, '' if step in NAMES else step))
           for key, step in enumerate(steps)]
    processor._p_jar.transaction_manager.commit()
    return ids


def work(loop, processor):
    """Run what is due; how often each key was written, and in which commit it was so last."""
    while not (wait := loop.poll(time.time())) or not loop.idle:
        assert wait < 60
    processor._p_jar.transaction_manager.begin()
    things = processor._p_jar.root()['things']
    runs = {key: thing['runs'] for key, thing in things.items() if 'runs' in thing}
    return runs, {key: things[key]._p_serial for key in runs}


def stati(processor, ids):
    return [processor.getJobStatus(jobid) for jobid in ids]


def test_what_they_do_is_one_commit(loop, processor, unhurried):
    ids = enqueue(processor, *[''] * 20)
    runs, commits = work(loop, processor)
    assert runs == dict.fromkeys(range(20), 1)
    assert len(set(commits.values())) == 1
    assert [processor.getJobResult(jobid) for jobid in ids] == list(range(20))
    assert counted(processor) == {'completed': 20}
    assert loop.done == 20


@pytest.mark.parametrize('together, more', [(False, False), (False, True), (True, False)])
def test_only_those_that_want_to_share(place, loop, processor, unhurried, monkeypatch, together,
                                       more):
    monkeypatch.setattr(Does, 'together', together)
    other = Loop(place.db, loop.locate, 'other', WorkerOptions(drain=True, together=more))
    other.ready()
    other.batch.average = 1e-4
    enqueue(processor, *[''] * 5)
    _, commits = work(other, processor)
    other.close()
    assert len(set(commits.values())) == (1 if together or more else 5)


def test_a_commit_is_for_so_much_work_at_most(loop, processor, monkeypatch):
    monkeypatch.setattr(sizes, 'LONGALONE', 60.0)
    monkeypatch.setattr(group, 'GROUPLASTS', 0.0)
    enqueue(processor, *[''] * 5)
    _, commits = work(loop, processor)
    assert len(set(commits.values())) == 5


def test_and_for_so_many_changes(loop, processor, unhurried, monkeypatch):
    monkeypatch.setattr(group, 'WEIGHT', 1)
    enqueue(processor, *[''] * 6)
    _, commits = work(loop, processor)
    # the first one's are counted when the second one has run
    assert len(set(commits.values())) == 3


def test_jobs_between_them_see_what_they_did_and_end_with_them(loop, processor, unhurried):
    ids = enqueue(processor, 'looks', '', 'looks', '', 'fails', 'looks', '')
    _, commits = work(loop, processor)
    assert [processor.getJobResult(ids[number]) for number in (0, 2, 5)] == [0, 1, 2]
    assert set(commits) == {1, 3, 6} and len(set(commits.values())) == 1


@pytest.mark.parametrize('step', ['fails', 'joins and fails', 'hooks and fails', 'bad output',
                                  'no memory'])
@pytest.mark.parametrize('at', [0, 2, 4])
def test_one_that_fails_takes_only_what_it_did_with_it(loop, processor, unhurried, step, at):
    steps = ['hooks'] * 5
    steps[at] = step
    ids = enqueue(processor, *steps)
    runs, commits = work(loop, processor)
    others = [key for key in range(5) if key != at]
    assert runs == dict.fromkeys(others, 1)
    assert stati(processor, ids) == ['error' if key == at else 'completed' for key in range(5)]
    failed = processor.getJob(ids[at])
    assert (failed.runCounter, len(failed.attempts)) == (1, 1)
    assert len(set(commits.values())) == (2 if step == 'no memory' and at == 2 else 1)
    assert [entry for entry in heard
            if entry[1] == 'after'] == [(key, 'after', True) for key in others]
    assert counted(processor) == {'completed': 4, 'error': 1}       # what it enqueued is not there


@pytest.mark.parametrize('step', ['unpicklable', 'trips', 'knows and fails'])
def test_where_nobody_knows_whose_it_is_each_runs_by_itself(loop, processor, unhurried, step):
    ids = enqueue(processor, '', '', step, '', '')
    runs, _ = work(loop, processor)
    assert runs == {0: 1, 1: 1, 3: 1, 4: 1}
    assert stati(processor, ids) == ['completed', 'completed', 'error', 'completed', 'completed']
    assert [processor.getJob(jobid).runCounter for jobid in ids] == [1] * 5


@pytest.mark.parametrize('step, runs, status', [
    ('commit', 1, 'completed'), ('abort', 1, 'completed'), ('begin', None,
                                                            'error'), ('doom', None, 'error'),
    ('swallows', 1, 'completed'), ('conflict', 1, 'completed')])
def test_one_that_cannot_be_among_others_runs_by_itself(loop, processor, unhurried, step, runs,
                                                        status):
    ids = enqueue(processor, '', '', step, '', '')
    found, commits = work(loop, processor)
    assert found == {0: 1, 1: 1, 3: 1, 4: 1} | ({2: runs} if runs else {})
    assert stati(processor, ids) == ['completed', 'completed', status, 'completed', 'completed']
    assert commits[0] == commits[1] < commits[3] == commits[4]
    assert loop.group.apart == (set() if step == 'conflict' else {'odd'})


def test_one_that_ended_its_transaction_is_not_tried_again_among_others(loop, processor, unhurried):
    enqueue(processor, '', 'swallows', '', 'swallows', 'swallows', '')
    work(loop, processor)
    assert heard == [(1, 'swallowed')]          # among others it cannot commit, by itself it can


@pytest.mark.parametrize('step', ['joins', 'notes'])
def test_what_can_have_none_behind_it_is_the_last_of_its_commit(loop, processor, unhurried, step):
    enqueue(processor, '', step, '', '')
    runs, commits = work(loop, processor)
    assert runs == dict.fromkeys(range(4), 1)
    assert commits[0] == commits[1] < commits[2] == commits[3]
    assert step != 'joins' or heard == [(1, 'finish')]


def test_a_job_may_take_a_part_of_its_own_back(loop, processor, unhurried):
    enqueue(processor, '', 'part', '')
    runs, commits = work(loop, processor)
    assert runs == {0: 1, 1: 1, 2: 1} and len(set(commits.values())) == 1


def test_nobody_takes_back_what_others_did(loop, processor, unhurried):
    ids = enqueue(processor, 'keeps', '', 'way back', '')
    runs, _ = work(loop, processor)
    assert runs == {0: 1, 1: 1, 3: 1}
    assert stati(processor, ids) == ['completed', 'completed', 'error', 'completed']


def test_those_that_share_nothing_are_between_the_others(loop, processor, unhurried):
    ids = enqueue(processor, '', '', 'alone', '', '', 'away', '', '')
    runs, commits = work(loop, processor)
    assert runs == dict.fromkeys([0, 1, 2, 3, 4, 6, 7], 1)
    assert commits[0] == commits[1] < commits[2] < commits[3] == commits[4] < commits[6] == commits[
        7]
    assert [processor.getJobResult(jobid) for jobid in ids] == [0, 1, 2, 3, 4, 'away', 6, 7]


def test_a_result_is_what_it_was_when_the_job_returned_it(loop, processor, unhurried):
    ids = enqueue(processor, 'grows', 'grows', 'fails', 'grows')
    _, commits = work(loop, processor)
    assert [processor.getJobResult(jobid) for jobid in ids] == [[0], [0, 1], None, [0, 1, 3]]
    assert len(set(commits.values())) == 1


def test_one_that_failed_runs_again_when_it_is_due(loop, processor, unhurried, monkeypatch):
    monkeypatch.setattr(Does, 'policy', Policy(retries=2, backoff=60))
    monkeypatch.setitem(STEPS, 'fails', lambda key: heard.append(key) or 1 / (len(heard) - 1))
    ids = enqueue(processor, '', 'fails', '')
    assert work(loop, processor)[0] == {0: 1, 2: 1}
    assert stati(processor, ids) == ['completed', 'delayed', 'completed']
    loop.poll(time.time() + 3600)
    assert work(loop, processor)[0] == {0: 1, 1: 1, 2: 1}
    job = processor.getJob(ids[1])
    assert (job.status, job.runCounter, len(job.attempts)) == ('completed', 2, 1)


def test_what_they_enqueue_follows(loop, processor, unhurried):
    enqueue(processor, 'follows', 'follows', 'fails', 'follows')
    runs, _ = work(loop, processor)
    assert runs == dict.fromkeys([0, 1, 3, 50, 51, 53], 1)


def test_surroundings_of_one_are_nobody_elses(loop, processor, unhurried):
    enqueue(processor, '', 'moves', 'moves', '')
    runs, _ = work(loop, processor)
    assert runs == dict.fromkeys(range(4), 1)
    # each began without, and its hooks were where it went
    assert {site for _, site in heard} == {None, Moved}


@pytest.mark.parametrize('step', ['big', 'refers', 'new'])
def test_outputs_of_all_kinds(loop, processor, unhurried, step):
    ids = enqueue(processor, '', step, step, '')
    _, commits = work(loop, processor)
    assert len(set(commits.values())) == 1
    found = processor.getJobResult(ids[1])
    assert found == 'x' * 5000 if step == 'big' else isinstance(found, Thing)


def test_one_that_asks_to_run_later(loop, processor, unhurried):
    ids = enqueue(processor, '', 'later', '')
    assert work(loop, processor)[0] == {0: 1, 2: 1}
    assert stati(processor, ids) == ['completed', 'delayed', 'completed']
    assert processor.getJob(ids[1]).runCounter == 0


def test_what_happened_is_told_behind_the_commit_and_once(loop, processor, unhurried, told):
    ids = enqueue(processor, '', 'fails', '', 'unpicklable', '')

    def status(event):
        if isinstance(event, events.JobCompleted | events.JobErred):
            processor._p_jar.transaction_manager.begin()
            heard.append(processor.getJobStatus(event.id))

    zope.event.subscribers.append(status)
    try:
        work(loop, processor)
    finally:
        zope.event.subscribers.remove(status)
    ends = [event for event in told if isinstance(event, events.JobCompleted | events.JobErred)]
    assert Counter((type(event).__name__, event.id) for event in ends) == Counter(
        ('JobErred' if key in (1, 3) else 'JobCompleted', jobid) for key, jobid in enumerate(ids))
    assert all(event.attempt == 1 for event in ends)
    assert set(heard) <= {'completed', 'error'}


def test_who_is_told_to_stop_has_committed_what_is_done(loop, processor, unhurried, monkeypatch):
    monkeypatch.setitem(STEPS, 'stop', lambda key: loop.stop())
    ids = enqueue(processor, '', 'stop', '', '')
    loop.poll(time.time())
    loop.close()
    processor._p_jar.transaction_manager.begin()
    assert stati(processor, ids) == ['completed', 'completed', 'queued', 'queued']
    assert counted(processor) == {'completed': 2, 'queued': 2}
