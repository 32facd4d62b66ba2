# SPDX-License-Identifier: ZPL-2.1
"""What a supervisor is made of, and how it starts its processes."""
import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from p01.remote.engine.channel import Line, Wait, flags
from tests.acceptance.trees import DEADLINE, environment

HEAVY = {'ZODB', 'BTrees', 'persistent', 'rich', 'multiprocessing', 'asyncio', 'p01.remote.app',
         'p01.remote.storage',
         'p01.remote.store.store', 'p01.remote.engine.loop'}


def test_what_several_threads_say_is_not_torn():
    """Each says more than a pipe holds."""
    there, says = os.pipe()
    line, said = Line(-1, says), {word: word * 100_000 for word in 'abcd'}
    threads = [threading.Thread(target=lambda word=word: [line.say(word, said[word])
                                                          for _ in range(5)]) for word in said]
    for thread in threads:
        thread.start()
    with open(there, encoding='utf-8') as file:
        found = [json.loads(file.readline()) for _ in range(5 * len(said))]
    os.close(says)
    assert sorted(found) == sorted([word, said[word]] for word in said for _ in range(5))


def test_a_supervisor_imports_neither_application_nor_database():
    code = f'import sys, p01.remote.cli.worker; print(sorted({HEAVY!r} & set(sys.modules)))'
    done = subprocess.run([sys.executable, '-c', code], env=environment('memory:'),
                          capture_output=True, text=True,
                          timeout=DEADLINE, check=True)
    assert done.stdout.strip() == '[]'


@pytest.mark.parametrize('line, found', [
    ('python -m p01.remote worker', ''), ('python script -O',
                                          ''), ('python -OO -P script', '-OO -P'),
    ('python -Im module', '-I'), ('python -X dev -Wignore -W error::m -c code',
                                  '-X dev -Wignore -W error::m'),
    ('python -i -s script', '-s'), ('python -iq',
                                    '-q'), ('python --check-hash-based-pycs never -m x',
                                                          '--check-hash-based-pycs never'), (
                                                              'python -', ''), ('python', '')])
def test_options_of_python_are_passed_on(line, found):
    assert flags(line.split()) == found.split()


def test_a_signal_wakes_who_waits():
    """As does another thread; a wait that nobody ends takes no time limit."""
    told, rest = [], Wait()
    with rest.signals({signal.SIGUSR1}, told):
        threading.Timer(0, signal.raise_signal, (signal.SIGUSR1,)).start()
        rest.wait([], None)
        assert told == [signal.SIGUSR1]
    threading.Timer(0, rest.wake).start()
    rest.wait([], None)
