# SPDX-License-Identifier: ZPL-2.1
"""Two and eight workers killed at random over a thousand ticks: each has one job."""
import pytest

from tests.acceptance.test_ticking import killed


@pytest.mark.parametrize('workers', [2, 8])
@pytest.mark.parametrize('kind', ['sqlite', 'zeo', 'postgresql'])
def test_each_tick_has_one_job(kind, workers, tmp_path):
    print(killed(kind, tmp_path, workers, 1000))
