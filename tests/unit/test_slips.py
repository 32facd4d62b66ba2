# SPDX-License-Identifier: ZPL-2.1
"""A slip is stored past its connection's pickler: nobody may notice."""
import io
import pickle

import pytest
import transaction
from persistent.mapping import PersistentMapping
from ZODB.POSException import ConflictError

from p01.remote.store.outcomes import fromStored, toStored
from p01.remote.store.payload import Payload
from p01.remote.store.slips import Rider, Slip
from tests.unit.outcomes import OUTCOMES

CLAIMS = range(100)


@pytest.fixture
def db(memory):
    with transaction.manager:
        root = memory.db.open().root()
        root['slip'] = Slip()
        root['thing'] = PersistentMapping()
        root['slip'].write({1: toStored(OUTCOMES[1], 'me')}, CLAIMS)
    root._p_jar.close()
    return memory.db


class Session:
    """A connection with its own transactions."""

    def __init__(self, db):
        self.manager = transaction.TransactionManager()
        self.jar = db.open(self.manager)
        self.root = self.jar.root()
        self.slip = self.root['slip']

    def work(self, jobid, outcome=OUTCOMES[2], claims=CLAIMS):
        """What a job does: it changes something, and its outcome is written."""
        self.root['thing'][jobid] = True
        self.slip.write({jobid: toStored(outcome, 'me')}, claims)

    def riders(self):
        return [each for each in self.manager.get()._resources if isinstance(each, Rider)]


@pytest.fixture
def sessions(db):
    found = [Session(db), Session(db)]
    yield found
    for each in found:
        each.manager.abort()
        each.jar.close()


@pytest.fixture
def session(sessions):
    return sessions[0]


@pytest.fixture
def other(sessions):
    return sessions[1]


def stored(session):
    """What others load."""
    other = Session(session.jar.db())
    found = ({jobid: fromStored(each, 'me')._replace(tid=None)
              for jobid, each in other.slip.entries.items()},
             sorted(other.root['thing'], key=str))
    other.jar.close()
    return found


def test_all_there_is_to_an_outcome_is_stored(session):
    for jobid, outcome in OUTCOMES.items():
        session.work(jobid, outcome)
        assert session.riders()
        session.manager.commit()
        assert not session.slip._p_changed
    assert stored(session) == (OUTCOMES, list(OUTCOMES))


def read(record):
    """What is in a record: the pickles of class and state."""
    stream = io.BytesIO(record)
    return pickle.load(stream), pickle.load(stream), stream.read()


def test_the_record_is_what_the_database_writes(session):
    session.work(2)
    session.manager.commit()
    ridden, _ = session.jar._storage.load(session.slip._p_oid)
    session.slip._p_changed = True
    session.manager.commit()
    written, _ = session.jar._storage.load(session.slip._p_oid)
    assert read(ridden) == read(written)


def test_alone_in_its_transaction_it_is_stored_as_well(session):
    session.slip.write({2: toStored(OUTCOMES[2], 'me')}, CLAIMS)
    session.manager.commit()
    assert list(stored(session)[0]) == [1, 2]


@pytest.fixture
def pickled(monkeypatch):
    """How often the connection's pickler asks a slip for its state."""
    asked = []
    monkeypatch.setattr(Slip,
                        '__getstate__', lambda slip, real=Slip.__getstate__: asked.append(slip)
                        or real(slip))
    return asked


def test_the_connection_does_not_pickle_it(session, pickled):
    session.work(2)
    session.manager.commit()
    assert not pickled and list(stored(session)[0]) == [1, 2]


def test_what_is_registered_after_it_leaves_it_to_the_connection(session, pickled):
    def hook():
        session.root['more'] = True

    session.work(2)
    session.manager.get().addBeforeCommitHook(hook)
    session.manager.commit()
    assert pickled and list(stored(session)[0]) == [1, 2] and session.root['more']


def test_twice_in_a_transaction(session):
    session.work(2)
    session.work(3)
    session.manager.commit()
    session.work(4)
    session.manager.commit()
    assert list(stored(session)[0]) == [1, 2, 3, 4]


@pytest.mark.parametrize('between', [True, False])
def test_twice_with_a_savepoint_between(session, between):
    session.work(2)
    session.manager.savepoint()
    if between:
        session.root['thing']['between'] = True
    session.slip.write({3: toStored(OUTCOMES[3], 'me')}, CLAIMS)
    session.manager.commit()
    assert list(stored(session)[0]) == [1, 2, 3]


@pytest.mark.parametrize('before', [True, False])
def test_what_is_aborted_is_gone(session, before):
    session.work(2)
    if before:
        session.manager.abort()
    else:
        session.root['thing']['bad'] = lambda: None     # cannot be pickled
        with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
            session.manager.commit()
        session.manager.abort()
    assert list(session.slip.entries) == [1]
    session.work(3)
    session.manager.commit()
    assert list(session.slip.entries) == [1, 3]
    assert list(stored(session)[0]) == [1, 3] and stored(session)[1] == [3]


