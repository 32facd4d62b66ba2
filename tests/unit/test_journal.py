# SPDX-License-Identifier: ZPL-2.1
"""Journals keep their entries in pieces: whatever happens between two writings, what is loaded is
what was appended."""
import pytest
import transaction

from p01.remote.store.journals import Journal
from p01.remote.store.outcomes import endOf, fromStored, statusOf, success, toStored
from p01.remote.store.payload import Payload
from p01.remote.store.records import COMPLETED, Outcome, Record
from p01.remote.store.segments import Segment
from tests.unit.outcomes import ATTEMPT, OUTCOMES

RECORDS = {
    1: Record('echo', None, 3.0),
    2: Record('echo', b'kept', 3.0, 'mail'),
    3: Record('echo', b'kept', 3.0, extras={'unique': ('key', 'finish', None)}),
}


@pytest.fixture
def root(memory):
    with transaction.manager:
        connection = memory.db.open()
    yield connection.root()
    transaction.abort()
    connection.close()


def loaded(journal):
    """The entries as another connection loads them."""
    connection = journal._p_jar.db().open(transaction.TransactionManager())
    try:
        found = connection.get(journal._p_oid)
        return {jobid: found.outcome(jobid)
                for jobid in found.entries} if isinstance(found, Journal) else dict(found.entries)
    finally:
        connection.close()


def append(journal, jobid):
    """Have an outcome in a journal."""
    journal.append({jobid: toStored(OUTCOMES[jobid], 'me')})


@pytest.mark.parametrize('each', [1, 2, 5])
def test_outcomes_of_several_commits(root, each):
    journal = root['journal'] = Journal('me')
    for count, jobid in enumerate(OUTCOMES, 1):
        append(journal, jobid)
        if count % each == 0:
            transaction.commit()
    transaction.commit()
    assert loaded(journal) == OUTCOMES
    assert all(isinstance(outcome, Outcome) for outcome in loaded(journal).values())


def test_records_of_several_commits(root):
    segment = root['segment'] = Segment(1, 32, 0.0)
    for jobid, record in RECORDS.items():
        segment.append(jobid, record)
        transaction.commit()
    assert loaded(segment) == RECORDS


def test_a_journal_that_was_out_of_memory_goes_on(root):
    journal = root['journal'] = Journal('me')
    for jobid in OUTCOMES:
        append(journal, jobid)
        transaction.commit()
        journal._p_deactivate()
    assert loaded(journal) == OUTCOMES


def test_what_was_undone_is_not_kept(root):
    journal = root['journal'] = Journal('me')
    append(journal, 1)
    transaction.commit()
    append(journal, 2)
    transaction.savepoint()
    transaction.abort()
    append(journal, 3)
    savepoint = transaction.savepoint()
    append(journal, 4)
    transaction.savepoint()
    savepoint.rollback()
    append(journal, 5)
    transaction.commit()
    assert loaded(journal) == {jobid: OUTCOMES[jobid] for jobid in (1, 3, 5)}


def test_entries_that_are_replaced_are_written_anew(root):
    """As a migration does, and the end of a segment."""
    segment = root['segment'] = Segment(1, 32, 0.0)
    for jobid, record in RECORDS.items():
        segment.append(jobid, record)
    transaction.commit()
    segment.entries = {jobid: record._replace(name='sing') for jobid, record in RECORDS.items()}
    transaction.commit()
    assert {record.name for record in loaded(segment).values()} == {'sing'}
    segment.entries.clear()
    segment._p_changed = True
    transaction.commit()
    assert loaded(segment) == {}


def test_a_payload_makes_references(root):
    journal = root['journal'] = Journal('me')
    append(journal, 1)
    transaction.commit()
    journal.append({6: toStored(OUTCOMES[1]._replace(output=Payload(b'much', True)), 'me')})
    transaction.commit()
    journal._p_deactivate()
    append(journal, 2)
    transaction.commit()
    found = loaded(journal)
    assert (found[1], found[2]) == (OUTCOMES[1], OUTCOMES[2])
    assert found[6].output._p_oid == journal.outcome(6).output._p_oid is not None


def test_an_entry_is_pickled_once(root, monkeypatch):
    segment = root['segment'] = Segment(1, 32, 0.0)
    asked = []
    monkeypatch.setattr('p01.remote.store.records.toStored', lambda record: asked.append(record)
                        or tuple(record))
    for jobid, record in RECORDS.items():
        segment.append(jobid, record)
        transaction.commit()
    assert asked == list(RECORDS.values())


@pytest.mark.parametrize('output', [None, b'kept', Payload(b'much', True)])
@pytest.mark.parametrize('runs', [1, 2])
@pytest.mark.parametrize('attempts', [(), (ATTEMPT,)])
def test_a_success_is_stored_as_its_outcome_is(output, runs, attempts):
    outcome = Outcome(COMPLETED, output, '', runs, 1.0, 2.0, 'me', attempts)
    fields = success(output, runs, 1.0, 2.0, attempts)
    assert fields == toStored(outcome, 'me') == toStored(fields, 'me') \
        and fromStored(fields, 'me') == outcome


@pytest.mark.parametrize('jobid', OUTCOMES)
@pytest.mark.parametrize('tid', [None, b'12345678'])
def test_an_outcome_is_as_it_was_stored(jobid, tid):
    outcome = OUTCOMES[jobid]._replace(tid=tid)
    assert fromStored(toStored(outcome, 'me'), 'me') == outcome
    assert (statusOf(toStored(outcome, 'me')),
            endOf(toStored(outcome, 'me'))) == (outcome.status, outcome.completed)


def test_what_is_usual_takes_no_room_and_what_newer_code_wrote_is_passed_over():
    assert toStored(OUTCOMES[1], 'me') == (3.0, 4.0)
    assert toStored(OUTCOMES[1]._replace(tid=b'12345678'), 'me') == (3.0, 4.0, b'12345678')
    assert fromStored((3.0, 4.0, None, {'runs': 2, 'unheard': 1}),
                      'me') == OUTCOMES[1]._replace(runs=2)
