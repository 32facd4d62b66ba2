# SPDX-License-Identifier: ZPL-2.1
"""Jobs that are an async def, on every storage: many at once, their effects exactly once, and the
worker stays whole."""
import asyncio
import contextvars
import gc
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager

import pytest
import transaction
from BTrees.OOBTree import OOTreeSet
from transaction.interfaces import TransientError
from ZODB.POSException import ConflictError

from p01.remote import App, RunLater, current, events, verbs
from p01.remote.engine import asynchronous, attempt, handed, rescuing
from p01.remote.engine.loop import Loop
from p01.remote.exceptions import Cancelled, InputError, JobError, TimeLimit, TransactionOver
from p01.remote.options import WorkerOptions
from p01.remote.storage.connection import Guarded
from p01.remote.storage.transactions import transact
from p01.remote.store.records import Asked
from p01.remote.testing import waitFor
from p01.remote.worker import SimpleWorker

application = App('memory:')
var = contextvars.ContextVar('var', default=0)
log = []            # what jobs say
gates = {}          # name → threading.Event that jobs wait for


@pytest.fixture(autouse=True)
def fresh(app):
    log.clear()
    gates.clear()
    with app.transaction() as root:
        root['effects'] = OOTreeSet([''])


def count(root, key):
    """Note an effect; a doubled one shows."""
    root['effects'].insert(f'{key} {current.attempt} {time.monotonic_ns()}')


def effects(app):
    with app.transaction() as root:
        return Counter(each.split()[0] for each in root['effects'] if each)


async def gate(name):
    """Wait for the test."""
    log.append(name)
    while not gates.setdefault(name, threading.Event()).is_set():
        await asyncio.sleep(0.001)


@application.job(backoff=0)
async def answer(value=None, naps=0.0):
    await asyncio.sleep(naps)
    return value


@application.job
async def together(number):
    """All of them are there at once, or none ever ends."""
    log.append(number)
    while len(log) < 50:
        await asyncio.sleep(0.001)


@application.job(backoff=0)
async def effect(key, naps=0.0):
    async with app_().transaction() as root:
        await asyncio.sleep(naps)
        count(root, key)
    return key


@application.job(backoff=0)
async def hot(naps=0.001):
    """All change one object."""
    async with app_().transaction() as root:
        value = root.get('hot', 0)
        await asyncio.sleep(naps)
        root['hot'] = value + 1


@application.job(retries=2, backoff=0)
async def stumbles():
    await asyncio.sleep(0)
    log.append(current.job.runCounter)
    if current.job.runCounter < 3:
        raise ValueError(f'run {current.job.runCounter}')
    return current.attempt


@application.job(retries=0)
async def raises(kind):
    await asyncio.sleep(0)
    raise {'exit': SystemExit(3), 'cancelled': asyncio.CancelledError('own'),
           'interrupt': KeyboardInterrupt(), 'generator': GeneratorExit(),
           'job': JobError('said so'), 'stop': StopIteration(1),
           'timeout': TimeoutError('own')}[kind]


@application.job(retries=0)
async def gives(kind):
    return {'lock': threading.Lock(), 'big': 'x' * 2_000_000}[kind]


@application.job
async def later():
    if not log:
        log.append('later')
        raise RunLater(0.0)
    return 'now'


@application.job(retries=0, timeout=0.1)
async def lasts():
    try:
        await asyncio.sleep(60)
    finally:
        log.append('cleaned up')


@application.job(retries=0, timeout=0.1)
async def swallows():
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return 'too late'


@application.job(retries=0)
async def blocks():
    with app_().transaction() as root:
        root['half'] = 1
        await asyncio.sleep(0)
        root['whole'] = 1


@application.job(retries=0)
async def joins():
    app_().connection().root()['half'] = 1
    await asyncio.sleep(0)


@application.job(retries=0)
async def looks():
    """A transaction that has changed nothing is no reason to refuse."""
    assert 'effects' in app_().connection().root()
    await asyncio.sleep(0)
    return transaction.manager.manager._txn is None