def test_a_vote_that_fails_leaves_nothing(session):
    class Refuses:
        def sortKey(self):
            return '~~'

        def nothing(self, transaction):
            pass

        def tpc_vote(self, transaction):
            raise ValueError('no')

        tpc_begin = commit = tpc_finish = tpc_abort = abort = nothing

    session.work(2)
    session.manager.get().join(Refuses())
    with pytest.raises(ValueError, match='no'):
        session.manager.commit()
    session.manager.abort()
    assert stored(session) == ({1: OUTCOMES[1]}, []) and list(session.slip.entries) == [1]


@pytest.mark.parametrize('fence', [lambda slip: setattr(slip, '_p_changed', True),
                                   lambda slip: slip.write({9: toStored(OUTCOMES[1], 'me')},
                                                           CLAIMS)])
def test_whoever_stores_on_top_of_another_revision_conflicts(session, other, fence):
    session.work(2)
    fence(other.slip)
    other.manager.commit()
    with pytest.raises(ConflictError):
        session.manager.commit()
    session.manager.abort()
    assert 2 not in stored(session)[0] and not stored(session)[1]
    session.work(3)
    session.manager.commit()
    assert list(stored(session)[0])[-1] == 3


def test_each_outcome_knows_the_transaction_that_wrote_it(session):
    tids = {}
    for jobid in (2, 3, 4):
        session.work(jobid)
        session.manager.commit()
        tids[jobid] = session.slip._p_serial
    session.slip.touch()            # a part that a job commits itself
    session.manager.commit()
    assert len({*tids.values(), session.slip._p_serial}) == 4
    other = Session(session.jar.db())
    found = {jobid: fromStored(each, 'me').tid for jobid, each in other.slip.written().items()}
    other.jar.close()
    assert {jobid: found[jobid] for jobid in tids} == tids


def test_after_savepoints(session):
    session.root['thing']['first'] = True
    session.manager.savepoint()
    session.root['thing']['second'] = True
    undone = session.manager.savepoint()
    session.root['thing']['third'] = True
    undone.rollback()
    session.slip.write({2: toStored(OUTCOMES[2], 'me')}, CLAIMS)
    assert session.riders()
    session.manager.commit()
    assert stored(session) == ({1: OUTCOMES[1], 2: OUTCOMES[2]}, ['first', 'second'])


def minimize(session):
    session.jar.cacheMinimize()


def savepoint(session):
    session.manager.savepoint()


def optimistic(session):
    session.manager.savepoint(optimistic=True).rollback()


def more(session):
    for number in range(2 * session.jar._cache.cache_size):
        session.root['thing'][f'more {number}'] = PersistentMapping()
    session.manager.savepoint(optimistic=True)


@pytest.mark.parametrize('before', [None, savepoint, more])
@pytest.mark.parametrize('after', [minimize, savepoint, optimistic, more])
@pytest.mark.parametrize('hooked', [True, False])
def test_whatever_comes_between_the_outcome_and_its_commit(session, before, after, hooked):
    for jobid in (2, 3, 4):
        if before is not None:
            before(session)
        if hooked:
            session.manager.get().addBeforeCommitHook(after, (session,))
        session.work(jobid)
        if not hooked:
            after(session)
        session.manager.commit()
        found, things = stored(session)
        assert list(found) == list(range(1, jobid + 1)) \
            and jobid in [each for each in things if isinstance(each, int)]
        assert list(session.slip.entries) == list(found)


def test_a_savepoint_behind_it_that_is_rolled_back(session):
    session.root['thing']['first'] = True
    before = session.manager.savepoint()
    session.work(2)
    before.rollback()
    assert list(session.slip.entries) == [1]
    session.manager.commit()
    assert stored(session) == ({1: OUTCOMES[1]}, ['first'])


def test_a_payload_is_referred_to_and_not_copied(session, pickled):
    session.work(2, OUTCOMES[2]._replace(output=Payload(b'much', True)))
    session.work(3)
    session.manager.commit()
    payload = fromStored(session.slip.entries[2], 'me').output
    assert isinstance(payload, Payload) and payload._p_oid
    assert stored(session)[0][2].output._p_oid == payload._p_oid
    session.work(4)         # with a payload of an earlier commit beside it
    session.manager.commit()
    assert stored(session)[0][2].output._p_oid == payload._p_oid
    session.slip.forget(2)
    session.work(5)
    session.work(6, OUTCOMES[2]._replace(output=payload))       # after the slip has its rider
    session.manager.commit()
    assert stored(session)[0][6].output._p_oid == payload._p_oid
    session.slip.forget(6)
    session.manager.commit()
    pickled.clear()
    session.work(7)
    session.manager.commit()
    assert not pickled and list(stored(session)[0]) == [1, 3, 4, 5, 7]


@pytest.mark.parametrize('output', [b'little', Payload(b'much', True)])
def test_outcomes_of_jobs_that_are_settled_go(session, output):
    for jobid in (2, 3):
        session.work(jobid, OUTCOMES[2]._replace(output=output, runs=jobid))
        session.manager.commit()
    session.work(4, OUTCOMES[2]._replace(output=output), claims={3, 4})
    session.manager.commit()
    assert list(stored(session)[0]) == [3, 4] == list(session.slip.entries)
    session.slip.forget(3)
    session.manager.commit()
    assert list(stored(session)[0]) == [4] == list(session.slip.entries)
