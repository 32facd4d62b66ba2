# SPDX-License-Identifier: ZPL-2.1
"""Our own storages under contention, kills and packs. P01_TORTURE says for how many seconds, for a
whole night."""
import os

import pytest

from tests.acceptance.test_torture import tortured


@pytest.mark.parametrize('kind', ['sqlite', 'postgresql'])
def test_what_was_acknowledged_is_there(kind, tmp_path):
    print(tortured(kind, tmp_path, float(os.environ.get('P01_TORTURE', '120'))))
