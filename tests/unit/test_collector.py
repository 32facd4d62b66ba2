# SPDX-License-Identifier: ZPL-2.1
"""What the garbage collector of a worker process looks at: not at what was there when it began, and
as often as its application says."""
import subprocess
import sys

ASKED = '''
import gc
from p01.remote.engine.process import load

load('application:app')
print(gc.get_threshold(), gc.get_freeze_count() > 1000)
'''


def test_the_application_has_its_way(tmp_path):
    (tmp_path / 'application.py').write_text("import gc\nfrom p01.remote import "
                                             "App\ngc.set_threshold(50, 5, 5)\napp = "
                                             "App('memory:')\n")
    told = subprocess.run([sys.executable, '-c', ASKED], cwd=tmp_path, capture_output=True,
                          text=True, check=True).stdout
    assert told.strip() == '(50, 5, 5) True'
