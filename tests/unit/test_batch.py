# SPDX-License-Identifier: ZPL-2.1
"""How many jobs a worker claims at once."""
import pytest

from p01.remote.engine.batch import AIM, BOOKINGSHARE, LARGESTCLAIM, MOSTATONCE, Batch


def sizes(each, booking=0.001, rounds=20):
    """The claims of a worker whose jobs and bookkeeping take so long."""
    batch, found = Batch(), []
    for _ in range(rounds):
        found.append(batch.size())
        batch.booked(booking)
        batch.ran(each * found[-1], found[-1])
    return found


def test_it_begins_with_one():
    assert Batch().size() == 1


@pytest.mark.parametrize('each', [1e-7, 1e-5, 1e-3, 0.02, 1.0, 1000.0])
def test_it_settles_at_the_aim(each):
    assert sizes(each)[-1] == min(MOSTATONCE, max(1, int(AIM / each + 0.01)))


def test_short_jobs_soon_share_a_commit():
    assert sizes(2e-5)[4] == MOSTATONCE


def test_long_jobs_are_never_hoarded():
    batch = Batch()
    batch.average = 1e-5
    assert batch.size() == MOSTATONCE
    for _ in range(4):
        batch.ran(2.0, 1)
    assert batch.size() == 1


def test_slow_bookkeeping_asks_for_more_work_within_bounds():
    assert sizes(0.001, booking=0.01)[-1] == pytest.approx(BOOKINGSHARE * 10, abs=2)
    assert sizes(0.001, booking=10.0)[-1] == LARGESTCLAIM * 1000
