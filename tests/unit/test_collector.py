# SPDX-License-Identifier: ZPL-2.1
"""How often a worker process looks for garbage: rarely, or as its application says."""
import subprocess
import sys

import pytest

from p01.remote.engine.supervisor import RARELY

ASKED = '''
import gc
from p01.remote.engine.supervisor import load

load('application:app')
print(gc.get_threshold(), gc.get_freeze_count() > 1000)
'''


@pytest.mark.parametrize(('said', 'threshold'), [('', RARELY), ('gc.set_threshold(50, 5, 5)', (50, 5, 5))])
def test_the_application_has_its_way(tmp_path, said, threshold):
    (tmp_path / 'application.py').write_text(f"import gc\nfrom p01.remote import App\n{said}\napp = App('memory:')\n")
    told = subprocess.run([sys.executable, '-c', ASKED], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert told.strip() == f'{threshold} True'
