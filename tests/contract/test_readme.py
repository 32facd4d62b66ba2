# SPDX-License-Identifier: ZPL-2.1
"""README's code runs as it stands there, in the order in which it stands there."""
import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[2] / 'README.md'
BLOCK = re.compile(r'^```(python|console)\n(.*?)^```$', re.S | re.M)


def run(folder, *command):
    environ = dict(os.environ,
                   PYTHONPATH=os.pathsep.join([str(README.parent / 'src'), str(folder)]),
                   NO_COLOR='1')
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, f'{command}\n{done.stdout}\n{done.stderr}'
    return done.stdout


def test_readmeRuns(tmp_path):
    printed = []
    for kind, text in BLOCK.findall(README.read_text()):
        if kind == 'python':
            name = re.match(r'# (\w+\.py)$', text.splitlines()[0])
            path = tmp_path / (name.group(1) if name else 'more.py')
            path.write_text(text)
            # what defines jobs is imported; a script that defines jobs is refused
            printed.append(run(tmp_path, sys.executable, '-c', f'import {path.stem}'))
        else:
            for line in re.findall(r'^\$ p01-remote (.*)$', text, re.M):
                shell = f'"{sys.executable}" -m p01.remote.cli {line}'
                printed.append(run(tmp_path, 'sh', '-c', shell))
    assert 'receipt for order-42\n' in printed
    assert 'completed hello\n' in printed
    assert any('order-43' in text or 'completed' in text for text in printed)


def test_readmeIsShort():
    assert len(README.read_text().splitlines()) <= 120
