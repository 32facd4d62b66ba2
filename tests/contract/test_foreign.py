# SPDX-License-Identifier: ZPL-2.1
"""Other people's code on every storage: whatever it raises ends its own job, is told of once, and
all others run."""
import asyncio
import sys
import time
import types

import pytest
import transaction
import zope.component
import zope.event
from persistent import Persistent
from zope.interface import Interface

from p01.remote import events, verbs
from p01.remote.engine import outage
from p01.remote.engine.loop import Loop
from p01.remote.exceptions import NotCommitted, RunLater
from p01.remote.ground import subscribers
from p01.remote.job import Job
from p01.remote.options import Policy, WorkerOptions
from p01.remote.storage.places import traverse
from tests.conftest import NAME

ERRORS = [ValueError, SystemExit, GeneratorExit, asyncio.CancelledError, MemoryError,
          StopIteration, BaseException]


class Silent(Exception):
    """An error whose text raises, too."""

    def __str__(self):
        raise SystemExit('no text')

    __repr__ = __str__


class Output:
    """Can be made, and not be pickled: whatever it raises."""

    def __init__(self, kind):
        self.kind = kind

    def __reduce__(self):
        raise self.kind('no pickle')


class Input:
    """Can be pickled, and not be unpickled."""

    def __init__(self, kind):
        self.kind = kind

    def __setstate__(self, state):
        raise state['kind']('no unpickling')


class Raises(Job):
    policy = Policy(retries=0)

    def __call__(self, remoteProcessor):
        raise self.input


class Returns(Job):
    def __call__(self, remoteProcessor):
        return self.input() if callable(self.input) else self.input


class Returned(Job):
    """Gives back what cannot be kept."""

    def __init__(self, make):
        self.make = make
        self.ran = 0

    def __call__(self, remoteProcessor):
        return self.make()


class Hooked(Job):
    """Adds a hook to its transaction that raises."""

    policy = Policy(retries=0)

    def __call__(self, remoteProcessor):
        remoteProcessor._p_jar.root()['hooked'] = 1
        add, kind = self.input
        getattr(transaction.get(), add)(explode, (kind,))
        if 'Abort' in add:
            raise ValueError('so that it is aborted')


ASKED = ['policy', 'detached', 'together', 'ready', 'perform']     # of a behaviour


class Odd(Job):
    """A behaviour that raises before it is called."""

    def __init__(self, where, kind):
        self.where, self.kind = where, kind

    def __getattribute__(self, name):
        get = super().__getattribute__
        if name in ASKED and get('where') == name and name not in get('__dict__'):
            raise get('kind')(name)
        return get(name)

    def __call__(self, remoteProcessor):
        return 'called'


class OddPolicy(Policy):
    def pause(self, error, runs, chance):
        raise SystemExit('no pause')


class OddKind(type):
    def __instancecheck__(cls, value):
        raise SystemExit('no idea')


class OddFinal(Exception, metaclass=OddKind):
    pass


def explode(*args):
    raise args[-1]('exploded')


async def later():
    return 1


def several():
    yield 1


async def endless():
    yield 1


@pytest.fixture
def run(place, processor, told):
    """Run what is due, as a worker does, and say what became of a job, with the errors that were
    told."""
    processor.addJob('raises', Raises())
    processor.addJob('returns', Returns())
    processor.addJob('hooked', Hooked())
    processor._p_jar.transaction_manager.commit()

    def run(jobid, hours=1):
        after = processor.processJob('echo', 'after')
        processor._p_jar.transaction_manager.commit()
        for hour in range(hours):
            loop = Loop(place.db, lambda connection: traverse(connection, [NAME]), 'one')
            try:
                loop.ready()
                while not loop.poll(time.time() + hour * 3600):
                    pass
            finally:
                loop.close()
        processor._p_jar.transaction_manager.begin()
        assert processor.getJobResult(after) == 'after'
        job = processor.getJob(jobid)
        erred = [event for event in told if isinstance(event, events.JobErred)]
        assert [(event.id, event.name, event.reason) for event in erred] \
            == ([(jobid, job.name, job.error)] if job.status == 'error' else [])
        return job, erred
    return run


@pytest.mark.parametrize('kind', [*ERRORS, Silent], ids=lambda kind: kind.__name__)
def test_whatever_a_job_raises_fails_it_alone(run, processor, kind):
    job, [told] = run(processor.processJob('raises', kind('x')))
    assert (job.status, job.runCounter, told.cause) == ('error', 1, 'error')
    assert kind.__name__ in job.error


@pytest.mark.parametrize('kind', [ValueError, SystemExit, GeneratorExit])
def test_an_input_that_raises_when_it_is_loaded(run, processor, kind):
    job, [_told] = run(processor.processJob('returns', Input(kind)), 4)
    assert (job.status, job.runCounter) == ('error', 4)
    assert 'no unpickling' in job.error


