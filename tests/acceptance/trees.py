# SPDX-License-Identifier: ZPL-2.1
"""Trees of worker processes, started as the command starts them: a supervisor and its children, in
a group of their own."""
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from p01.remote.ground import blackbox, folders
from p01.remote.testing import waitFor

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 60
CODE = '''
import sys
from p01.remote.engine.supervisor import Supervisor
from p01.remote.options import WorkerOptions
sys.exit(Supervisor(sys.argv[2], WorkerOptions(**eval(sys.argv[1]))).run())
'''


def environment(address):
    """The environment of a process that works on this database."""
    paths = [str(ROOT / 'src'), str(ROOT), *filter(None, sys.path)]
    return {**os.environ, 'P01_TEST_DATABASE': address,
            'PYTHONPATH': os.pathsep.join(dict.fromkeys(paths))}


class Tree:
    """A supervisor, its workers, and what they had to say."""

    def __init__(self, address, folder, target='tests.acceptance.tasks:app', **options):
        kind, _, place = address.partition('?')[0].partition(':')
        self.boxes = folders.folderFor(Path(place) if kind == 'sqlite' else None)
        self.log = folder / 'tree.log'
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen([sys.executable, '-c', CODE,
                                             repr({'processes': 2, 'waitTime': 0.2, **options}),
                                             target], cwd=ROOT, env=environment(address),
                                            stdout=log, stderr=log,
                                            start_new_session=True)

    @property
    def said(self):
        """All log lines so far."""
        return self.log.read_text()

    def workers(self):
        """The pids of workers that have begun and not ended; databases on servers share the folder
        of their boxes."""
        boxes = list(self.boxes.glob('*.box')) if self.boxes.exists() else []
        pids = [int(box.name.partition('-')[0]) for box in boxes if box.exists()
                and not blackbox.died(box)]
        return [pid for pid in pids if groupOf(pid) == self.process.pid]

    def ready(self, count=2):
        """Wait until so many workers have begun."""
        waitFor(lambda: len(self.workers()) >= count, DEADLINE, 'the workers do not begin')

    def kill(self):
        """SIGKILL to all of them at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def wait(self):
        """Wait for the supervisor to end; returns its exit status."""
        try:
            return self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f'the supervisor does not end:\n{self.said}') from None

    def terminate(self):
        """Ask it to end; returns its exit status."""
        self.process.terminate()
        return self.wait()


def groupOf(pid):
    """The process group of a process, 0 when it is gone."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0
