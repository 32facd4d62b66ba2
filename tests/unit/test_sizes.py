# SPDX-License-Identifier: ZPL-2.1
"""How many jobs share a commit."""
import pytest

from p01.remote.engine.sizes import LEASTATONCE, LONGALONE, MOSTATONCE, SHRINK, Sizes


def commits(sizes, name, times, conflicts):
    """The numbers of jobs of one commit after the other; conflicts says of each number whether it
    meets others."""
    found = []
    for _ in range(times):
        count = max(1, sizes.most([name]))
        found.append(count)
        (sizes.met if conflicts(count) else sizes.went)([name], count)
    return found


def test_at_first_nothing_is_against_it():
    assert Sizes().most([]) == Sizes().most(['a', 'b']) == MOSTATONCE


def test_jobs_that_meet_others_share_less_and_nobody_else_does():
    sizes = Sizes()
    sizes.met(['a', 'b'], 40)
    assert sizes.most(['a']) == sizes.most(['a', 'c']) == 40 // SHRINK
    assert sizes.most(['c']) == MOSTATONCE


def test_it_is_for_a_while():
    sizes = Sizes()
    sizes.met(['a'], MOSTATONCE)
    sizes.met(['a'], 40)
    found = commits(sizes, 'a', 200, lambda count: False)
    assert found == sorted(found) and found[0] == 10 and found[-1] == MOSTATONCE
    assert not sizes.limits


def test_jobs_that_always_meet_others_run_by_themselves_as_a_rule():
    found = commits(Sizes(), 'hot', 1000, lambda count: count > 1)
    assert sum(count > 1 for count in found) < 100
    assert max(found[100:]) == LEASTATONCE


@pytest.mark.parametrize('limit', [5, 50, 500])
def test_it_finds_what_meets_nobody(limit):
    found = commits(Sizes(), 'a', 2000, lambda count: count > limit)[1000:]
    assert sum(found) / len(found) > limit / 2


def test_few_jobs_say_nothing_of_many():
    sizes = Sizes()
    sizes.met(['a'], 400)
    for _ in range(1000):
        sizes.went(['a'], 10)
    assert sizes.most(['a']) == 400 // SHRINK


def test_a_long_job_has_a_commit_of_its_own():
    sizes = Sizes()
    sizes.took('a', 2 * LONGALONE)
    assert sizes.most(['a']) < LEASTATONCE and sizes.most(['b', 'a']) < LEASTATONCE \
        and sizes.most(['b']) == MOSTATONCE
    sizes.took('a', LONGALONE / 2)
    assert sizes.most(['a']) == MOSTATONCE
