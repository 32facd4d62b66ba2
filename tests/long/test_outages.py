# SPDX-License-Identifier: ZPL-2.1
"""50 outages of each kind under load: none lost, none doubled. P01_OUTAGES says how many, for a
whole night."""
import os

import pytest

from tests.acceptance.outages import KINDS, outages


@pytest.mark.parametrize('kind', KINDS)
def test_outages(kind, tmp_path):
    outages(kind, tmp_path, int(os.environ.get('P01_OUTAGES', '50')), 10)
