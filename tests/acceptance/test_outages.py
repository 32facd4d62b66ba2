# SPDX-License-Identifier: ZPL-2.1
"""Servers go away and come back, at any moment, while jobs are enqueued and run: none is lost, none
happens twice.

PostgreSQL crashes, is restarted, or ends all connections; ZEO is killed. Here a few times,
tests/long does it often.
"""
import os
import re
import signal

import pytest

from p01.remote.testing import waitFor
from tests.acceptance.outages import KINDS, Place, outages
from tests.acceptance.trees import DEADLINE, Tree


@pytest.mark.parametrize('kind', KINDS)
def test_a_few_outages(kind, tmp_path):
    outages(kind, tmp_path, 3, 3)


def test_a_standby_takes_the_place_of_the_server(tmp_path):
    outages('failover', tmp_path, 1, 1)


@pytest.mark.parametrize('kind', ['crash', 'zeo'])
def test_a_process_that_begins_while_its_database_is_away_waits_for_it(kind, tmp_path):
    with Place(kind) as place:
        tree = Tree(place.address, tmp_path)
        try:
            tree.ready()
            before = sorted(tree.workers())

            def replace():
                os.kill(before[0], signal.SIGKILL)
                waitFor(lambda: heard(tree, 'away'), DEADLINE,
                        'the new process does not say that its database is away')

            place.strike(replace)
            waitFor(lambda: heard(tree, 'back'), DEADLINE, 'the new process does not go on')
            tree.ready()
            assert len(set(tree.workers()) & set(before)) == 1
            assert tree.terminate() == 0
            assert len(heard(tree, 'away')) == len(heard(tree, 'back')) == 1
            # as multiprocessing reports what nobody has caught
            assert 'Process p01.remote' not in tree.said
        except BaseException:
            print(tree.said[-10_000:])
            raise
        finally:
            tree.kill()


def heard(tree, word):
    """What new processes, which have a number but no name yet, have said of the database."""
    return re.findall(rf'Worker \d+: the database is {word}', tree.said)