@application.job(retries=0)
async def splits(number):
    """Tasks of one job, each with a transaction."""
    async def part(name):
        async with app_().transaction() as root:
            await asyncio.sleep(0.001)
            root[f'set {name}'].insert(current.attempt)
    await asyncio.gather(*(part(f'{number}.{each}') for each in range(12)))


@application.job(retries=0)
async def leaves(bad):
    async def left():
        try:
            if bad:
                with app_().transaction():
                    await asyncio.sleep(60)
            await asyncio.sleep(60)
        except BaseException as error:
            log.append(type(error).__name__)
            raise
    task = asyncio.create_task(left())
    await asyncio.sleep(0.01)
    return repr(task.done())


@application.job(retries=0)
async def nests():
    async with app_().transaction() as root:
        count(root, 'outer')
        with pytest.raises(ZeroDivisionError):
            async with app_().transaction() as same:
                assert same is root
                count(root, 'inner')
                await asyncio.sleep(0)
                raise ZeroDivisionError
        with app_().transaction() as same:
            assert same is root
        async with app_().transaction(independent=True) as other:
            count(other, 'independent')
    with app_().transaction() as root:
        count(root, 'plain')


@application.job(retries=0)
async def fails():
    async with app_().transaction() as root:
        count(root, 'failed')
        answer.enqueue('never')
        await asyncio.sleep(0)
        raise ValueError('no')


@application.job
async def follows():
    async with app_().transaction() as root:
        count(root, 'followed')
        log.append(answer.enqueue('follow-up').id)


@application.job
async def waits(name, key=None):
    try:
        await gate(name)
    except asyncio.CancelledError:
        log.append(f'{name} cancelled')
        raise
    if key is not None:
        async with app_().transaction() as root:
            count(root, key)
    return name


@application.job
async def swallow():
    """Is asked to end, and takes no notice."""
    try:
        await gate('swallow')
    except asyncio.CancelledError:
        assert current.cancelled
    return 'did not want to'


@application.job
async def sets(value):
    before = var.get()
    var.set(value)
    await asyncio.sleep(0.001)
    return before, var.get(), current.job.id


@application.job
def plainly(value):
    log.append(threading.current_thread().name)
    return value


@application.job(retries=0)
def hides():
    return answer.function(1)


def app_():
    return application


@contextmanager
def working(app, **options):
    """A worker in a thread."""
    loop = Loop(app.db, app.locate, 'async',
                WorkerOptions(**{'waitTime': 0.05, 'grace': 0.5, **options}))
    thread = threading.Thread(target=lambda: (loop.work(), loop.close()))
    thread.start()
    try:
        yield loop
    finally:
        for each in gates.values():
            each.set()
        loop.stop()
        thread.join(20)
        assert not thread.is_alive()


def errorOf(app, handle):
    with app.reading() as processor:
        return processor.getJob(handle.id).error


def testManyRunAtOnce(app):
    handles = [together.enqueue(number) for number in range(50)]
    assert app.drain() == 50
    assert sorted(log) == list(range(50)) and {handle.status for handle in handles} == {'completed'}


def testNotMoreThanTheyMay(app):
    most, running = [], set()

    class Counted(asynchronous.Attempt):
        def begin(self):
            super().begin()
            running.add(self.task.id)
            most.append(len(self.home.running))
    handles = [answer.enqueue(number, 0.005) for number in range(60)]
    loop = Loop(app.db, app.locate, 'few', WorkerOptions(drain=True, concurrency=7))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asynchronous, "Attempt", Counted)
        loop.work()
    loop.close()
    assert max(most) == 7 and len(running) == 60
    assert [handle.result() for handle in handles] == list(range(60))


def testTheyHaveContextsOfTheirOwn(app):
    handles = [sets.enqueue(number) for number in range(20)]
    app.drain()
    assert [handle.result() for handle in handles] == [(0, number, handle.id)
                                                       for number, handle in enumerate(handles)]


def testEffectsAreExactlyOnce(app):
    handles = [effect.enqueue(number, 0.001) for number in range(60)]
    assert app.drain() == 60
    assert effects(app) == {str(number): 1 for number in range(60)}
    assert [handle.result() for handle in handles] == list(range(60))


