# SPDX-License-Identifier: ZPL-2.1
"""Stages for race tests: one for each storage, and one that several processes could open."""
import pytest

from tests.conftest import counted, inside, stored
from tests.race.party import Party
from tests.race.stage import Stage


@pytest.fixture(params=['memory:', 'sqlite:', 'file:'])
def stage(request, tmp_path):
    place = {'memory:': '', 'sqlite:': str(tmp_path / 'jobs'),
             'file:': str(tmp_path / 'jobs.fs')}[request.param]
    stage = Stage(request.param + place)
    yield stage
    stage.close()


@pytest.fixture
def shared(tmp_path):
    """A database that several processes can open, so that lease and box decide who is dead."""
    stage = Stage(f'sqlite:{tmp_path / "jobs"}')
    yield stage
    stage.close()


@pytest.fixture
def parties(place):
    processor = stored(place)
    found = [Party(place, 'left').sit(), Party(place, 'right').sit()]
    yield found
    processor._p_jar.transaction_manager.begin()
    counted(processor)


@pytest.fixture
def enqueuer(place, parties):
    return inside(place.connect())
