# SPDX-License-Identifier: ZPL-2.1
"""Schedules and workers that are killed: each tick has one job. Here for some seconds; tests/long
does it longer."""
import pytest

from tests import servers
from tests.acceptance.ticking import ticked


@pytest.mark.parametrize('workers', [2])
@pytest.mark.parametrize('kind', ['sqlite', 'zeo', 'postgresql'])
def test_each_tick_has_one_job(kind, workers, tmp_path):
    print(killed(kind, tmp_path, workers, 200))


def killed(kind, folder, workers, ticks):
    """So many ticks of it."""
    address = f'sqlite:{folder / "jobs"}' if kind == 'sqlite' else getattr(servers,
                                                                           kind)().database()
    return ticked(address, folder, workers, ticks)
