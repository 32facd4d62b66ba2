# SPDX-License-Identifier: ZPL-2.1
"""How far a job is, and what it logs: while it runs, and when it has ended."""
import logging
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from p01.remote import App, current
from p01.remote.cli import main
from p01.remote.cli.watching import Follower
from p01.remote.engine import capture, presence, progress
from p01.remote.engine.context import running
from p01.remote.engine.loop import Loop
from p01.remote.engine.watching import NOTSEEN, Seen
from p01.remote.exceptions import InputError, RemoteError
from p01.remote.ground import blackbox, boards, folders
from p01.remote.job import Job
from p01.remote.options import Policy, WorkerOptions
from p01.remote.store.records import LOGKEPT, Progress
from p01.remote.store.views import View

SEEN = []
RAN = []


class Says(Job):
    """Does what its input says, and looks what others see."""

    policy = Policy(retries=0)
    capture = True

    def __call__(self, remoteProcessor):
        for step in self.input:
            match step:
                case ('fail', text):
                    raise ValueError(text)
                case ('log', *args):
                    current.log.info(*args)
                case ('called', *args):
                    current.log(*args)
                case ('print', text):
                    print(text, end='')
                case 'keep':
                    current.progress(1)
                    RAN.append(running.get())
                case ('track', count):
                    list(current.track(range(count)))
                case _:
                    current.progress(*step)
        [seat] = [seat for seat in remoteProcessor.store.seats.values() if self.id in seat.claims]
        SEEN.append((progress.saidBy(seat), progress.left(seat, self.id)))


class Works:
    """An application whose jobs say something."""

    def __init__(self, address):
        self.app = App(address)
        self.loop = Loop(self.app.db, self.app.locate, 'w', WorkerOptions(drain=True))

    def does(self, *steps):
        """A job does these; its handle."""
        with self.app.transaction():
            self.app.processor.addJob('says', Says())
            handle = self.app.handle(self.app.processor.processJob('says', list(steps)))
        self.loop.work()
        return handle

    def close(self):
        self.loop.close()
        self.app.close()


@pytest.fixture(params=['sqlite:{}/jobs', 'memory:', 'file:{}/jobs.fs'])
def works(request, tmp_path):
    SEEN.clear()
    found = Works(request.param.format(tmp_path))
    yield found
    found.close()


@pytest.mark.parametrize('said, words', [
    ((1, 4), '25 %'), ((1, 4, 'reading'), '25% reading'), ((7,), '7 so far'),
    ((7, None, 'rows'), '7 so far rows'), ((0, 0), '0 of 0'), ((5, 4), '125%'),
    ((2.5, 10.0, 'ü'), '25% ü')])
def test_words(said, words):
    found = Progress(*progress.checked(*said, *((None, '')[len(said) - 1:])))
    assert found.words() == words.replace(' %', '%')


@pytest.mark.parametrize('said', [('a', 1, ''), (True, 1, ''), (1, 'x', ''), (math.nan, 1, ''),
                                  (1, math.inf, ''), (1, 2, 5), (10 ** 400, 1, '')])
def test_what_makes_no_sense(said):
    with pytest.raises(InputError):
        progress.checked(*said)
    with pytest.raises(RemoteError):
        current.progress(1)


def test_it_is_seen_while_the_job_runs_and_kept_with_it(works, tmp_path):
    handle = works.does((3, 4, 'half'), ('log', 'row %d', 7), ('print', 'printed\nrest'),
                        (4, 4, 'ü' * 300))
    assert SEEN[0][0] == {handle.id: (4, 4, 'ü' * 200)}
    log = SEEN[0][1].log.splitlines()
    assert (log[0][9:], log[1:]) == ('INFO row 7', ['printed'])
    assert handle.progress == (4, 4, 'ü' * 200)
    assert handle.log.splitlines() == [*log, 'rest']        # a line without its end is one, too
    assert works.app.handle(handle.id).status == 'completed'
    folder = folders.folderFor(tmp_path / 'jobs')
    assert all(boards.read(path) == {} for path in folder.glob('*' + blackbox.SAID))


def test_what_a_job_said_that_failed_is_with_its_run(works):
    handle = works.does((1, None, 'row'), ('log', '100 %'), ('fail', 'it fails'))
    with works.app.reading() as processor:
        [attempt] = processor.store.view(handle.id).attempts
    assert (attempt.said.progress, attempt.said.log[9:]) == ((1, None, 'row'), 'INFO 100 %\n')
    assert (handle.progress, handle.log) == (attempt.said.progress, attempt.said.log)


def test_the_log_itself_can_be_called(works, caplog):
    caplog.set_level('INFO', 'p01.remote.job')
    handle = works.does(('called', 'row %d', 7))
    assert handle.log[9:] == 'INFO row 7\n'
    [record] = [each for each in caplog.records if each.getMessage() == 'row 7']
    assert (record.levelname, record.filename) == ('INFO', 'test_progress.py')


def test_one_that_says_nothing_keeps_nothing(works):
    handle = works.does()
    assert (handle.progress, handle.log, SEEN[0]) == (None, '', ({}, None))
    with works.app.reading() as processor:
        assert processor.store.view(handle.id).outcome.said is None


def test_the_end_of_a_log_is_kept_in_whole_lines(works):
    handle = works.does(*[('log', 'line %d of many', number) for number in range(3000)])
    lines = handle.log.splitlines()
    assert [int(line.split()[3]) for line in lines] == list(range(3000 - len(lines), 3000))
    assert LOGKEPT - 40 < len(handle.log) <= LOGKEPT


def test_a_line_may_be_longer_than_all_room(works):
    handle = works.does(('log', 'ü' * boards.AREA), ('log', 'last'))
    assert handle.log.splitlines()[-1].endswith('last') and len(handle.log) <= LOGKEPT


