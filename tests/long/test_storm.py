# SPDX-License-Identifier: ZPL-2.1
"""200 kills of whole worker trees under load: none lost, none doubled. P01_STORM says how many, for
a whole night."""
import os

import pytest

from tests.acceptance.storm import storm


@pytest.mark.parametrize('together', [False, True], ids=['one by one', 'together'])
def test_kills_of_whole_trees(tmp_path, together):
    storm(tmp_path, int(os.environ.get('P01_STORM', '200')), together=together)