def testConflictsRunAJobAgainAndCostNoAttempt(app):
    # each meets every other one at most once, which is less often than what counts as a failure
    handles = [hot.enqueue() for _ in range(8)]
    app.drain()
    with app.transaction() as root:
        assert root['hot'] == 8
    with app.reading() as processor:
        jobs = [processor.getJob(handle.id) for handle in handles]
    assert {job.runCounter for job in jobs} == {1} and {job.status for job in jobs} == {'completed'}
    assert any(job.conflicts for job in jobs)


def testRetriesAndRunLater(app):
    first, second = stumbles.enqueue(), later.enqueue()
    app.drain()
    app.drain()
    assert first.result() == f'{first.id}.3' and log.count(3) == 1
    assert second.result() == 'now'
    with app.reading() as processor:
        assert [each.reason
                for each
                in processor.getJob(first.id).attempts] == ['ValueError: run 1',
                                                            'ValueError: run 2']


def testWhatTheyRaiseEndsNobodyElse(app):
    kinds = ['exit', 'cancelled', 'interrupt', 'generator', 'job', 'stop', 'timeout']
    handles = [raises.enqueue(kind) for kind in kinds] + [gives.enqueue(kind)
                                                          for kind in ('lock', 'big')]
    good = [answer.enqueue(number, 0.01) for number in range(5)]
    app.drain()
    assert {handle.status for handle in handles} == {'error'} \
        and [handle.result() for handle in good] == list(range(5))
    words = ('SystemExit', 'CancelledError', 'KeyboardInterrupt', 'GeneratorExit', 'said so',
             'StopIteration', 'own', 'pickled', 'limit')
    for handle, word in zip(handles, words):
        assert word in errorOf(app, handle)


def testTimeLimitsCancelAtTheNextAwait(app):
    one, two = lasts.enqueue(), swallows.enqueue()
    app.drain()
    assert log == ['cleaned up']
    assert 'longer than its timeout of 0.1 s, and stood in lasts' in errorOf(app, one)
    assert 'longer than its timeout of 0.1 s' in errorOf(app, two)


@pytest.mark.parametrize('job, words', [(blocks, 'async with'), (joins, 'has changes')],
                         ids=['block', 'thread'])
def testNobodyAwaitsWithAnOpenTransaction(app, job, words):
    handles = [job.enqueue(), looks.enqueue()]
    app.drain()
    assert words in errorOf(app, handles[0])
    assert handles[1].result() is True
    with app.transaction() as root:
        assert 'half' not in root and 'whole' not in root


def testTransactionsWithinTransactions(app):
    handle = nests.enqueue()
    app.drain()
    assert handle.status == 'completed', errorOf(app, handle)
    found = effects(app)
    # the outer one may have met the independent one, and then all ran again
    assert found.pop('independent') >= 1 and found == {'outer': 1, 'plain': 1}


def testTasksOfAJobAreTheJobs(app):
    names = [f'set {number}.{each}' for number in range(4) for each in range(12)]
    with app.transaction() as root:
        root.update({name: OOTreeSet() for name in names})
    handles = [splits.enqueue(number) for number in range(4)]
    app.drain()
    assert {handle.status for handle in handles} == {'completed'}
    with app.transaction() as root:
        assert all(root[name] for name in names)
    one, two = leaves.enqueue(False), leaves.enqueue(True)
    app.drain()
    assert (one.result(), two.result()) == ('False', 'True')
    assert sorted(log) == ['CancelledError', 'TransactionOver']


def testAnErrorTakesBackWhatIsInTheTransaction(app):
    handles = [fails.enqueue(), follows.enqueue()]
    assert app.drain() == 3
    assert handles[0].status == 'error' and effects(app) == {'followed': 1}
    assert app.handle(log[0]).result() == 'follow-up'


