# SPDX-License-Identifier: ZPL-2.1
"""Who of a host has died, and what becomes of the box; see test_death for whole workers."""
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
import ZODB

from p01.remote.engine import neighbours
from p01.remote.engine.neighbours import Neighbours
from p01.remote.exceptions import StorageAway
from p01.remote.ground import blackbox, folders
from p01.remote.testing import waitFor
from tests.acceptance.trees import DEADLINE, environment

CODE = '''
import sys
from pathlib import Path
from p01.remote.engine import presence
box = presence.Box(Path(sys.argv[1]))
slots = [box.take() for _ in range(int(sys.argv[2]))]
print(box.path, flush=True)
sys.stdin.read()
box.close()
'''


@pytest.fixture
def watch():
    found = Neighbours()
    yield found
    found.close()


@contextmanager
def process(folder, slots=1):
    """Another process with a box; gives it and its box."""
    with subprocess.Popen([sys.executable, '-c', CODE, str(folder), str(slots)],
                          env=environment('memory:'), text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        try:
            yield other, folder / os.path.basename(other.stdout.readline().strip())
        finally:
            other.kill()


def found(watch, folder):
    """The dead, once the last change of the folder is old enough to be believed."""
    return waitFor(lambda: watch.dead(folder), DEADLINE, 'nobody is dead')


@pytest.mark.parametrize('reaped', [True, False])
def test_a_death_is_heard_by_who_is_not_the_parent(tmp_path, watch, reaped):
    """And told once. Should the kernel not tell, the wait would take its whole time, and nothing in
    the folder had changed."""
    with process(tmp_path) as (other, box):
        waitFor(lambda: watch.dead(tmp_path) == [] and tmp_path in watch.looked, DEADLINE)
        assert watch.handles.keys() == {box}
        os.kill(other.pid, signal.SIGKILL)
        watch.wait(DEADLINE)
        assert not watch.handles
        if reaped:
            other.wait()
        assert found(watch, tmp_path) == [box]
        (tmp_path / 'something').touch()
        assert watch.dead(tmp_path) == []


def test_one_that_was_dead_before_is_found_by_a_look(tmp_path, watch):
    with process(tmp_path) as (other, box):
        other.kill()
        other.wait()
        assert found(watch, tmp_path) == [box]


def test_one_that_ends_in_good_order_leaves_nothing(tmp_path, watch):
    with process(tmp_path) as (other, _):
        watch.dead(tmp_path)
        other.stdin.close()
        watch.wait(DEADLINE)
        other.wait()
        assert watch.dead(tmp_path) == [] and not watch.handles


def test_a_box_of_a_number_that_another_process_has_by_now(tmp_path, watch):
    with process(tmp_path) as (_, box):
        old = tmp_path / f'{os.getppid()}-0badcafe.box'
        old.write_bytes(box.read_bytes())       # nobody holds its lock
        assert found(watch, tmp_path) == [old]


def test_a_box_goes_when_all_its_slots_are_settled(tmp_path, watch):
    """Other processes see the seats of other processors: what they have not given back is theirs to
    find."""
    with process(tmp_path, 2) as (other, box):
        other.kill()
        other.wait()
        blackbox.settle(box, 1)
        assert [slot.round for slot in blackbox.slots(box)] == [blackbox.TAKEN, blackbox.FREE]
        blackbox.settle(box, 0)
        assert not box.exists()


def test_those_who_bury_take_turns(tmp_path):
    with process(tmp_path) as (other, box):
        other.kill()
        other.wait()
        got = threading.Event()

        def next():
            with folders.alone(tmp_path):
                got.set()
        with folders.alone(tmp_path):
            thread = threading.Thread(target=next)
            thread.start()
            assert blackbox.died(box)       # janitors see it all the same
            assert not got.is_set()
        assert got.wait(DEADLINE)
        thread.join()


@pytest.mark.parametrize('code, words', [(7,
                                          'ended with status 7'), (-9,
                                                                   'was killed by signal SIGKILL'),
                                         (-40, 'was killed by signal 40')])
def test_how_a_process_ended(tmp_path, code, words):
    with process(tmp_path) as (_, box):
        assert blackbox.read(box).head.code == blackbox.UNKNOWN
        blackbox.tellCode(box, code)
        head = blackbox.read(box).head
        assert (blackbox.howOf(head.code), head.top) == (words, 1)


@pytest.mark.parametrize('error, level', [(StorageAway('away'),
                                           'INFO'), (ZeroDivisionError(), 'WARNING')])
def test_what_cannot_be_given_back_is_told_of_as_loudly_as_it_deserves(tmp_path, caplog, error,
                                                                       level):
    def locate(connection):
        raise error

    db = ZODB.DB(None)
    with caplog.at_level('INFO', 'p01.remote'):
        assert not neighbours.give(tmp_path / '1.2', db, locate)
    [record] = [each for each in caplog.records if 'is left to others' in each.getMessage()]
    assert record.levelname == level
    db.close()
