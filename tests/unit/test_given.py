# SPDX-License-Identifier: ZPL-2.1
"""What is given for options, and where it is refused: at once, with a sentence, whatever it is."""
import enum
import itertools
import math
import pickle
import sys
from datetime import UTC, datetime, timedelta

import pytest

from p01.remote import App, Policy, RunLater, Unique, testing
from p01.remote.engine.enqueuing import enqueue
from p01.remote.exceptions import AddressError, ArgumentsError, InputError, RegistrationError
from p01.remote.ground import checks, spans
from p01.remote.instants import duration
from p01.remote.job import Job
from p01.remote.options import Retention, WorkerOptions
from p01.remote.scheduler import Cron, Delay
from p01.remote.worker import SimpleWorker

numbers = itertools.count()


class NoRepr:
    __slots__ = ()

    def __repr__(self):
        raise SystemExit('no repr')


ODD = (True, math.nan, math.inf, -1, '', 'soon', '-5m', '5y', 'nan', b'10m', [], {}, (1,),
       NoRepr(), 10 ** 400, 1j,
       '9' * 400 + 'd')


@pytest.fixture
def app():
    app = App('memory:')
    yield app
    app.close()


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Makes an importable module of a text; gives it."""
    monkeypatch.syspath_prepend(tmp_path)

    def module(text):
        name = f'given{next(numbers)}'
        (tmp_path / f'{name}.py').write_text('from p01.remote import App\napp = App("memory:")\n'
                                             + text)
        return __import__(name)
    yield module
    for name in [name for name in sys.modules if name.startswith('given')]:
        sys.modules.pop(name).app.close()


def refused(call, *words, error=InputError):
    """The sentence of what is refused."""
    with pytest.raises(error) as found:
        call()
    text = str(found.value)
    assert '\n' not in text and len(text) < 500 and all(word in text for word in words), text
    return text


# -- durations

@pytest.mark.parametrize('text, length', [
    ('90s', 90), ('1.5m', 90), ('10 min', 600), ('2H',
                                                 7200), ('1d',
                                                         86400), ('.5h', 1800), ('250ms',
                                                                                 0.25), ('1w',
                                                                                         604800),
    (' 1h30m ', 5400), ('0s', 0)])
def test_a_text_is_a_duration_everywhere(app, text, length):
    assert duration(text) == spans.parsed(text) == length
    assert Policy(backoff=text, longest=text).backoff == length
    assert Retention(text, text, text) == Retention(length, length, length)
    assert RunLater(text).delay == length
    if length:
        assert Policy(timeout=text).timeout == length
        assert Unique('a', period=text).period == Delay('x', text).delay == length
        assert WorkerOptions(lease=max(length, 1), waitTime=text).waitTime == length
        assert SimpleWorker(app.db, ['a'], waitTime=text).waitTime == length
    job = app.job(backoff=text)(sample)
    assert job.prototype.policy.backoff == length
    job.using(delay=text, expires=text)


def sample(number=0):
    return number


@pytest.mark.parametrize('value', ODD, ids=lambda value: 'norepr' if isinstance(value, NoRepr)
                         else ascii(value)[:20])
def test_what_is_no_duration_is_refused_where_it_is_given(app, value):
    handle = app.handle(1)
    for call in (
        lambda: duration(value), lambda: Policy(backoff=value), lambda: Policy(timeout=value),
                 lambda: Policy(longest=value), lambda: Unique('a',
                                                               period=value), lambda: Retention(
                                                                   completed=value),
                 lambda: Retention(error=value), lambda: Retention(
                     cancelled=value), lambda: WorkerOptions(lease=value),
                 lambda: WorkerOptions(waitTime=value), lambda: app.job(
                     timeout=value), lambda: app.job(backoff=value),
                 lambda: app.job(sample).using(delay=value), lambda: app.job(sample).using(
                     expires=value),
                 lambda: Delay('x', value), lambda: RunLater(value), lambda: handle.result(value),
                 lambda: handle.exception(value), lambda: SimpleWorker(app.db, ['a'],
                                                                       waitTime=value)):
        refused(call)


def test_the_environment_has_the_durations_of_the_command():
    read = WorkerOptions.read
    assert read({'P01_REMOTE_WAIT_TIME': '2',
                 'P01_REMOTE_LEASE': '5m'}) == WorkerOptions(waitTime=2, lease=300)
    for text in ('nan', 'inf', '-1', 'soon', ''):
        refused(lambda text=text: read({'P01_REMOTE_LEASE': text}))
    refused(lambda: read({'P01_REMOTE_THREADS': 'two'}), 'P01_REMOTE_THREADS', 'whole number')
    refused(lambda: read({'P01_REMOTE_DRAIN': 'maybe'}), 'P01_REMOTE_DRAIN', 'yes or no')


def test_what_a_job_asks_for_later_can_be_pickled():
    again = pickle.loads(pickle.dumps(RunLater('1m', 'not yet')))
    assert (again.delay, str(again)) == (60.0, 'not yet')


# -- other values

@pytest.mark.parametrize('options', [
    {'retries': True}, {'retries': -1}, {'retries': 1.0}, {'retries': '3'}, {'retries': math.nan}, {
        'final': [ValueError]},
    {'final': 'ValueError'}, {'detached': 'no'}, {'detached': 1}, {'detached': None}, {
        'together': 'yes'}, {'name': 5},
    {'name': ''}, {'name': '\udcff'}, {'queue': 5}, {'queue': ''}, {'queue': None}, {
        'queue': '\udcff'}, {'priority': 'high'},
    {'priority': 101}, {'priority': None}, {'priority': math.nan}, {'priority': True}], ids=ascii)
def test_options_of_a_job_are_refused_where_it_is_decorated(app, options):
    assert next(iter(options)) in refused(lambda: app.job(**options)(sample))
    assert not app.jobs


@pytest.mark.parametrize('options', [
    {'queue': ''}, {'queue': 5}, {'queue': '\udcff'}, {'priority': 'high'}, {'priority': None}, {
        'unique': ''},
    {'unique': '\udcff'}, {'unique': 5}, {'at': 'noon'}, {'at': datetime(2030, 1, 1)}, {'at': 5,
                                                                                        'delay': 5},
    {'expires': datetime(2030, 1, 1)}, {'queue': 'x' * 200_000}],
                         ids=lambda options: ascii(options)[:40])
def test_options_of_a_call_are_refused_where_they_are_given(app, options):
    job = app.job(sample)
    refused(lambda: job.using(**options))


@pytest.mark.parametrize('make, words', [
    (lambda app: app.job(retry=3), ('@app.job', 'retry',
                                    'retries')), (lambda app: app.job(queu='x'), ('queue',)),
    (lambda app: app.job(sample).using(prio=5), ('prio',
                                                 'priority')), (
                                                     lambda app: app.job(sample).using(dely=5), (
                                                         'delay',)),
    (lambda app: App('memory:', pol_size=3), ('App',
                                              'pool_size')), (lambda app: App('memory:',
                                                                              tiemout=3), (
                                                                                  'tiemout',)),
    (lambda app: Policy(retry=3), ('Policy',
                                   'retries')), (lambda app: Retention(complete=3), ('completed',)),
    (lambda app: Unique('x',
                        periode=3), ('period',)), (
                            lambda app: WorkerOptions(process=3), ('processes',)),
    (lambda app: app.job(xyzzy=3), ('xyzzy', 'it takes'))])
def test_an_option_that_is_none_is_told_with_the_one_that_was_meant(app, make, words):
    refused(lambda: make(app), *words)
    with pytest.raises(TypeError):      # as Python has it
        make(app)


@pytest.mark.parametrize('value', [True, -1, 1.5, '', 'much', '300', 'MB', '-3MB', '3 pounds',
                                   '3mm', None, [], b'3MB', 2**61, math.nan], ids=ascii)
def test_amounts_of_memory_are_refused(value):
    assert 'maxMemory' in refused(lambda: WorkerOptions(maxMemory=value))


@pytest.mark.parametrize('words', [('a=0',), ('a=x',), ('a=-1',), ('=3',), ('a', 'a=2'), ('a=1.5',),
                                   ('a=1001',), ('b', 'b')], ids=str)
def test_queues_with_wrong_weights_are_refused(words):
    refused(lambda: WorkerOptions.read({}, queues=words))
    refused(lambda: WorkerOptions.read({'P01_REMOTE_QUEUES': ' '.join(words)}))


def test_queues_have_weights_where_one_has():
    def read(*words):
        found = WorkerOptions.read({}, queues=words)
        return found.queues, found.weights
    assert read('a', 'b') == (('a', 'b'), ())
    assert read('a=3', 'b') == (('a', 'b'), (3, 1))
    assert read('a=3=4') == (('a=3',), (4,))


@pytest.mark.parametrize('make', [
    lambda: WorkerOptions(queues=('a', 'a')), lambda: WorkerOptions(queues={'a': 0}),
    lambda: WorkerOptions(queues={'a': '3'}), lambda: WorkerOptions(queues={'': 1}),
    lambda: WorkerOptions(maxJobs=-1), lambda: WorkerOptions(maxJobs=True),
    lambda: WorkerOptions(reload='yes'),
    lambda: App('memory:', name=5), lambda: App('memory:',
                                                name=''), lambda: WorkerOptions(processes=True),
    lambda: WorkerOptions(threads='2'), lambda: WorkerOptions(threads=0), lambda: WorkerOptions(
        queues='mail'),
    lambda: WorkerOptions(queues=('',)), lambda: WorkerOptions(queues=5), lambda: WorkerOptions(
        drain='no'),
    lambda: Retention(most=-1), lambda: Retention(most=1.5), lambda: Retention(
        most='many'), lambda: Unique(5),
    lambda: Unique('\udcff'), lambda: Unique('x',
                                             until='end'), lambda: Unique('x',
                                                                          until=[]), lambda: Cron(
                                                                              'x', priority=500),
    lambda: Cron('\udcff'), lambda: Delay('x',
                                          queue='\udcff'), lambda: Delay('x',
                                                                         active='no'), lambda: Cron(
                                                                             'x', tz=5)])
def test_wrong_values_are_refused(make):
    refused(make)


def test_kept_options_are_seconds():
    assert Retention(timedelta(days=1)).completed == 86400.0 \
        and type(Retention(5).completed) is float
    assert WorkerOptions(queues=['a', 'b']).queues == ('a', 'b')
    assert WorkerOptions(queues={'a': 3, 'b': 1}) == WorkerOptions(queues=('a', 'b'),
                                                                   weights=(3, 1))
    assert WorkerOptions(maxMemory='1.5 kB').maxMemory == 1500
    assert WorkerOptions(maxMemory='300MiB').maxMemory == 300 * 2**20
    assert checks.nearest('retry', ['retries', 'queue']) == 'retries' \
        and checks.nearest('xyz', ['queue']) == ''
    assert pickle.loads(pickle.dumps(Retention('5m'))) == Retention(300.0)


def test_a_transaction_stays_usable_after_a_refusal(app):
    with app.transaction():
        app.processor.addJob('sample', sample)
        for options in ({'unique': '\udcff'}, {'queue': '\udcff'}, {'delay': '5y'}, {
            'priority': 'high'}):
            refused(lambda options=options: app.processor.processJob('sample', (1,), **options))
        jobid = app.processor.processJob('sample', (2,), delay='0s', expires='1h', queue='ü')
    assert app.drain() == 1 and app.handle(jobid).result(timedelta(seconds=5)) == 2
    refused(lambda: app.processor.processJob('sample', at=datetime.now(UTC), delay='1m'))


# -- what can be a job

@pytest.mark.parametrize('text, words', [
    ('@app.job\ndef f():\n    yield 1', 'generator'),
    ('@app.job\nasync def f():\n    yield 1', 'generator'),
    ('class C:\n    @app.job\n    def f(self, x): pass', 'method'),
    ('class C:\n    @classmethod\n    @app.job\n    def f(cls, x): pass', 'method'),
    ('class C:\n    @app.job\n    @classmethod\n    def f(cls, x): pass', 'method'),
    ('@app.job\nclass F:\n    pass', 'class'),
    ('import functools\nf = app.job(functools.partial(print, 1))', 'partial'),
    ('f = app.job(print)', 'Python itself'),
    ('f = app.job([].append)', 'no name|method|Python itself'),
    ('class C:\n    def __call__(self): pass\nf = app.job(C())', 'C object'),
    ('@app.job\n@app.job\ndef f(): pass', 'job already'),
    ('@app.job("mail")\ndef f(): pass', 'above a function'),
    ('def d(g):\n    def w(): pass\n    return w\n@app.job\n@d\ndef f(): pass', 'functools.wraps'),
    ('f = app.job(lambda: 1)', 'lambda')])
def test_what_cannot_be_a_job_is_refused_where_it_is_decorated(module, text, words):
    with pytest.raises(RegistrationError, match=words) as error:
        module(text)
    assert '\n' not in str(error.value)


def test_an_async_def_shares_no_transaction(module):
    with pytest.raises(InputError, match='leave together out'):
        module('@app.job(together=True)\nasync def f(): pass')


ASYNC = """
from p01.remote.job import Job
class F(Job):
    async def __call__(self, remoteProcessor): pass
