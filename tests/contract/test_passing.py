# SPDX-License-Identifier: ZPL-2.1
"""What can be passed to a job and returned by it: right, or refused where it is given, and the
transaction stays usable."""
import dataclasses
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from persistent import Persistent
from ZODB.blob import Blob

import p01.remote
from p01.remote import App
from p01.remote.exceptions import InputError, JobFailed
from p01.remote.testing import EchoJob
from tests.conftest import commit, counted

SOURCE = Path(p01.remote.__file__).parents[2]


class Thing:
    def __init__(self, value=None):
        self.value = value

    def __eq__(self, other):
        return isinstance(other, Thing) and self.value == other.value

    __hash__ = None


class Holder(Persistent):
    pass


class BlobJob(EchoJob):
    """Returns a blob, or stores one."""

    def __call__(self, remoteProcessor):
        if self.input == 'return':
            return {'blob': Blob(b'data')}
        remoteProcessor._p_jar.root()['blob'] = Blob(b'data')
        return None


class SignalJob(EchoJob):
    """Does what works in the main thread only."""

    def __call__(self, remoteProcessor):
        raise ValueError('signal only works in main thread of the main interpreter') if self.input \
            else signal.signal(signal.SIGALRM, signal.SIG_DFL)


@pytest.fixture
def inMain(monkeypatch):
    """Classes as if they were defined in the script that runs."""
    main = sys.modules['__main__']
    for name in ('MainThing', 'MainData'):
        made = type(name, (Thing,), {'__module__': '__main__',
                                     '__qualname__': name}) if name == 'MainThing' else \
            dataclasses.make_dataclass(name, ['value'],
                                       namespace={'__module__': '__main__', '__qualname__': name})
        made.__module__ = '__main__'
        monkeypatch.setattr(main, name, made, raising=False)
    return main


@pytest.mark.parametrize('make', [
    lambda main: main.MainThing(), lambda main: [
        main.MainData(5)], lambda main: Thing({1: (main.MainThing(),)}),
    lambda main: main.MainThing, lambda main: {'x': [main.MainData]}],
                         ids=['object', 'data', 'nested', 'class', 'nestedclass'])
def test_what_is_defined_in_the_script_is_refused(processor, inMain, make):
    first = processor.processJob('echo', 1)
    with pytest.raises(InputError,
                       match=r"Main(Thing|Data) is defined in the script that is running, "
                             r"'__main__'"):
        processor.processJob('echo', make(inMain))
    second = processor.processJob('echo', 'the text __main__ is no harm')
    commit(processor)
    counted(processor)
    assert processor.processJobs() == 2
    assert processor.getJobResult(first) == 1 and '__main__' in processor.getJobResult(second)


def test_objects_of_other_modules_are_passed(processor):
    jobid = processor.processJob('echo', [Thing('__main__'), Thing])
    commit(processor)
    counted(processor)
    processor.processJobs()
    assert processor.getJobResult(jobid) == [Thing('__main__'), Thing]


@pytest.mark.parametrize('input', [lambda: Blob(b'x'), lambda: ('a', {'b': Blob(b'x')})],
                         ids=['blob', 'nested'])
def test_a_blob_needs_a_place(place, processor, input):
    first = processor.processJob('echo', 1)
    if place.kind in ('file', 'postgresql'):
        with pytest.raises(InputError, match='no folder for blobs'):
            processor.processJob('echo', input())
    commit(processor)
    counted(processor)
    assert processor.processJobs() == 1 and processor.getJobResult(first) == 1


@pytest.mark.parametrize('way', ['return', 'store'])
def test_a_job_that_makes_a_blob_fails_once_with_the_mend(tmp_path, way):
    app = App(f'file:{tmp_path / "jobs.fs"}')
    with app.transaction():
        app.processor.addJob('blob', BlobJob())
        handle = app.handle(app.processor.processJob('blob', way))
    assert app.drain() == 1
    with pytest.raises(JobFailed, match='no folder for blobs'):
        handle.result(5)
    app.close()


def test_signals_get_a_hint(tmp_path):
    app = App(f'sqlite:{tmp_path / "jobs"}')
    with app.transaction():
        app.processor.addJob('signal', SignalJob())
        handle = app.handle(app.processor.processJob('signal', True))
    app.drain()
    assert 'signals belong to the main one: use timeout=' in handle.job.error
    app.close()


SCRIPT = '''
import dataclasses
from p01.remote import App
from tests.contract.test_passing import EchoJob

@dataclasses.dataclass
class Order:
    number: int

app = App('memory:')
with app.transaction():
    app.processor.addJob('echo', EchoJob())
    try:
        app.processor.processJob('echo', [Order(5)])
    except ValueError as error:
        print(error)
    app.processor.processJob('echo', dataclasses.asdict(Order(5)))
print(app.drain())
app.close()
'''


def test_a_real_script_is_told(tmp_path):
    (tmp_path / 'script.py').write_text(SCRIPT)
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, 'script.py'], cwd=tmp_path, capture_output=True,
                          text=True, timeout=60,
                          env={'PYTHONPATH': f'{SOURCE}:{root}', 'PATH': '/usr/bin'})
    assert done.stdout.splitlines()[0].startswith("The input of 'echo' cannot be pickled: Order is "
                                                  "defined in the script")
    assert done.stdout.splitlines()[1] == '1', done
