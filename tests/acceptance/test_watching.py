# SPDX-License-Identifier: ZPL-2.1
"""What a job of a real worker says is seen while it runs, from here and as from another host, and
kept when it dies."""
import os
import signal
import subprocess
import sys

import pytest

from p01.remote.ground import blackbox
from p01.remote.testing import waitFor
from tests.acceptance.test_death import house  # noqa: F401 - a fixture
from tests.acceptance.test_requests import APP, command
from tests.acceptance.trees import DEADLINE, ROOT, environment

LOG = [f'{word} {number}' for number in range(3) for word in ('INFO logged', 'printed')]


def lines(log):
    """The lines of a log, without the times."""
    return [line[9:] if line[2:3] == ':' else line for line in log.splitlines()]


@pytest.mark.parametrize('elsewhere', [False, True], ids=['this host', 'another host'])
def test_it_is_seen_while_it_runs_and_kept(house, elsewhere, monkeypatch):      # noqa: F811
    house.tree(processes=1)
    handle = house.stage.app.handle(house.stage.enqueue('tells', (1, str(house.marks)))[0])
    house.pidOf(1, handle.id)
    if elsewhere:
        monkeypatch.setattr(blackbox, 'HOST', 'elsewhere/1234')
        assert handle.progress is None
        waitFor(lambda: handle.progress, DEADLINE)
    assert handle.progress == (2, 4, 'row 2')
    assert lines(handle.log) == LOG
    house.go(1)
    assert house.finish([handle.id])[0].status == 'completed'
    assert (handle.progress, lines(handle.log)) == ((4, 4, 'done'), [*LOG, 'last'])


@pytest.mark.parametrize('way', ['killed', 'cancelled'])
def test_it_is_kept_when_the_process_dies(house, way):      # noqa: F811
    house.tree(processes=1)
    handle = house.stage.app.handle(house.stage.enqueue('tells', (1, str(house.marks)))[0])
    pid = house.pidOf(1, handle.id)
    if way == 'killed':
        os.kill(pid, signal.SIGKILL)
        house.pidOf(1, handle.id, 2)
    else:
        handle.cancel(running=True, grace=0)
        house.finish([handle.id])
    [attempt] = house.stage.view(handle.id).attempts
    assert (attempt.said.progress, lines(attempt.said.log)) == ((2, 4, 'row 2'), LOG)
    assert handle.progress == (2, 4, 'row 2')
    house.go(1)
    house.finish([handle.id])
    # its bell goes when the next one rings
    waitFor(lambda: {path.suffix for path in house.trees[0].boxes.glob(f'{pid}-*')} <= {'.bell'},
            DEADLINE)


def test_the_command_watches_one_and_follows_all(house):      # noqa: F811
    house.tree(processes=1, threads=2)
    one, other = house.stage.enqueue('tells', (1, str(house.marks)), (2, str(house.marks)))
    for key, jobid in ((1, one), (2, other)):
        house.pidOf(key, jobid)
    words = {'watch': (str(one),), 'tail': ('--for', '6')}
    watching, tailing = (subprocess.Popen([sys.executable, '-m', 'p01.remote', 'jobs', verb, APP,
                                           *more], cwd=ROOT,
                                          env=environment(house.address) | {
                                              'PYTHONUNBUFFERED': '1'}, stdout=subprocess.PIPE,
                                          text=True)
                         for verb, more in words.items())
    first = [watching.stdout.readline() for _ in range(8)]
    assert first[0].endswith(f'processing  job {one}  tests.acceptance.tasks.tells\n')
    assert [*lines(''.join(first[1:7])), first[7]] == [*LOG, '50% row 2\n']
    waitFor(lambda: len(command(house, 'workers', 'list', APP)) == 2, DEADLINE)
    house.go(1)
    rest = watching.communicate(timeout=DEADLINE)[0].splitlines()
    assert (watching.returncode, rest[:2],
            rest[2].partition(' ')[2]) == (0, ['last', '100% done'], 'completed')
    house.go(2)
    told = tailing.communicate(timeout=DEADLINE)[0].splitlines()
    assert tailing.returncode == 0 and set(told) <= {f'{one} tells last', f'{other} tells last'}