def testAJobThatWasTakenOverChangesNothing(app, told):
    handle = waits.enqueue('gate', 'late')
    with working(app) as loop:
        waitFor(lambda: log)

        def rescue(connection):
            store = app.locate(connection).store
            rescuing.rescue(store, store.seats[loop.name], time.time(), {handle.id})
        transact(app.db, rescue)
        log.clear()
        # it runs again, in the same worker, which has a new seat
        waitFor(lambda: log)
        gates['gate'].set()
        waitFor(lambda: handle.status == 'completed')
        waitFor(lambda: not loop.handed.held)
    assert effects(app) == {'late': 1}
    assert [type(event) for event in told
            if isinstance(event, events.ClaimRefused)] == [events.ClaimRefused]


def testAWorkerThatEndsCancelsAndGivesBack(app):
    handles = [waits.enqueue(f'{number}') for number in range(3)]
    with working(app, grace=0.2) as loop:
        waitFor(lambda: len(log) == 3)
        assert {handle.status for handle in handles} == {'processing'}
        loop.stop()
        waitFor(loop.gone.is_set)
    assert sorted(log[3:]) == [f'{number} cancelled' for number in range(3)]
    assert {handle.status for handle in handles} == {'queued'}
    with app.reading() as processor:
        assert not processor.getJob(handles[0].id).attempts
    assert app.drain() == 3 and {handle.status for handle in handles} == {'completed'}


def testAWorkerThatEndsLetsThemEndFirst(app):
    handle = waits.enqueue('gate', 'effect')
    with working(app, grace=30.0) as loop:
        waitFor(lambda: log)
        loop.stop()
        gates['gate'].set()
    assert handle.result() == 'gate' and effects(app) == {'effect': 1}


def testWhatHasNotBegunIsQueuedAndCanBeCancelled(app):
    handles = [waits.enqueue(f'{number}') for number in range(4)]
    with working(app, concurrency=2) as loop:
        waitFor(lambda: len(log) == 2)
        running = [handle for handle in handles if handle.status == 'processing']
        assert len(running) == 2 and [handle.status for handle in handles].count('queued') == 2
        assert not running[0].cancel()
        rest = [handle for handle in handles if handle not in running]
        assert rest[0].cancel() and rest[0].status == 'cancelled'
        for name in range(4):
            gates.setdefault(str(name), threading.Event()).set()
        waitFor(lambda: rest[1].status == 'completed')
        waitFor(lambda: not loop.handed.held)
    assert len([each for each in log if 'cancelled' not in each]) == 3
    assert rest[0].status == 'cancelled'


def testTheyRunBesidePlainJobs(app):
    handles = [job.enqueue(number) for number in range(20) for job in (answer, plainly)]
    app.drain()
    assert [handle.result() for handle in handles] == [number for number in range(20)
                                                       for _ in (1, 2)]
    assert set(log) == {threading.current_thread().name}


def testByHandTheyRunInAThreadOfTheirOwn(app):
    one, two = answer.enqueue('inline'), effect.enqueue('inline')
    with app.transaction():
        assert app.processor.processJobs() == 2
    assert (one.result(), two.result(), effects(app)) == ('inline', 'inline', {'inline': 1})
    three = answer.enqueue('next')
    with app.reading() as processor:
        path = (processor.__name__,)
    assert SimpleWorker(app.db, path).processNextJob() and three.result() == 'next'


def testLargeInputsBelongToNoConnection(app, monkeypatch):
    """They are loaded by the worker's thread: a connection is for one thread alone."""
    threads = set()
    before = Guarded.setstate

    def setstate(connection, obj):
        threads.add(threading.current_thread().name)
        before(connection, obj)
    monkeypatch.setattr(Guarded, 'setstate', setstate)
    handles = [answer.enqueue('x' * 5_000) for _ in range(40)]
    app.db.cacheMinimize()
    with working(app):
        assert {handle.result(20) for handle in handles} == {'x' * 5_000}
    assert not [name for name in threads if name.startswith('p01.remote.async')]


def testPersistentInputsAreRefused(app):
    """At the door, and where the job was no async def when it was enqueued."""
    with app.transaction() as root:
        with pytest.raises(InputError, match=r'persistent objects.*pass ids'):
            answer.enqueue(root['effects'])
        handle = plainly.enqueue(root['effects'])
    with app.transaction():
        app.processor.addJob(plainly.name, answer)
    app.drain()
    assert handle.status == 'error' and 'pass ids' in errorOf(app, handle)


