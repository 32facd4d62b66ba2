# SPDX-License-Identifier: ZPL-2.1
"""How long finished jobs stay, on every storage: by status, by age and by number, removed a few at
a time."""
import pytest

from p01.remote import verbs
from p01.remote.engine.janitor import SWEPT, Janitor
from p01.remote.exceptions import JobNotFound
from p01.remote.options import Retention
from p01.remote.store.keys import SHARDS
from p01.remote.store.records import Outcome
from p01.remote.store.seats import Seat
from p01.remote.verbs.reserving import LARGE
from tests.conftest import START, commit, counted

ALONE = (0, 1)      # the rank of the only worker
DAY = 24 * 3600.0


def ended(processor, *ends):
    """Jobs that ended so, (status, instant) each; their ids."""
    ids = [processor.processJob('echo') for _ in ends]
    commit(processor)
    store = processor.store
    seat = store.seats.get('retired')
    if seat is None:
        seat = Seat('retired', 'host', 1, 'process', '', 60.0, START)
        verbs.sit(store, seat)
    verbs.claim(store, seat, len(ids), START)
    assert list(seat.claims) == ids
    for jobid, (status, instant) in zip(ids, ends, strict=True):
        verbs.settle(store,
                     seat, {jobid: Outcome(status, None, '', 1, instant, instant, seat.name)})
    commit(processor)
    return ids


def swept(processor, now, janitor=None):
    """Sweep until a round removes nothing; how many went in each commit."""
    janitor, found = janitor or Janitor(), []
    while not found or found[-1] or any(janitor.at.values()):
        found.append(janitor.sweep(processor, ALONE, now))
        commit(processor)
    counted(processor)
    return found


def left(processor, ids):
    """Which of these jobs there are, by their places."""
    found = []
    for number, jobid in enumerate(ids):
        try:
            processor.getJob(jobid)
            found.append(number)
        except JobNotFound:
            pass
    return found


def test_failed_jobs_stay_longer(processor):
    ids = ended(processor, *((status, START) for status in ('completed', 'cancelled', 'error')))
    assert sum(swept(processor, START + 6 * DAY)) == 0
    assert sum(swept(processor, START + 8 * DAY)) == 2
    assert left(processor, ids) == [2]
    assert sum(swept(processor, START + 29 * DAY)) == 0
    assert sum(swept(processor, START + 31 * DAY)) == 1
    assert left(processor, ids) == []


def test_what_waits_or_runs_stays(processor):
    ids = ended(processor, ('completed', START))
    ids += [processor.processJob('echo') for _ in range(2)]
    commit(processor)
    verbs.claim(processor.store, processor.store.seats['retired'], 1, START)
    commit(processor)
    assert sum(swept(processor, START + 400 * DAY)) == 1
    assert left(processor, ids) == [1, 2]


@pytest.mark.parametrize('later', [0, 1])
def test_each_goes_at_its_own_time_in_whatever_order_they_ended(processor, later):
    """Neighbours share a page; the one that ended first may have been written last."""
    ended(processor, ('completed', START + 90 * DAY))       # it has a segment for itself
    instants = [START, START + DAY]
    ids = ended(processor, *(('completed', instants[number ^ later]) for number in range(2)))
    assert sum(swept(processor, START + 7 * DAY - 1)) == 0
    assert sum(swept(processor, START + 7 * DAY + 1)) == 1
    assert left(processor, ids) == [1 - later]
    assert sum(swept(processor, START + 8 * DAY + 1)) == 1


def test_none_keeps_for_ever(processor):
    processor.retention = Retention(completed=None, error=1.0)
    ids = ended(processor, ('completed', START), ('error', START))
    assert sum(swept(processor, START + 400 * DAY)) == 1
    assert left(processor, ids) == [0]


def test_beyond_a_number_the_oldest_go(processor):
    processor.retention = Retention(most=3)
    ids = ended(processor, *(('completed', START + number) for number in range(8)))
    assert sum(swept(processor, START + 10)) == 5
    assert left(processor, ids) == [5, 6, 7]
    assert sum(swept(processor, START + 400 * DAY)) == 3        # age counts as well


def test_many_go_in_small_commits(processor):
    count = (SWEPT + 1) * SHARDS * LARGE
    for _ in range(count // LARGE):
        ended(processor, *[('completed', START)] * LARGE)
    found = swept(processor, START + 8 * DAY)
    assert sum(found) == count
    assert max(found) <= SWEPT * SHARDS * LARGE
    assert len([each for each in found if each]) > 1
    assert len(processor.store.segments) <= 2       # what the enqueuing connection has in hand


def test_the_journals_of_young_jobs_are_not_loaded(place, processor):
    """A sweep comes by all pages again and again, and most jobs are not old enough for weeks."""
    ended(processor, *[('completed', START)] * 3)
    connection = place.connect(place.db)
    there = connection.root()[processor.__name__]
    janitor = Janitor()
    assert janitor.sweep(there, ALONE, START + 6 * DAY) == 0
    journals = [journal for shard in there.store.shards for fates in shard.fates.values()
                for journal in fates.journals.values()]
    assert journals
    assert {journal._p_state for journal in journals} == {-1}
    assert sum(swept(there, START + 8 * DAY, janitor)) == 3
