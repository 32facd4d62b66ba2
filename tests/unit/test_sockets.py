# SPDX-License-Identifier: ZPL-2.1
"""How processes on sqlite: wake each other, and that a folder may be copied meanwhile."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading

import pytest

from p01.remote.storage import sockets
from p01.remote.testing import waitFor

LISTENS = '''
import sys, time
from pathlib import Path
from p01.remote.storage import sockets
sockets.Listener(Path(sys.argv[1]), lambda: print('heard', flush=True))
print('ready', flush=True)
time.sleep(60)
'''


@pytest.fixture(params=[True, False], ids=['named', 'file'], autouse=True)
def names(request, monkeypatch):
    """Sockets as on Linux, and as everywhere else."""
    if request.param and not sockets.HASNAMES:
        pytest.skip('sockets have files here')
    monkeypatch.setattr(sockets, 'HASNAMES', request.param)


def test_listeners_hear_until_they_are_closed(tmp_path):
    assert sockets.tell(tmp_path / 'nobody') == 0
    heard = [threading.Event(), threading.Event()]
    listeners = [sockets.Listener(tmp_path, event.set) for event in heard]
    assert sockets.tell(tmp_path) == 2
    assert all(event.wait(20) for event in heard)
    listeners[0].close()
    assert sockets.tell(tmp_path) == 1
    listeners[1].close()
    assert sockets.tell(tmp_path) == 0 and not list(tmp_path.iterdir())
    assert not any(listener.is_alive() for listener in listeners)


def test_a_stranger_can_signal_and_no_more(tmp_path):
    heard = threading.Semaphore(0)
    listener = sockets.Listener(tmp_path, heard.release)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        for text in (b'end', b'', b'.' * 1000):
            stranger.sendto(text, listener.place)
            assert heard.acquire(timeout=20)
    assert sockets.tell(tmp_path) == 1 and heard.acquire(timeout=20)
    listener.close()
    assert not listener.is_alive()


def test_one_that_is_full_is_told_and_ends(tmp_path):
    block = threading.Event()
    listener = sockets.Listener(tmp_path, lambda: block.wait(20))
    for _ in range(5000):
        assert sockets.tell(tmp_path) == 1
    block.set()
    listener.close()
    assert not listener.is_alive()


def test_a_copy_wakes_nobody_and_disturbs_nobody(tmp_path):
    heard = threading.Event()
    listener = sockets.Listener(tmp_path / 'live', heard.set)
    shutil.copytree(tmp_path / 'live', tmp_path / 'copy')
    assert sockets.tell(tmp_path / 'copy') == 0 and not list((tmp_path / 'copy').iterdir())
    assert sockets.tell(tmp_path / 'live') == 1 and heard.wait(20)
    listener.close()


def test_what_a_killed_process_left_is_removed(tmp_path):
    process = subprocess.Popen([sys.executable, '-c', LISTENS, str(tmp_path)],
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == 'ready\n' and sockets.tell(tmp_path) == 1
    assert process.stdout.readline() == 'heard\n'
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    waitFor(lambda: sockets.tell(tmp_path) == 0)
    assert not list(tmp_path.iterdir())


def test_one_that_cannot_be_reached_stays(tmp_path):
    """Of another container, say: it is held, and its socket is nowhere here."""
    file = sockets.locked(tmp_path / '1-x.bell', b'\0nobody-listens-here')
    assert sockets.tell(tmp_path) == 0 and (tmp_path / '1-x.bell').exists()
    os.close(file)
    assert sockets.tell(tmp_path) == 0 and not (tmp_path / '1-x.bell').exists()