def testACoroutineOfAPlainJobIsRefused(app):
    handle = hides.enqueue()
    app.drain()
    assert 'make the async def itself the job' in errorOf(app, handle)


def testItsBlockMayBeUsedElsewhere(app):
    """In a web application, say."""
    async def serve(number):
        while True:
            try:
                async with app.transaction() as root:
                    await asyncio.sleep(0.001)
                    root['effects'].insert(f'web{number} 1')
                    return answer.enqueue(number)
            except ConflictError:
                continue

    async def together():
        with pytest.raises(ZeroDivisionError):
            async with app.transaction() as root:
                root['never'] = 1
                raise ZeroDivisionError
        return await asyncio.gather(*map(serve, range(10)))
    handles = asyncio.run(together())
    assert app.drain() == 10 and [handle.result() for handle in handles] == list(range(10))
    assert effects(app) == {f'web{number}': 1 for number in range(10)}
    with app.transaction() as root:
        assert 'never' not in root


def testFunctionsThatAreTransactions(app):
    """As a decorator it is another transaction with each call, in whichever thread or task."""
    @app.transaction()
    def plain(number):
        effect.enqueue(number)
        return number

    @app.transaction()
    async def awaits(number):
        await asyncio.sleep(0.001)
        return effect.enqueue(number).id and number

    async def together():
        return await asyncio.gather(*map(awaits, range(10, 15)))
    threads = [threading.Thread(target=plain, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    assert asyncio.run(together()) == list(range(10, 15)) and plain(5) == 5
    for thread in threads:
        thread.join()
    assert app.drain() == 11 and len(effects(app)) == 11


def testOneThatRunsCanBeCancelled(app):
    one, two, three = waits.enqueue('one'), waits.enqueue('two', 'effect'), swallow.enqueue()
    with working(app, waitTime=0.01) as loop:
        waitFor(lambda: len(log) == 3)
        assert one.cancel(running=True)
        waitFor(lambda: one.status == 'cancelled')
        assert 'one cancelled' in log and two.status == 'processing'
        assert three.cancel(running=True)
        waitFor(lambda: three.status == 'completed')
        gates['two'].set()
        waitFor(lambda: two.status == 'completed')
        waitFor(lambda: not loop.handed.held)
    assert 'Cancelled by' in errorOf(app, one) and three.result() == 'did not want to'
    assert effects(app) == {'effect': 1}


@application.job(retries=0)
async def delegates(how, kind):
    """A task of it raises."""
    match how:
        case 'task':
            await asyncio.create_task(raises.function(kind))
        case 'timed':
            await asyncio.wait_for(raises.function(kind), 60)
        case 'gathered':
            await asyncio.gather(answer.function(), raises.function(kind))
        case 'group':
            async with asyncio.TaskGroup() as group:
                group.create_task(raises.function(kind))
        case 'stopped':
            asyncio.get_running_loop().stop()
            raise SystemExit(3)


@pytest.mark.parametrize('how', ['task', 'timed', 'gathered', 'group', 'stopped'])
@pytest.mark.parametrize('kind', ['exit', 'interrupt'])
def testWhatTheirTasksRaiseEndsNobodyElse(app, how, kind):
    with working(app) as loop:
        bad = delegates.enqueue(how, kind)
        waitFor(lambda: bad.status == 'error')
        good = answer.enqueue('good')
        waitFor(lambda: good.status == 'completed')
        waitFor(lambda: not loop.handed.held)
    assert ('SystemExit' if kind == 'exit' or how == 'stopped' else 'KeyboardInterrupt') \
        in errorOf(app, bad)


@pytest.mark.parametrize('where', ['begin', 'settle'])
def testAnEventLoopThatIsOfNoUseEndsItsWorker(app, monkeypatch, where):
    """No job waits for ever in the hands of one."""
    def breaks(*args):
        raise MemoryError
    monkeypatch.setattr(asynchronous.Asynchronous, where, breaks)
    answer.enqueue()
    loop = Loop(app.db, app.locate, 'broken', WorkerOptions(drain=True))
    with pytest.raises(MemoryError):
        loop.work()
    loop.close()


@application.job(retries=0, backoff=0)
def grouped(kinds):
    """Raises a group of errors, as a task group does, but for its second run."""
    log.append(kinds)
    if log.count(kinds) == 1:
        raise groupOf(kinds)


@application.job(retries=0, backoff=0)
async def groups(kinds):
    log.append(kinds)
    if log.count(kinds) == 1:
        async with asyncio.TaskGroup() as group:
            for error in groupOf(kinds).exceptions:
                group.create_task(raised(error))


async def raised(error):
    await asyncio.sleep(0)
    raise error


def groupOf(kinds):
    """A group of errors of these kinds, of which a text is a group within it."""
    return BaseExceptionGroup('several', [groupOf(kind) if isinstance(kind, list) else {
        'conflict': ConflictError, 'passing': TransientError, 'value': ValueError,
        'later': lambda: RunLater(0.0), 'cancelled': Cancelled}[kind]() for kind in kinds])


@pytest.mark.parametrize('job', [grouped, groups], ids=['plain', 'async'])
@pytest.mark.parametrize('kinds, status, runs', [
    (['conflict', 'passing'], 'completed', 2), (['conflict', ['passing']], 'completed', 2),
    (['conflict', 'value'], 'error', 1), (['later', 'later'], 'completed', 2),
    (['cancelled'], 'cancelled', 1), (['later', 'value'], 'error', 1)])
def testAGroupOfErrorsIsWhatAllOfThemAre(app, job, kinds, status, runs):
    handle = job.enqueue(kinds)
    app.drain()
    app.drain()
    assert (handle.status, log.count(kinds)) == (status, runs)


@pytest.mark.parametrize('how', ['lost', 'asked'])
def testWhoseJobWasTakenIsCancelledOnce(app, how):
    """However often the worker does its books; and it does not run again by itself."""
    handle = stubborn.enqueue()
    with working(app, waitTime=0.01) as loop:
        waitFor(lambda: log)

        def rescue(connection):
            store = app.locate(connection).store
            seat = store.seats[loop.name]
            rescuing.rescue(store, seat, time.time(), {handle.id}) if how == 'lost' else \
                seat.claims and verbs.interrupt(store, handle.id, Asked('roy', time.time(), 60.0))
        transact(app.db, rescue)
        waitFor(lambda: 'cancelled' in log)
        before = loop.bell.rings
        for _ in range(5):
            loop.bell.ring()
            time.sleep(0.02)        # a bookkeeping for each ring
        assert loop.bell.rings > before and log.count('cancelled') == 1
        gates['stubborn'].set()
        waitFor(lambda: handle.status == 'completed')


@application.job
async def stubborn():
    while True:
        try:
            return await gate('stubborn')
        except asyncio.CancelledError:
            log.append('cancelled')


@application.job(retries=0)
async def looksOften():
    log.append(current.cancelled)
    await gate('looks')
    log.append(current.cancelled)
    return current.cancelled


def testARequestOfBeforeIsNoneOfTheNextRun(app):
    """One that came when the job had just ended, say."""
    handle = looksOften.enqueue()
    with working(app) as loop:
        waitFor(lambda: len(log) == 2)
        gates['looks'].set()
        waitFor(lambda: not loop.handed.places[''].aio.running)
        loop.handed.held.setdefault(handle.id, None)
        loop.handed.stop([handle.id])
        loop.handed.held.pop(handle.id)
        waitFor(lambda: handle.status == 'completed')
        loop.handed.places[''].aio.stop(frozenset([handle.id]))
        answer.enqueue()
        waitFor(lambda: not loop.handed.held)
        aio = loop.handed.places[''].aio
        assert not aio.asked and not aio.lost


def testOneThatIsCancelledBeforeItsFirstStepEnds(app, monkeypatch):
    """As it is when its worker is told to stop just then."""
    begun = asynchronous.Asynchronous.begin

    def begin(self):
        begun(self)
        for task in self.running.values():
            task.cancel()
    monkeypatch.setattr(asynchronous.Asynchronous, 'begin', begin)
    handle = raises.enqueue('job')
    app.drain()
    assert 'CancelledError' in errorOf(app, handle)


async def part(app, name, fails=False, plain=False):
    """A part of the transaction around it."""
    if plain:
        with app.transaction() as root:
            root[name] = 1
        return
    async with app.transaction() as root:
        root[name] = 1
        await asyncio.sleep(0.001)
        if fails:
            raise ZeroDivisionError


@pytest.mark.parametrize('fails', [False, True])
@pytest.mark.parametrize('second', ['async', 'plain', 'enqueue', 'another database'])
def testTasksInOneTransactionDoNotTakeBackEachOthersChanges(app, fails, second):
    """Whoever comes to it while another task is in a part of it is refused, so that all that was
    changed without an error is there."""
    async def other():
        await asyncio.sleep(0)
        match second:
            case 'enqueue':
                answer.enqueue()
            case 'another database':
                with elsewhere.transaction() as root:
                    root['other'] = 1
            case _:
                await part(app, 'other', plain=second == 'plain')

    async def together():
        async with app.transaction() as root:
            root['whole'] = 1
            found = await asyncio.gather(part(app, 'one', fails), other(), return_exceptions=True)
            # one after the other they may
            await asyncio.wait_for(part(app, 'two'), 60)
            await asyncio.create_task(other())
        return found
    with closing(App('memory:')) as elsewhere:
        one, two = asyncio.run(together())
    assert isinstance(one, ZeroDivisionError) is fails
    assert isinstance(two, TransactionOver) and 'independent=True' in str(two)
    with app.transaction() as root:
        assert {'whole', 'two'} <= set(root) and ('one' in root) is not fails
        assert ('other' in root) == (second in ('async', 'plain'))


def testWhatWaitsForRoomIsQueuedAndCanBeCancelled(app, monkeypatch):
    """As long as it has not begun, also behind plain jobs of the same round that have."""
    monkeypatch.setattr(asynchronous, 'LONG', 60.0)
    monkeypatch.setattr(handed.Handed, 'size', lambda self, most, aim: 10)
    handles = [waits.enqueue(f'{number}') for number in range(4)]
    plain = plainly.enqueue('plain')
    with working(app, concurrency=1) as loop:
        waitFor(lambda: plain.status == 'completed' and '0' in log)
        assert [handle.status for handle in handles] == ['processing'] + ['queued'] * 3
        assert len(loop.handed.places[''].aio.waiting) == 3
        assert not handles[0].cancel() and handles[1].cancel() and handles[1].status == 'cancelled'
        assert handles[2].cancel(running=True) and handles[2].status == 'cancelled'
        waitFor(lambda: loop.handed.held.keys() == {handles[0].id, handles[3].id})
        gates['0'].set()
        waitFor(lambda: '3' in log)
        assert handles[3].status == 'processing'
        gates['3'].set()
        waitFor(lambda: not loop.handed.held)
    assert [handle.status for handle in handles] == ['completed', 'cancelled', 'cancelled',
                                                     'completed']
    assert not {'1', '2'} & set(log)


def testSlotsAreGivenBack(app):
    with working(app, concurrency=3) as loop:
        box = loop.post.box
        handles = [answer.enqueue(number) for number in range(30)]
        waitFor(lambda: {handle.status for handle in handles} == {'completed'})
    assert not box.taken


@pytest.mark.parametrize('what', ['asked', 'late'])
@pytest.mark.parametrize('job', ['stubborn', 'holds'])
def testWhoseProcessNobodyCanEndLosesTheJob(app, monkeypatch, what, job):
    """As in a web application: the job is taken from it, and what it still does is refused."""
    monkeypatch.setattr(attempt, 'SLACK', 0.3)
    handle = {'stubborn asked': stubborn, 'stubborn late': lateStubborn, 'holds asked': holds,
              'holds late': lateHolds}[f'{job} {what}'].enqueue()
    with working(app) as loop:
        waitFor(lambda: log)
        if what == 'asked':
            assert handle.cancel(running=True, grace=0.3)
        waitFor(lambda: handle.status == ('cancelled' if what == 'asked' else 'error'))
        for name in ('stubborn', 'holds'):
            gates.setdefault(name, threading.Event()).set()
        waitFor(lambda: not loop.handed.held)
    text = errorOf(app, handle) if what == 'late' else attemptsOf(app, handle)[0].reason
    assert 'longer than its timeout of 0.1 s' in text if what == 'late' \
        else 'did not end within 0.3 s' in text
    assert ('stood in holds' in text) == (job == 'holds')
    assert effects(app) == {}


@application.job(retries=0)
async def holds():
    """Holds the event loop."""
    log.append('holds')
    while not gates.setdefault('holds', threading.Event()).is_set():
        time.sleep(0.01)            # which no event loop should do
    async with app_().transaction() as root:
        count(root, 'held')


@application.job(retries=0, timeout=0.1)
async def lateHolds():
    return await holds.function()


@application.job(retries=0, timeout=0.1)
async def lateStubborn():
    return await stubborn.function()


def attemptsOf(app, handle):
    with app.reading() as processor:
        return processor.getJob(handle.id).attempts


@application.job(retries=0)
async def computes():
    """Never awaits, but looks."""
    log.append('computes')
    while True:
        current.check()
        time.sleep(0.001)


def testOneThatHoldsTheEventLoopSeesThatItIsToEnd(app):
    handle = computes.enqueue()
    with working(app):
        waitFor(lambda: log)
        assert handle.cancel(running=True, grace=60)
        waitFor(lambda: handle.status == 'cancelled', 3.0)


def testOneThatDoesNotEndIsLeftWhereItStands(app, monkeypatch, caplog, capfd):
    """Its worker leaves without it, and nobody hears of that on the standard error; nor is its code
    run by the collector."""
    monkeypatch.setattr(asynchronous, 'SLACK', 0.1)
    handle = stubborn.enqueue()
    with working(app, grace=0.1) as loop:
        waitFor(lambda: log)
        thread = loop.handed.places[''].aio.thread
        loop.stop()
        waitFor(loop.gone.is_set)
        app.close()
        gc.collect()
        assert thread.is_alive() and handle.id and not caplog.records
        gates['stubborn'].set()
        thread.join(10)
        assert not thread.is_alive()
    assert capfd.readouterr().err == ''


@application.job(retries=0, soft=0.05, timeout=60)
async def softly(way):
    """Is told at its await that it runs long."""
    async def stay():
        try:
            await asyncio.sleep(60)
        finally:
            log.append('stay')
    try:
        match way:
            case 'await':
                await stay()
            case 'gather':
                await asyncio.gather(stay(), stay())
            case 'group':
                async with asyncio.TaskGroup() as group:
                    group.create_task(stay())
            case 'timeout':
                async with asyncio.timeout(60):
                    await stay()
            case 'check':
                time.sleep(0.1)
                current.check()
            case 'conflict':
                raise ConflictError
            case 'commit':
                async with app_().transaction() as root:
                    count(root, 'late')
                    await stay()
    except TimeLimit:
        log.append('told')
        await asyncio.sleep(0.1)                # once, and what it awaits for its end lasts
        if way == 'check':
            return 'tidy'
        raise
    return 'never'


@pytest.mark.parametrize('by', ['worker', 'hand'])
@pytest.mark.parametrize('way', ['await', 'gather', 'timeout', 'group', 'check', 'commit'])
def testASoftLimitIsRaisedAtTheNextAwait(app, way, by):
    handle = softly.enqueue(way)
    if by == 'worker':
        app.drain()
    else:
        with app.transaction():
            app.processor.processJobs()
    assert log.count('told') == 1
    if way == 'check':
        assert handle.result() == 'tidy'
    else:
        assert handle.status == 'error' and 'TimeLimit' in attemptsOf(app, handle)[0].reason
    assert effects(app) == {}
