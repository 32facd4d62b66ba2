# SPDX-License-Identifier: ZPL-2.1
"""Checkers of types understand what users write, and find what is wrong in it."""
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / 'typing'
ROOT = FOLDER.parents[1]


def mypy(path, folder):
    """The lines of a file in which mypy finds something."""
    said = run(folder, 'mypy', '--strict', '--config-file', '', '--cache-dir', str(folder),
               str(path))
    return {int(line)
            for line in re.findall(rf'^{re.escape(str(path))}:(\d+): error', said, re.M)}, said


def pyright(path, folder):
    """The same of pyright."""
    (folder / 'pyrightconfig.json').write_text(json.dumps({
        'include': [str(path)], 'typeCheckingMode': 'strict', 'extraPaths': [str(ROOT / 'src')],
        'venvPath': str(Path(sys.prefix).parent), 'venv': Path(sys.prefix).name}))
    said = run(folder, 'basedpyright', '-p', str(folder), '--outputjson')
    found = [each for each in json.loads(said)['generalDiagnostics'] if each['severity'] == 'error']
    return {each['range']['start']['line'] + 1 for each in found}, said


def run(folder, *command):
    """What a checker says."""
    return subprocess.run([sys.executable, '-m', *command], cwd=folder, capture_output=True,
                          text=True, check=False).stdout


@pytest.mark.parametrize('checker', [mypy, pyright])
def test_what_is_right_passes(checker, tmp_path):
    lines, said = checker(FOLDER / 'right.py', tmp_path)
    assert lines == set(), said


@pytest.mark.parametrize('checker', [mypy, pyright])
def test_what_is_wrong_is_found(checker, tmp_path):
    path = FOLDER / 'wrong.py'
    marked = {number for number, line in enumerate(path.read_text().splitlines(), 1)
              if line.endswith('# wrong')}
    lines, said = checker(path, tmp_path)
    assert lines == marked, said
