# SPDX-License-Identifier: ZPL-2.1
"""SIGKILL at every single call that writes or syncs."""
import pytest

from tests.acceptance.test_kill import SCENARIOS, killAll, victim  # noqa: F401 - a fixture


@pytest.mark.parametrize('kind, step', SCENARIOS, ids=lambda each: each.strip(':'))
def test_a_kill_at_every_write_and_sync(kind, step, victim, tmp_path):  # noqa: F811
    killAll(kind, step, victim, tmp_path, 1)
