# SPDX-License-Identifier: ZPL-2.1
"""Prototypes work on the store and the verbs as they are now."""
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_held_jobs_and_lines_of_keys():
    done = subprocess.run([sys.executable, '-m', 'prototypes.measure', '--quick'], cwd=ROOT,
                          capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert 'as they should be' in done.stdout and '0 bytes more' in done.stdout