f = F()
"""


@pytest.mark.parametrize('text', ['def f():\n    yield 1', 'async def f():\n    yield 1', ASYNC])
def test_what_addJob_is_given_is_looked_at_too(app, module, text):
    found = module(text)
    with app.transaction():
        refused(lambda: app.processor.addJob('f', found.f), error=RegistrationError)


ABOVE = '''
import functools
def audited(function):
    @functools.wraps(function)
    def wrapper(*args):
        return 'audited', function(*args)
    return wrapper
def plainly(function):
    def wrapper(*args):
        return 'plainly', function(*args)
    return wrapper
def later(function):
    @functools.wraps(function)
    async def wrapper(*args):
        return function(*args)
    return wrapper
'''


def test_what_stands_under_the_name_is_what_runs(module):
    found = module(ABOVE + '@audited\n@app.job(queue="mail")\ndef f(x): return x\n'
                   '@app.job\n@audited\ndef g(x): return x\n@app.job\n@functools.lru_cache\ndef '
                   'h(x): return x\n')
    app, name = found.app, found.__name__
    with app.transaction():
        app.processor.addJob('short', found.f)
        jobs = [app.processor.processJob(f'{name}.f', (5,)),
                app.processor.processJob('short', (5,)),
                app.jobs[f'{name}.f'].enqueue(5).id, found.g.enqueue(5).id, found.h.enqueue(5).id]
    assert app.handle(jobs[0]).job.queue == 'mail'
    assert app.drain() == 5
    assert [app.handle(job).result() for job in jobs] == [found.f(5)] * 3 + [found.g(5), found.h(5)]


@pytest.mark.parametrize('text', ['@plainly\n@app.job\ndef f(x): return x',
                                  '@later\n@app.job\ndef f(x): return x',
                                  ('class C:\n    @classmethod\n    @app.job\n    def f(this, x): '
                                  'return x')])
def test_a_job_that_another_decorator_hides_is_refused(module, text):
    found = module(ABOVE + text)
    [job] = found.app.jobs.values()
    with found.app.transaction():
        refused(lambda: job.enqueue(5), error=RegistrationError)
        found.app.processor.addJob('sample', sample)
        found.app.processor.processJob('sample')        # the transaction is as it was
    assert found.app.drain() == 1


def test_static_methods_are_functions_with_a_longer_name(module):
    found = module('class C:\n    @staticmethod\n    @app.job\n    def f(x): return x\n    '
                   '@app.job\n    @staticmethod\n    def g(x): return x\n    @app.job\n    def '
                   'h(x): return x\n')
    with found.app.transaction():
        handles = [found.C.f.enqueue(1), found.C.g.enqueue(2), found.C().g.enqueue(3),
                   found.C.h.enqueue(4)]
    found.app.drain()
    assert [handle.result() for handle in handles] == [1, 2, 3, 4] and found.C().g(5) == 5


NAMES = ('self', 'cls', 'args', 'function', 'name', 'input', 'app', 'queue', 'priority', 'kwargs',
         'options', 'delay', 'unique')


def test_arguments_may_have_any_name(module):
    found = module('@app.job\ndef f(*, ' + ', '.join(NAMES) + '): return ['
                   + ', '.join(NAMES) + ']\n'
                   '@app.job\ndef g(self, *args, **kwargs): return self, args, kwargs\n')
    given = {name: number for number, name in enumerate(NAMES)}
    with found.app.transaction():
        one, two = found.f.enqueue(**given), found.g.enqueue(1, 2, function=3)
        three = found.g.using(priority=1).enqueue(self=4)
        refused(lambda: found.g.enqueue(1, self=2), 'self', error=ArgumentsError)
    found.app.drain()
    assert one.result() == list(given.values()) == found.f(**given)
    assert two.result() == (1, (2,), {'function': 3}) \
        and three.result() == (4, (), {}) == found.g(self=4)


@pytest.mark.parametrize('option, value', [
    ('retention', 5), ('retention', '7d'), ('retention',
                                            None), ('inputLimit',
                                                    'x'), ('outputLimit', -1), ('inputLimit', 1.5)])
def test_options_of_a_processor_are_refused_where_they_are_set(app, option, value):
    with app.transaction():
        refused(lambda: setattr(app.processor, option, value), option)
        app.processor.retention, app.processor.inputLimit = Retention('1d'), 100
    assert app.drain() == 0


class Yields(Job):
    def __call__(self, remoteProcessor):
        yield 1


class Later(Job):
    async def __call__(self, remoteProcessor):
        pass


@pytest.mark.parametrize('job', [Yields(), Later()])
def test_jobs_that_do_nothing_when_they_are_called(app, job):
    with app.transaction():
        refused(lambda: app.processor.addJob('x', job), '__call__', error=RegistrationError)


def test_a_job_function_is_pickled_by_its_name_and_a_handle_says_what_to_pass(module):
    found = module('@app.job\ndef f(x=None): return x')
    assert pickle.loads(pickle.dumps(found.f)) is found.f
    with found.app.transaction():
        handle = found.f.enqueue(found.f)
        text = refused(lambda: found.f.enqueue(handle), 'handle.id')
        refused(lambda: found.f.enqueue([{1: handle}]), 'handle.id')
        refused(lambda: found.f.enqueue(found.app), 'An App')
        assert 'weakref' not in text and 'ContextVar' not in text
    found.app.drain()
    assert handle.result() is found.f



# -- what is stored

class Queues(enum.StrEnum):
    MAIL = 'mail'


class Ranks(enum.IntEnum):
    HIGH = 5


class Length(float):
    pass


class Name(str):
    __slots__ = ()


def test_what_is_stored_of_options_needs_no_class_of_the_application(app):
    """A member of an Enum is a text or a number, too; a command without the application's modules
    must load it."""
    job = app.job(queue=Queues.MAIL, priority=Ranks.HIGH, retries=Ranks.HIGH,
                  name=Queues.MAIL)(sample)
    policy = Policy(retries=Ranks.HIGH, deaths=Ranks.HIGH, conflicts=Ranks.HIGH, backoff=Length(1),
                    timeout=Length(1))
    with app.transaction():
        app.processor.addJob(Queues.MAIL, testing.EchoJob())
        app.processor.jobs['mail'].policy = policy
        app.processor.retention = Retention(Length(9), most=Ranks.HIGH)
        app.processor.inputLimit = Ranks.HIGH * 1000
        app.processor.outputLimit = Ranks.HIGH
        app.processor.addScheduler(Delay(Queues.MAIL, Length(5), priority=Ranks.HIGH,
                                         queue=Queues.MAIL))
        app.processor.addScheduler(Cron(Queues.MAIL, minute=Ranks.HIGH, hour=(Ranks.HIGH,),
                                        tz=Name('UTC')))
        app.processor.processJob(Queues.MAIL, priority=Ranks.HIGH, delay=Length(50),
                                 unique=Queues.MAIL, expires=Length(90))
        enqueue(app.processor, 'mail', job.prototype, [None], **job.using(
            queue=Queues.MAIL, unique=Unique(Name('b'), Name('start'), Length(5)),
            at=Length(10)).options)
    for serial in app.db.storage.iterator():
        for record in serial:
            assert __name__.encode() not in (record.data or b''), record.data


def test_an_address_is_refused_in_a_sentence_whatever_it_is(tmp_path):
    for odd in (NoRepr(), 10 ** 400, 'x' * 10_000, None):
        refused(lambda odd=odd: App(odd), 'sqlite:./jobs', error=AddressError)
    for kind in ('sqlite', 'file'):
        for path in ('x' * 300, f'{"x" * 300}/jobs'):
            with pytest.raises(AddressError, match='cannot be opened'):
                App(f'{kind}:{tmp_path}/{path}').open()
    for odd in (None, False, 0, [], b''):
        refused(lambda odd=odd: App('memory:', processor=odd), 'processor')


def test_a_schedule_is_refused_in_a_sentence_whatever_it_is():
    for odd in (NoRepr(), 10 ** 400, 'x' * 10_000):
        for field in ('minute', 'hour', 'dayOfMonth', 'month', 'dayOfWeek'):
            refused(lambda field=field, odd=odd: Cron('x', **{field: odd}))
        refused(lambda odd=odd: Cron.parse('x', odd))
