# SPDX-License-Identifier: ZPL-2.1
"""How far a job is, as it says."""
import math
import os
import subprocess
import sys

import pytest

from p01.remote import App, current
from p01.remote.engine import progress
from p01.remote.engine.loop import Loop
from p01.remote.exceptions import InputError, RemoteError
from p01.remote.ground import folders
from p01.remote.options import WorkerOptions
from p01.remote.testing import EchoJob

SEEN = []


class Says(EchoJob):
    """Says what its input says, and looks what others see."""

    def __call__(self, remoteProcessor):
        current.progress(*self.input)
        [seat] = [seat for seat in remoteProcessor.store.seats.values() if self.id in seat.claims]
        SEEN.append(progress.saidBy(seat))
        if self.input[-1] == 'fails':
            raise ValueError('it fails')


@pytest.mark.parametrize('said, words', [
    ((1, 4), '25 %'), ((1, 4, 'reading'),
                       '25% reading'), ((7,), '7 so far'), ((7, None, 'rows'), '7 so far rows'),
    ((0, 0), '0 of 0'), ((5, 4), '125%'), ((2.5, 10.0, 'ü'), '25% ü')])
def test_words(said, words):
    assert progress.checked(*said,
                            *((None, '')[len(said) - 1:])).words() == words.replace(' %', '%')


@pytest.mark.parametrize('said', [('a', 1, ''), (True, 1,
                                                 ''), (1, 'x',
                                                       ''), (math.nan, 1, ''), (1, math.inf,
                                                                                ''), (1, 2, 5)])
def test_what_makes_no_sense(said):
    with pytest.raises(InputError):
        progress.checked(*said)
    with pytest.raises(RemoteError):
        current.progress(1)


@pytest.mark.parametrize('address', ['sqlite:{}/jobs', 'memory:', 'file:{}/jobs.fs'])
@pytest.mark.parametrize('given', [(3, 4, 'half'), (1, None, 'fails')])
def test_it_is_seen_while_the_job_runs(tmp_path, address, given):
    app = App(address.format(tmp_path))
    with app.transaction():
        app.processor.addJob('says', Says())
        app.processor.processJob('says', given)
    SEEN.clear()
    loop = Loop(app.db, app.locate, 'w', WorkerOptions(drain=True))
    loop.work()
    if address.startswith('sqlite'):
        assert SEEN[0] == {1: progress.Progress(*given)}
        # gone with the job
        assert not list(folders.folderFor(tmp_path / 'jobs').glob('*.progress'))
    loop.close()
    app.close()


def test_what_a_killed_process_left_goes(tmp_path):
    code = """
import os, sys
from p01.remote import App
from p01.remote.engine import progress
app = App(sys.argv[1])
progress.say(app.db, 5, progress.checked(1, 2, ''))
os._exit(1)
"""
    address = f'sqlite:{tmp_path / "jobs"}'
    env = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, '-c', code, address], timeout=60, env=env)
    folder = folders.folderFor(tmp_path / 'jobs')
    assert len(list(folder.glob('*.progress'))) == 1
    app = App(address)
    progress.say(app.db, 6, progress.checked(1, 2, ''))
    assert [path.name.partition('-')[0] for path in folder.glob('*.progress')] == [str(os.getpid())]
    progress.say(app.db, 6, None)
    assert not list(folder.glob('*.progress'))
    app.close()
