# SPDX-License-Identifier: ZPL-2.1
"""Faults of a loop that are neither a job's nor the storage's: told as such; the loop ends visibly,
its claims go back."""
import threading

import pytest

from p01.remote import events
from p01.remote.engine import outage, presence
from p01.remote.engine.loop import TROUBLES, Loop
from p01.remote.options import WorkerOptions
from p01.remote.storage.origin import fromStorage
from p01.remote.storage.places import traverse
from tests.conftest import NAME


def kinds(told):
    return [type(event) for event in told
            if isinstance(event, events.StorageLost | events.StorageBack | events.WorkerFailed)]


@pytest.mark.parametrize('kind', [RuntimeError, OSError, SystemExit, GeneratorExit])
def test_a_fault_of_a_loop_is_no_storage_that_is_away(place, processor, told, monkeypatch, kind):
    jobids = [processor.processJob('echo', number) for number in range(3)]
    processor._p_jar.transaction_manager.commit()
    monkeypatch.setattr(outage, 'LONGESTRETRY', 0.001)
    loop = Loop(place.db, lambda connection: traverse(connection, [NAME]), 'one',
                WorkerOptions(waitTime=0.01))
    tries = []

    def fault(now):
        if not tries:
            loop.book(now, 3)
        tries.append(now)
        raise kind('a fault of ours')

    loop.poll = fault
    raised = []

    def work():
        try:
            loop.work()
        except BaseException as error:
            raised.append(error)
        finally:
            loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert [type(error) for error in raised] == [kind]
    assert len(tries) == TROUBLES + 1
    assert kinds(told) == [events.WorkerFailed]
    assert loop.name not in presence.live
    processor._p_jar.transaction_manager.begin()
    assert [processor.getJobStatus(jobid) for jobid in jobids] == ['queued'] * 3
    assert len(processor.store.seats) == 0


def test_a_loop_that_cannot_be_made_is_not_alive(place, processor, monkeypatch):
    before = set(presence.live)
    monkeypatch.setattr(place.db,
                        'open', lambda
                        *args, **kwargs: (_ for _ in ()).throw(OSError('no connection')))
    with pytest.raises(OSError):
        Loop(place.db, lambda connection: None, 'one')
    assert presence.live == before


class Loaded:
    def __init__(self):
        self.value = 1

    def __setstate__(self, state):
        raise OSError('no state')


def test_what_the_storage_raises_is_told_apart(place, processor, monkeypatch):
    """By where it was raised, not by its class."""
    connection = place.connect()
    storage = connection._storage

    def load(*args):
        raise OSError('away')

    processor._p_jar.root()['key'] = 1
    processor._p_jar.transaction_manager.commit()
    connection.transaction_manager.begin()
    connection.cacheMinimize()
    with monkeypatch.context() as patched:
        patched.setattr(storage, 'load', load)
        with pytest.raises(OSError) as caught:
            connection.root()['key']
    assert fromStorage(caught.value)
    processor._p_jar.root()['loaded'] = Loaded()
    processor._p_jar.transaction_manager.commit()
    connection.transaction_manager.begin()
    with pytest.raises(Exception) as caught:
        connection.root()['loaded']
    assert not fromStorage(caught.value)
    with pytest.raises(OSError) as caught:
        raise OSError('of a job')
    assert not fromStorage(caught.value)
