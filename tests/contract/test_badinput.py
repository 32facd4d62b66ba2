# SPDX-License-Identifier: ZPL-2.1
"""Bad input gets one clear sentence at the door; the transaction stays usable and nothing is
lost."""
import functools
import math
import threading
from datetime import datetime, timedelta

import pytest
from persistent import Persistent

from p01.remote import App, Policy, Unique
from p01.remote.exceptions import (
    AddressError,
    ArgumentsError,
    InputError,
    JobNotFound,
    NewerDatabase,
    RegistrationError,
    RemoteError,
    UnknownJob,
)
from p01.remote.testing import EchoJob
from tests.conftest import Place, commit, counted, nested, stored


def work(number, *, plus=0):
    return number + plus


class Thing:

    def method(self, number=0):
        return number

    @classmethod
    def make(cls, number=0):
        return number

    def __call__(self, number=0):
        return number


class Refuses:
    """Raises when it is pickled."""

    def __init__(self, error):
        self.error = error

    def __reduce__(self):
        raise self.error


class Broken(Persistent):
    """A persistent object that cannot be stored."""

    def __init__(self):
        self.lock = threading.Lock()


class LongRepr:

    def __repr__(self):
        raise RuntimeError('no text')


@pytest.fixture(params=['memory', 'sqlite'])
def place(request, tmp_path):
    """What is refused at the door never comes to the storage: two will do."""
    place = Place(request.param, tmp_path)
    yield place
    place.close()


@pytest.fixture
def usable(processor):
    """The transaction has a job before and one after what is refused; both run."""
    processor.addJob('work', work)
    first = processor.processJob('echo', 'before')
    yield processor
    second = processor.processJob('echo', 'after')
    commit(processor)
    assert counted(processor) == {'queued': 2}
    assert processor.processJobs() == 2
    assert [processor.getJobResult(jobid) for jobid in (first, second)] == ['before', 'after']


def sentence(error):
    """The message of an error, which must be one for people."""
    text = str(error.value)
    assert text and '\n' not in text and len(text) < 1000, text
    assert 'Traceback' not in text
    return text


# -- processJob

@pytest.mark.parametrize('name', [
    'no such', '', 'os.path.join', 'no.such.module', '..', 'a..b', None, 5, b'echo', ['echo'],
    'x' * 300, 'tests.contract.test_badinput.work', '\0', 'os.', '.os', 'echo:x'])
def test_an_unknown_job(usable, name):
    with pytest.raises(UnknownJob) as error:
        usable.processJob(name)
    sentence(error)


@pytest.mark.parametrize('input', [
    lambda: 1, threading.Lock(), (each for each in ()), [1, {2: lambda: 3}],
    Refuses(ValueError('no')), Refuses(KeyError()), nested(100_000), type('Hidden', (), {})()],
    ids=['lambda', 'lock', 'generator', 'within', 'raises', 'keyerror', 'deep', 'hidden'])
def test_an_input_that_cannot_be_pickled(usable, input):
    with pytest.raises(InputError, match=r"'echo'.*pickled") as error:
        usable.processJob('echo', input)
    sentence(error)
    with pytest.raises(InputError, match='pickled'):
        usable.processJob('work', (input,))


def test_an_input_that_is_too_large(usable):
    with pytest.raises(InputError, match=r'1,048,576.*inputLimit') as error:
        usable.processJob('echo', 'x' * (1 << 20))
    sentence(error)
    usable.inputLimit = 10
    with pytest.raises(InputError, match='limit of 10'):
        usable.processJob('echo', 'x' * 100)
    del usable.inputLimit


@pytest.mark.parametrize('input', [(), (1, 2), {'minus': 1}, {'number': 1, 'more': 2},
                                   None, (1, 2, 3)])
def test_arguments_that_do_not_fit(usable, input):
    with pytest.raises(ArgumentsError, match=r'test_badinput\.work\(number, \*, plus=0\)') as error:
        usable.processJob('work', input)
    sentence(error)
    assert isinstance(error.value, TypeError) and isinstance(error.value, InputError)


@pytest.mark.parametrize('options', [
    {'priority': 101}, {'priority': -101}, {'priority': 1.5}, {'priority': '5'}, {
        'priority': True}, {'priority': None},
    {'priority': ''}, {'priority': []}, {'priority': math.nan},
    {'delay': -1}, {'delay': timedelta(seconds=-1)}, {'delay': math.nan}, {'delay': math.inf}, {
        'delay': '5'},
    {'delay': True}, {'delay': 1e12}, {'delay': 1e300}, {'delay': 10 ** 400}, {
        'delay': timedelta.max}, {'delay': []},
    {'at': datetime(2030, 1,
                    1)}, {'at': '2030-01-01'}, {'at': math.nan}, {'at': -math.inf}, {'at': 1e18}, {
                        'at': True},
    {'at': 5, 'delay': 5}, {'delay': LongRepr()},
    {'queue': 5}, {'queue': ['a']}, {'queue': b'mail'},
    {'unique': ''}, {'unique': 5}, {'unique': b'key'}, {'unique': ['a']},
    {'expires': -1}, {'expires': 'soon'}, {'expires': math.nan}, {'expires': 1e300}, {
        'expires': datetime(2030, 1, 1)}],
    ids=lambda options: str(options) if 'LongRepr' not in str(type(next(iter(options.values()))))
                         else 'longrepr')
def test_options_that_make_no_sense(usable, options):
    with pytest.raises(InputError) as error:
        usable.processJob('echo', 1, **options)
    assert next(iter(options)) in sentence(error).lower()


@pytest.mark.parametrize('options', [
    {'delay': 0}, {'delay': 0.0}, {'priority': -100}, {'priority': 100}, {'queue': 'ü/\n'},
    {'unique': '\0'}, {'queue': ''}, {'unique': 'x' * 10_000}, {'at': -1e10}])
