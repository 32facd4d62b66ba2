# SPDX-License-Identifier: ZPL-2.1
"""A database that is away when a worker begins: it is waited for, said once, and what waiting
cannot mend is not waited for."""
import json
import subprocess
import sys
import threading

import pytest

from p01.remote import App, testing
from p01.remote.engine import process
from p01.remote.events import StorageBack, StorageLost
from p01.remote.exceptions import NewerDatabase
from p01.remote.store import store as stores
from p01.remote.testing import waitFor
from p01.remote.worker import SimpleWorker
from tests import servers

DEADLINE = 60
LATER = '''
import os, sys
from p01.remote.engine.process import main
heard, ours = os.pipe()     # our end stays open: a supervisor lives
orders = {'target': sys.argv[1], 'options': {}, 'number': 2, 'first': False, 'errand': False,
          'parent': os.getpid()}
main(orders, heard, 1)
'''


@pytest.fixture
def newer(tmp_path):
    app = App(f'sqlite:{tmp_path / "newer"}')
    with app.transaction() as root:
        root[app.name].store.version = stores.VERSION + 1
    app.close()
    return app.database


def kinds(told):
    return [type(event) for event in told if isinstance(event, StorageLost | StorageBack)]


def status(app, jobid):
    with app.reading() as processor:
        return processor.getJobStatus(jobid)


def testAProcessThatIsToldToEndWaitsNoLonger(told):
    app = App(f'postgresql://nobody@127.0.0.1:{servers.freePort()}/none')
    assert not process.reach(app, '1', lambda: bool(kinds(told)))
    assert kinds(told) == [StorageLost]


def testANewerDatabaseIsNotWaitedFor(newer, told):
    with pytest.raises(NewerDatabase):
        process.reach(App(newer), '1', lambda: False)
    assert kinds(told) == []


def testAProcessEndsWithOneSentenceOnANewerDatabase(newer):
    done = subprocess.run([sys.executable, '-c', LATER, newer], capture_output=True, text=True,
                          timeout=DEADLINE)
    assert (done.returncode, done.stderr) == (1, '')
    # behind which files it has read
    *_, (word, reason) = map(json.loads, done.stdout.splitlines())
    assert word == 'fault' and 'upgrade the package' in reason


def testAThreadThatBeginsMeanwhileSaysSoOnceAndGoesOn(told):
    with servers.needed(lambda: servers.ZEO(storages=1)) as server:
        app = App(server.database(wait_timeout=1))
        with app.transaction() as root:
            root[app.name].addJob('echo', testing.EchoJob())
            jobid = root[app.name].processJob('echo', 1)
        server.kill()
        worker = SimpleWorker(app.db, [app.name])
        thread = threading.Thread(target=worker)
        thread.start()
        try:
            waitFor(lambda: StorageLost in kinds(told), DEADLINE,
                    'the worker does not say that its database is away')
            server.start()
            waitFor(lambda: StorageBack in kinds(told), DEADLINE, 'the worker does not go on')
            waitFor(lambda: status(app, jobid) == 'completed', DEADLINE, 'the job is not run')
        finally:
            worker.stop()
            thread.join()
            app.close()
        assert kinds(told) == [StorageLost, StorageBack]
