# SPDX-License-Identifier: ZPL-2.1
"""The picture of where a job's time went."""
from itertools import pairwise

import pytest

from p01.remote.store.records import ERROR, Attempt, Outcome, Record
from p01.remote.store.views import View
from p01.remote.web.lives import NARROWROOM, ROOM, lifeOf


@pytest.mark.parametrize('starts', [[1], [1, 2], [1, 2, 3, 900, 950, 998, 999], [997, 998, 999],
                                    list(range(0, 1000, 9))])
def test_labels_of_runs_stand_apart_and_the_last_has_one(starts):
    runs = [Attempt(number, start, start + 0.5, 'w:1:a', 'no', '')
            for number, start in enumerate(starts, 1)]
    view = View(1, Record('a', None, 0.0), ERROR, len(runs), None, tuple(runs),
                Outcome(ERROR, None, 'no', len(runs), float(starts[-1]), 1000.0, 'w:1:a',
                        tuple(runs)))
    legs = lifeOf(view, 1000.0)
    last = [leg for leg in legs if leg.run][-1]
    for field, room in (('labelled', ROOM), ('narrowly', NARROWROOM)):
        shown = [leg for leg in legs if getattr(leg, field)]
        assert shown[-1] is last and all(leg.run for leg in shown)
        assert all(later.middle - leg.middle >= room
                   for leg, later in pairwise(shown))