@pytest.mark.parametrize('make, said', [
    (lambda: Output(ValueError), 'cannot be pickled (ValueError: no pickle); return plain values'),
    (lambda: Output(SystemExit), 'cannot be pickled (SystemExit: no pickle)'),
    (lambda: explode, None), (lambda: 'x' * 2_000_000, 'or raise outputLimit'),
    (lambda: (lambda: 1), 'cannot be pickled'), (later,
                                                 'is a coroutine'), (several, 'is a generator'),
    (endless, 'is an asynchronous generator')],
    ids=['raises', 'exits', 'function', 'large', 'lambda', 'coroutine', 'generator',
         'asynchronous'])
@pytest.mark.filterwarnings('error')
def test_what_no_run_can_return_is_not_tried_again(run, processor, monkeypatch, make, said):
    ran = []
    monkeypatch.setattr(Returns, '__call__', lambda self, remoteProcessor: ran.append(1) or make())
    job, _told = run(processor.processJob('returns'))
    assert ran == [1]
    assert (job.status, job.runCounter) == ('completed' if said is None else 'error', 1)
    assert (said or '') in job.error
    assert 'inputLimit' not in job.error


def test_what_waits_for_itself_is_not_tried_again(run, processor, monkeypatch):
    monkeypatch.setattr(Returns, '__call__', lambda self, remoteProcessor: explode(NotCommitted))
    job, _ = run(processor.processJob('returns'))
    assert (job.status, job.runCounter) == ('error', 1)


@pytest.mark.parametrize('kind', [ValueError, SystemExit, GeneratorExit])
def test_a_hook_that_raises_before_the_commit_fails_its_job(run, processor, kind):
    job, [_told] = run(processor.processJob('hooked', ('addBeforeCommitHook', kind)))
    assert (job.status, job.runCounter) == ('error', 1)
    assert 'exploded' in job.error
    assert 'hooked' not in processor._p_jar.root()


@pytest.mark.parametrize('kind', [ValueError, SystemExit, GeneratorExit])
def test_a_hook_that_raises_after_the_commit_changes_nothing(run, processor, kind):
    job, told = run(processor.processJob('hooked', ('addAfterCommitHook', kind)))
    assert (job.status, processor._p_jar.root()['hooked'], told) == ('completed', 1, [])


@pytest.mark.parametrize('kind', [ValueError, SystemExit, GeneratorExit])
@pytest.mark.parametrize('when', ['Before', 'After'])
def test_a_hook_that_raises_at_the_abort_fails_its_job_alone(run, processor, when, kind):
    job, [told] = run(processor.processJob('hooked', (f'add{when}AbortHook', kind)))
    assert (job.status, job.runCounter) == ('error', 1)
    assert 'so that it is aborted' in told.reason
    assert 'hooked' not in processor._p_jar.root()


@pytest.mark.parametrize('kind', [ValueError, SystemExit])
@pytest.mark.parametrize('where', ASKED)
def test_a_behaviour_that_raises_before_it_is_called(run, processor, where, kind):
    processor.addJob('odd', Odd('', kind))
    jobid = processor.processJob('odd')
    processor.jobs['odd'].where = where
    job, [_told] = run(jobid, 4)
    assert job.status == 'error'
    assert where in job.error


@pytest.mark.parametrize('policy', [OddPolicy(), Policy(final=(OddFinal,))], ids=['pause', 'final'])
def test_a_policy_that_raises_is_no_policy(run, processor, monkeypatch, policy):
    monkeypatch.setattr(Raises, 'policy', policy)
    job, [_told] = run(processor.processJob('raises', ValueError('x')))
    assert (job.status, job.runCounter) == ('error', 1)


@pytest.fixture
def module():
    """A module that raises whenever it is imported."""
    class Finder:
        kind = None

        def find_spec(self, name, path=None, target=None):
            if name == 'raising' and self.kind is not None:
                raise self.kind('SETTING is not set')

    finder, found = Finder(), types.ModuleType('raising')
    found.Job = Job
    exec('def work():\n    return 7\n\n\nclass Odd(Job):\n    pass\n', found.__dict__)
    sys.modules['raising'] = found
    sys.meta_path.insert(0, finder)
    yield finder
    sys.meta_path.remove(finder)
    sys.modules.pop('raising', None)


@pytest.mark.parametrize('kind', [SystemExit, RuntimeError, GeneratorExit])
@pytest.mark.parametrize('name', ['work', 'Odd'])
def test_a_module_that_raises_when_it_is_imported(run, place, processor, module, kind, name):
    made = getattr(sys.modules['raising'], name)
    processor.addJob('odd', made() if name == 'Odd' else made)
    jobid = processor.processJob('odd')
    processor._p_jar.transaction_manager.commit()
    processor._p_jar.cacheMinimize()
    del sys.modules['raising']
    module.kind = kind
    job, [told] = run(jobid, 5)
    assert job.status == 'error' and told.cause == 'not loaded'
    assert 'SETTING is not set' in job.error


