# SPDX-License-Identifier: ZPL-2.1
"""A process may be killed while it makes its black box, and another one tidy up; who may write
beside it."""
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
import types

import pytest

from p01.remote import App, storage
from p01.remote.engine import death, limit, presence, requests
from p01.remote.engine.crew import Crew
from p01.remote.engine.neighbours import Neighbours, bury
from p01.remote.ground import blackbox, folders, notes, question
from p01.remote.ground.notes import note
from p01.remote.options import WorkerOptions
from p01.remote.store.seats import Seat, Seen


@pytest.fixture
def app(tmp_path):
    found = App(f'sqlite:{tmp_path / "db"}')
    yield found
    found.close()


@pytest.fixture
def folder(app):
    found = folders.folderFor(storage.folder(app.db))
    found.mkdir(exist_ok=True)
    return found


def test_a_handle_of_a_box_does_not_hold_its_lock(app, folder):
    """Of a process that outlives ours the box would say that we live. Somebody may have removed the
    file, as those do who tidy up among temporary ones."""
    box = presence.mine(app.db)
    handle = box.handle()
    fd = os.open(box.path, os.O_RDONLY)
    box.path.unlink()
    os.close(box.handle())
    try:
        with pytest.raises(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        box.leave()
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    finally:
        os.close(handle)
        os.close(fd)


@pytest.mark.parametrize('kind, least', [(blackbox.FREE, notes.HEARS), (3, 0.0)],
                         ids=['on an event loop', "a thread's own"])
def test_one_of_many_has_time_to_be_ended_alone(app, kind, least):
    """Its process is not ended at once for it, however short the grace."""
    box = presence.mine(app.db)
    slot = box.take()
    box.turn(slot, kind)
    box.write(slot, 7, 0.0, 1.0)
    now = time.monotonic()
    note(box.path, slot, 7, now)
    until = blackbox.read(box.path).slots[slot].until
    assert until >= now + least and (least or until == now)


def test_what_the_dead_left_half_made_goes_and_the_living_keep_theirs(app, folder):
    box = presence.mine(app.db)
    for name in ('dead.new', 'dead.stack', 'dead.said'):
        (folder / name).touch()
    with open(folder / 'living.new', 'wb') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        presence.tidy(folder)
        assert sorted(each.name
                      for each in folder.glob('*.*')) == sorted([box.path.name, 'living.new'])
    assert not blackbox.died(box.path)


def test_nothing_there_is_tidy(tmp_path):
    presence.tidy(tmp_path / 'nothing')


@pytest.mark.parametrize('before', [True, False])
def test_a_box_is_made_even_when_somebody_tidies_up_just_then(app, folder, monkeypatch, before):
    locked = []

    def lock(file, kind, real=fcntl.flock):
        if not locked and kind == fcntl.LOCK_EX:
            locked.append(file)
            if before:
                presence.tidy(folder)
            real(file, kind)
            if not before:      # it was found dead before, and goes now
                for each in folder.glob('*.new'):
                    each.unlink()
        else:
            real(file, kind)

    monkeypatch.setattr(presence.fcntl, 'flock', lock)
    box = presence.mine(app.db)
    assert len(locked) == 1 and [each.name for each in folder.glob('*.*')] == [box.path.name] \
        and not blackbox.died(box.path)


# -- a folder among temporary files, which anybody may make

def writable(folder, other):
    folder.mkdir()
    folder.chmod(0o777)


def elsewhere(folder, other):
    other.mkdir(mode=0o700)
    folder.symlink_to(other)


def foreign(folder, other):
    if os.getuid():
        pytest.skip('only root may give a folder away')
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, -1)


@pytest.mark.parametrize('make', [writable, elsewhere, foreign])
def test_a_folder_that_others_may_write_to_has_no_box(tmp_path, monkeypatch, make):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    folder = folders.folderFor(None)
    make(folder, tmp_path / 'other')
    with pytest.raises(PermissionError, match='not of this user alone'):
        presence.Box(folder)
    assert not list(folder.iterdir())