def test_options_at_the_edge(processor, options):
    jobid = processor.processJob('echo', 1, **options)
    commit(processor)
    counted(processor)
    assert processor.processJobs() == 1 and processor.getJob(jobid).output == 1


def test_a_new_persistent_object_that_cannot_be_stored_is_told_by_the_commit(processor):
    processor.processJob('echo', Broken())
    with pytest.raises(TypeError):
        commit(processor)
    processor._p_jar.transaction_manager.abort()
    jobid = processor.processJob('echo', 1)
    commit(processor)
    assert processor.processJobs() == 1 and processor.getJobResult(jobid) == 1


# -- registration

def nested():
    def inner():
        pass
    return inner


@pytest.mark.parametrize('job, words', [
    (lambda: 1, 'lambda'), (nested(), 'nested'), (functools.partial(work, 1), 'no name'),
    (5, 'no job'), (None, 'no job'), ('os.getcwd',
                                      'no job'), (EchoJob,
                                                  r'EchoJob\(\)'), (Thing().method, 'method'),
    (Thing(), 'no name'), ([].append, 'no name')])
def test_what_cannot_be_registered(processor, job, words):
    with pytest.raises(RegistrationError, match=words) as error:
        processor.addJob('new', job)
    sentence(error)
    assert 'new' not in processor.jobs
    with pytest.raises(ValueError):
        processor.addJob('new', job)


def test_main_is_told(processor):
    def script():
        pass
    script.__module__, script.__qualname__ = '__main__', 'script'
    with pytest.raises(RegistrationError, match='__main__'):
        processor.addJob('new', script)
    with pytest.raises(RegistrationError, match='__main__'):
        App('memory:').job(script)


@pytest.mark.parametrize('name', ['', None, 5, b'name', ('a',)])
def test_names_are_texts(processor, name):
    with pytest.raises(InputError):
        processor.addJob(name, EchoJob())


@pytest.mark.parametrize('job', [Thing.make, len, Thing])
def test_other_callables_that_a_name_finds(processor, job):
    processor.addJob('new', job)
    assert processor.getJobByName('new').function == job


def test_a_function_whose_job_nobody_finds():
    """app.job as a call, and the function stays under its name: a worker would find that, and not
    the job."""
    app = App('memory:')
    made = app.job(work)
    with app.transaction() as root:
        with pytest.raises(RegistrationError, match='write @app'):
            made.enqueue(1)
        root[app.name].addJob(made.prototype.path, work)        # then it is found
        made.enqueue(1)
    app.close()


def test_two_functions_of_one_name():
    app = App('memory:')
    app.job(name='same')(work)
    app.job(name='same')(work)
    with pytest.raises(RegistrationError, match='same'):
        app.job(name='same')(nested)


@pytest.mark.parametrize('options', [
    {'retries': -1}, {'retries': 1.5}, {'retries': True}, {'retries': None}, {'backoff': -1}, {
        'backoff': math.nan},
    {'backoff': 'x'}, {'longest': -1}, {'longest': None}, {'timeout': 0}, {'timeout': -1}, {
        'timeout': 'x'},
    {'timeout': math.nan}, {'final': 5}, {'final': (5,)}, {'final': ('ValueError',)}], ids=str)
def test_policies_that_make_no_sense(options):
    with pytest.raises(InputError) as error:
        Policy(**options)
    assert next(iter(options)) in sentence(error)


@pytest.mark.parametrize('options', [{'key': ''}, {'key': 5}, {'key': 'a',
                                                               'until': 'never'}, {'key': 'a',
                                                                                   'period': 0},
                                     {'key': 'a', 'period': -5}, {'key': 'a', 'period': 'x'},
                                     {'key': 'a', 'period': math.nan}], ids=str)
def test_unique_rules_that_make_no_sense(options):
    with pytest.raises(InputError) as error:
        Unique(**options)
    sentence(error)


# -- the rest of the door

@pytest.mark.parametrize('address', ['', 'nothing', 'mysql:x', 'sqlite', 'sqlite:', ':', 'file:',
                                     5, None, b'memory:'])
def test_bad_addresses(address):
    with pytest.raises((AddressError, TypeError)):
        App(address).db     # noqa: B018 - opens


@pytest.mark.parametrize('now', ['now', datetime(2030, 1, 1), math.nan, math.inf, True, []])
@pytest.mark.parametrize('name', ['pullNextJob', 'processNextJob', 'processJobs'])
def test_now_is_an_instant(usable, name, now):
    with pytest.raises(InputError, match='now'):
        getattr(usable, name)(now)


def test_a_schedule_needs_a_known_job(usable):
    from p01.remote.scheduler import Cron, Delay
    for item in (Delay('no such'), Cron('no such', minute=0)):
        with pytest.raises(UnknownJob):
            usable.addScheduler(item)
    for item in (None, 'echo', EchoJob()):
        with pytest.raises(RemoteError):
            usable.addScheduler(item)


def test_a_processor_without_a_place_cannot_start():
    from tests.conftest import newProcessor
    with pytest.raises(RemoteError, match='store it'):
        newProcessor().startProcessing()


def test_a_newer_database_is_refused(place):
    processor = stored(place)
    processor.store.version += 1
    connection = processor._p_jar
    connection.root()['newer'] = processor
    commit(processor)
    with pytest.raises(NewerDatabase, match='upgrade'):
        App(place.db, name='newer').db      # noqa: B018 - opens


def test_a_job_that_never_was(usable):
    with pytest.raises(JobNotFound) as error:
        usable.getJob(999)
    assert '999' in sentence(error)