@pytest.mark.parametrize('kind', ERRORS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize('event', [events.JobStarted, events.JobCompleted, events.JobErred,
                                   events.JobQueued])
def test_a_subscriber_that_raises_changes_nothing(run, processor, caplog, monkeypatch, event, kind):
    monkeypatch.setattr(subscribers, 'faulty', set())
    seen = []

    def monitor(told):
        if isinstance(told, event):
            seen.append(told)
            raise kind('the monitoring is down')

    zope.event.subscribers.insert(0, monitor)
    try:
        job, _ = run(processor.processJob('raises' if event is events.JobErred else 'echo',
                                          ValueError('x')))
    finally:
        zope.event.subscribers.remove(monitor)
    assert (job.runCounter, job.status) == (1, 'error' if event is events.JobErred else 'completed')
    assert seen
    assert len([record for record in caplog.records
                if 'monitor raised' in record.getMessage()]) == 1


def test_whoever_listens_is_heard(monkeypatch):
    ours = list(subscribers.silent)
    monkeypatch.setattr(zope.event, 'subscribers', [*ours])
    assert not subscribers.heard()
    monkeypatch.setattr(zope.event, 'subscribers', [print])
    assert subscribers.heard()


class Unstorable(Persistent):
    """Can be pickled as a reference, and not be stored."""

    kind = ValueError

    def __getstate__(self):
        raise self.kind('no state')


class Detached(Job):
    detached = True

    def __call__(self, remoteProcessor):
        return Unstorable()


@pytest.mark.parametrize('kind', [ValueError, SystemExit])
@pytest.mark.parametrize('detached', [True, False])
def test_an_output_that_cannot_be_stored_with_the_commit(run, processor, monkeypatch, detached,
                                                         kind):
    monkeypatch.setattr(Unstorable, 'kind', kind)
    monkeypatch.setattr(Detached, 'detached', detached)
    processor.addJob('detached', Detached())
    job, _ = run(processor.processJob('detached'), 4)
    assert job.status == 'error'
    assert 'no state' in job.error


class Refuses(Job):
    kind = ValueError

    def prepare(self, input):
        raise self.kind('no such input')


@pytest.mark.parametrize('kind', [ValueError, SystemExit, GeneratorExit])
def test_an_input_that_its_job_refuses_leaves_the_transaction_usable(run, processor, monkeypatch,
                                                                     kind):
    monkeypatch.setattr(Refuses, 'kind', kind)
    processor.addJob('refuses', Refuses())
    with pytest.raises(ValueError, match='no such input'):
        processor.processJob('refuses', 1)
    run(processor.processJob('echo', 2))


def test_handlers_of_components_are_told_each_on_its_own(run, processor, caplog, monkeypatch):
    import zope.component.event
    monkeypatch.setattr(subscribers, 'faulty', set())
    seen = []

    @zope.component.adapter(Interface)
    def fails(event):
        raise SystemExit('the handler is down')

    @zope.component.adapter(Interface)
    def hears(event):
        seen.append(type(event))

    for handler in (fails, hears):
        zope.component.provideHandler(handler)
    try:
        run(processor.processJob('echo', 2))
    finally:
        for handler in (fails, hears):
            zope.component.getGlobalSiteManager().unregisterHandler(handler)
    assert seen.count(events.JobCompleted) == 2
    assert len([record for record in caplog.records if 'fails raised' in record.getMessage()]) == 1


@pytest.mark.parametrize('verb', ['retry', 'settle'])
def test_a_verdict_survives_what_bookkeeping_meets(place, processor, monkeypatch, verb):
    """A job that asked to run in an hour, or failed for good, does not run again because its
    verdict could not be written."""
    ran, fails = [], [1, 2, 3]

    def call(self, remoteProcessor):
        ran.append(1)
        raise RunLater(3600) if verb == 'retry' else ValueError('x')

    old = getattr(verbs, verb)

    def failing(store, owner, jobid, *args, **options):
        if (verb == 'retry' or jobid) and fails and ran:
            fails.pop()
            raise OSError('away')
        return old(store, owner, jobid, *args, **options)

    monkeypatch.setattr(Raises, '__call__', call)
    monkeypatch.setattr(outage, 'LONGESTRETRY', 0.001)
    processor.addJob('raises', Raises())
    jobid = processor.processJob('raises')
    processor._p_jar.transaction_manager.commit()
    monkeypatch.setattr(verbs, verb, failing)
    loop = Loop(place.db, lambda connection: traverse(connection, [NAME]), 'one',
                WorkerOptions(drain=True))
    try:
        loop.work()
    finally:
        loop.close()
    processor._p_jar.transaction_manager.begin()
    assert (ran, fails) == ([1], [])
    assert processor.getJobStatus(jobid) == ('delayed' if verb == 'retry' else 'error')
