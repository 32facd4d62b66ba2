# SPDX-License-Identifier: ZPL-2.1
"""Servers go away and come back, at any moment, while jobs are enqueued and run: none is lost, none happens twice.

PostgreSQL crashes, is restarted, or ends all connections; ZEO is killed. Here a few times, tests/long does it often.
"""
import pytest

from tests.acceptance.outages import KINDS, outages


@pytest.mark.parametrize('kind', KINDS)
def test_a_few_outages(kind, tmp_path):
    outages(kind, tmp_path, 3, 3)