def test_where_no_file_can_be_temporary_a_database_has_its_own_folder(tmp_path, monkeypatch):
    """As in a container whose root is read-only; one without a folder says what it needs."""
    def none():
        raise FileNotFoundError('No usable temporary directory found')
    monkeypatch.setattr(tempfile, 'gettempdir', none)
    box = presence.Box(folders.folderFor(tmp_path))
    assert box.path.exists() and box.path.parent.parent == tmp_path
    box.close()
    with pytest.raises(FileNotFoundError, match='TMPDIR'):
        folders.folderFor(None)


def test_a_folder_of_our_own_has_one(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    box = presence.Box(folders.folderFor(None))
    assert box.path.exists() and box.path.parent.stat().st_mode & 0o077 == 0
    box.close()


def test_who_asks_a_process_that_ends_just_now_goes_on(tmp_path, monkeypatch):
    """Others take its box away meanwhile; its supervisor must not end for that."""
    box, sent = tmp_path / '1-x.box', []
    box.with_suffix(blackbox.STACK).touch()

    def kill(pid, number):
        sent.append(number)
        blackbox.remove(box)
    monkeypatch.setattr(blackbox.os, 'kill', kill)
    question.ask(1, box)
    question.ask(1, box)
    assert sent == [question.STACKSIGNAL]


@pytest.fixture(params=['gone', 'a file', 'full of what vanishes'])
def odd(request, tmp_path):
    """A folder of boxes as it may be while others tidy up, or remove it."""
    place = tmp_path / 'workers'
    if request.param == 'a file':
        place.touch()
    elif request.param != 'gone':
        place.mkdir()
        for suffix in ('.box', '.new', blackbox.STACK, blackbox.SAID):
            (place / f'1-dead{suffix}').symlink_to('nowhere')
    return place


@pytest.mark.parametrize('look', [
    presence.tidy,
    lambda folder: supervised(folder).boxes(1), lambda folder: Neighbours().dead(folder),
    lambda folder: limit.register(types.SimpleNamespace(file=1, path=folder / 'none' / '1-x.box'),
                                  ()),
    lambda folder: bury([folder / '1-dead.box'], [])],
    ids=['tidy', 'supervisor', 'neighbours', 'register', 'bury'])
def test_who_looks_at_boxes_takes_what_is_there(odd, look):
    look(odd)


def supervised(folder):
    found = Crew('', WorkerOptions())
    found.folder = folder
    return found


@pytest.mark.parametrize('size', [0, 8, blackbox.BOXHEAD.size, blackbox.BOXHEAD.size + 10])
def test_a_torn_box_says_nothing(app, size):
    """A disk that was full, say."""
    box = folders.folderFor(storage.folder(app.db)) / '1-torn.box'
    made = presence.mine(app.db)
    slot = made.take()
    data = made.map[:]
    box.write_bytes(data[:size])
    seat = Seat('torn:1:abc', blackbox.HOST, 1, 'other', str(box), 30.0, 0.0)
    seat.slot, seat.round = slot, 1
    assert blackbox.slots(box) == [] and not blackbox.isTold(box)
    with pytest.raises(OSError):
        blackbox.read(box)
    assert limit.left(seat, 7) == [] and requests.stood(seat, 7) is None
    assert death.boxOf(seat) is None and seat.glimpse() == Seen()
    blackbox.heard(box)
    blackbox.settle(box, slot)
    note(box, slot, 7, 1.0)


WEB = '''
import ctypes, os, signal
from p01.remote.engine import presence
library = ctypes.CDLL(None)
{setup}
presence.heed()
os.kill(os.getpid(), signal.SIGTERM)
'''


@pytest.mark.parametrize('setup, status', [
    ('', -signal.SIGTERM),
    ('library.signal(15, ctypes.cast(library._exit, ctypes.c_void_p))', 15),
    ("box = presence.Box(None); presence._boxes[presence.Box] = box; box.map.close()",
     -signal.SIGTERM)], ids=['nobody', 'a server in C', 'nobody, amidst the end of a box'])
def test_a_signal_does_what_it_did_before(setup, status):
    """Python sees no handler of a server that is written in C."""
    process = subprocess.run([sys.executable, '-c', WEB.format(setup=setup)], check=False,
                             timeout=60, stderr=subprocess.DEVNULL)
    assert process.returncode == status