def test_a_loop_is_tracked(works):
    handle = works.does(('track', 12))
    assert handle.progress == (12, 12, '')


@pytest.mark.parametrize('given, total', [(range(3), 3), (iter(range(3)), None)])
def test_what_is_tracked_has_a_length_or_not(monkeypatch, given, total):
    told = []
    monkeypatch.setattr(type(current), 'progress', lambda self, *said: told.append(said))
    assert list(current.track(given, text='x')) == [0, 1, 2]
    assert told == [(number, total, 'x') for number in range(4)]


def test_a_log_line_names_who_logged(works, caplog):
    with caplog.at_level(logging.INFO, logger='p01.remote.job'):
        works.does(('log', 'look'))
    [record] = [record for record in caplog.records if record.name == 'p01.remote.job']
    assert (record.filename, record.jobName) == ('test_progress.py', 'says')


def test_streams_are_as_they_were(works, capsys):
    before = sys.stdout, sys.stderr
    works.does(('print', 'seen\n'))
    assert (sys.stdout, sys.stderr) == before and 'seen' in capsys.readouterr().out
    told = []
    with capture.captured(told.append):
        sys.stderr.writelines(['a\n', '10 %\r20 %\n', 'x' * (capture.LONGESTLINE + 1)])
        assert sys.stdout.encoding == before[0].encoding
    assert told == ['a', '20 %', 'x' * capture.LONGESTLINE]


# -- the board

def test_areas_are_used_again_and_run_out(tmp_path):
    board = boards.Board(tmp_path / 'x.said', True)
    areas = [board.take(number) for number in range(1, boards.AREAS)]
    assert None not in areas and board.take(5000) is None
    areas[0].write('one')
    for area in areas[1:]:
        area.close()
    assert board.take(7).number == areas[1].number
    found = {jobid: words.log for jobid, words in boards.read(board.path).items()}
    assert found == {1: b'one\n', 7: b''}


def test_a_board_takes_room_only_where_it_is_written(tmp_path):
    board = boards.Board(tmp_path / 'x.said', True)
    board.take(1).tell(1, 2, '')
    assert os.stat(board.path).st_blocks * 512 < 64 * 1024


WRITER = """
import sys
from pathlib import Path
from p01.remote.ground import boards
area = boards.Board(Path(sys.argv[1]), True).take(1)
print('begun', flush=True)
number = 0
while True:
    number += 1
    area.tell(number, number, str(number))
    area.write(f'{number:09d}' * 9)
"""


def test_who_reads_while_another_process_writes_sees_whole_things(tmp_path):
    path = tmp_path / 'x.said'
    writer = subprocess.Popen([sys.executable, '-c', WRITER, path], stdout=subprocess.PIPE,
                              env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)})
    try:
        writer.stdout.readline()
        until, looks = time.monotonic() + 1.0, 0
        while time.monotonic() < until:
            said = boards.read(Path(path))[1].progress
            assert said is None or said == (float(said[2]), float(said[2]), said[2])
            looks += 1
        assert looks > 10
    finally:
        writer.kill()
        writer.wait()
    words = boards.read(path)[1]                # and when it was killed
    lines = words.log.decode().splitlines()
    assert words.progress[0] >= len(lines) > 100
    assert all(line == line[:9] * 9 for line in lines[1:])


def test_of_a_line_that_was_begun_when_its_process_was_killed_nothing_is_seen(tmp_path):
    """Also of the first one that is written over the oldest."""
    board = boards.Board(tmp_path / 'x.said', True)
    area = board.take(1)
    while area.written < boards.RING - 50:
        area.write('x' * 30)
    begins = area.at + boards.LOGBEGINS
    board.map[begins:begins + 100] = b'y' * 100
    assert set(area.said().log.split(b'\n')) == {b'x' * 30, b''}


def test_what_processes_left_goes_with_their_boxes(tmp_path):
    app = App(f'sqlite:{tmp_path / "jobs"}')
    folder = folders.folderFor(tmp_path / 'jobs')
    progress.boardOf(app.db)
    kept = {path.name for path in folder.glob('*' + blackbox.SAID)}
    (folder / '1-left.said').touch()
    presence.tidy(folder)
    assert {path.name for path in folder.glob('*' + blackbox.SAID)} == kept and len(kept) == 1
    app.close()
    assert not list(folder.glob('*' + blackbox.SAID))


# -- the command

def test_it_is_shown(works, capsys):
    if works.app.place.startswith('memory'):
        pytest.skip('a command reaches no database in memory')
    handle = works.does((1, 2, 'half'), ('log', 'a line'), ('fail', 'bad'))
    works.close()
    assert main(['jobs', 'show', works.app.place, str(handle.id)]) == 0
    said = capsys.readouterr().out
    assert '50% half' in said and 'INFO a line' in said
    assert main(['jobs', 'watch', works.app.place, str(handle.id)]) == 1
    said = capsys.readouterr().out
    assert '50% half' in said and 'INFO a line' in said and 'ValueError: bad' in said


def test_what_is_not_seen_for_a_moment_is_not_told_twice():
    """As between the end of its box and its outcome."""
    view, log = View(1, None, 'processing'), b'one\ntwo\n'
    follower = Follower()
    assert follower.lines(view, Seen(None, len(log), log)) == ['one', 'two']
    assert follower.lines(view, NOTSEEN) == []
    ended = Seen(None, len(log) + 6, log + b'three\n')
    assert follower.lines(view._replace(status='completed', runs=1), ended) == ['three']


def test_what_is_said_behind_the_end_of_a_job_is_not_heard(works):
    """As by a thread that it has left: it would take room for ever."""
    works.does('keep')
    job = RAN.pop()
    assert job.said is not None
    job.note('too late')
    assert job.area is None
