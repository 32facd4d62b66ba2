# SPDX-License-Identifier: ZPL-2.1
"""200 kills of whole worker trees under load: none lost, none doubled. P01_STORM says how many, for a whole night."""
import os

from tests.acceptance.storm import storm


def test_kills_of_whole_trees(tmp_path):
    storm(tmp_path, int(os.environ.get('P01_STORM', '200')))
