# SPDX-License-Identifier: ZPL-2.1
"""The door of a real Zope: tests/acceptance/inzope.py in a process of its own."""
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('Zope2', reason='Zope is in p01.remote[test]')
HERE = Path(__file__).parent


def test_the_door_of_a_real_zope():
    done = subprocess.run([sys.executable, '-m', 'pytest', '-q', '-x', '-p', 'no:cacheprovider',
                           str(HERE / 'inzope.py')],
                          capture_output=True, text=True, timeout=280, cwd=HERE.parents[1])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
