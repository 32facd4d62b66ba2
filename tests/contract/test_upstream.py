# SPDX-License-Identifier: ZPL-2.1
"""The faults of others that docs/upstream tells of are there: when one of these fails, its library
has mended it."""
import os
import subprocess
import sys
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests import servers

FOLDER = Path(__file__).parents[2] / 'docs' / 'upstream'
SCRIPTS = sorted(FOLDER.glob('*.py'))
DEADLINE = 120          # seconds
ASKED = 'DSN: of psycopg2'


def dsn(address):
    """An address of ours as psycopg2 takes it."""
    parts = conninfo_to_dict(address if address.startswith('postgresql://')
                             else address.partition(':')[2])
    return ' '.join(f"{name}='{value}'" for name, value in parts.items())


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda script: script.stem)
def test_each_script_shows_its_fault(script):
    pytest.importorskip(script.stem.partition('_')[0].replace('zeo', 'ZEO'),
                        reason='the library whose fault it shows is not here')
    needed = [dsn(servers.postgresql().database())] if ASKED in script.read_text() else []
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    done = subprocess.run([sys.executable, script, *needed], capture_output=True, text=True,
                          timeout=DEADLINE,
                          check=False, env=environment)
    assert done.returncode == 1 \
        and 'Traceback' not in done.stderr.splitlines()[:1], (done.stdout, done.stderr)
    assert done.stdout.strip(), done.stderr


def test_a_pack_on_postgresql_is_the_same():
    pytest.importorskip('relstorage', reason='the library whose fault it shows is not here')
    script = FOLDER / 'relstorage_pack_moved.py'
    done = subprocess.run([sys.executable, script, dsn(servers.postgresql().database())],
                          capture_output=True, text=True,
                          timeout=DEADLINE, check=False)
    assert done.returncode == 1 and 'was deleted' in done.stdout, (done.stdout, done.stderr)


def test_all_are_told_of_and_need_nothing_of_ours():
    text = (FOLDER / 'README.md').read_text()
    assert SCRIPTS and {script.name for script in SCRIPTS} == {
        word for word in text.split('`') if word.endswith('.py') and '/' not in word}
    assert not any('p01' in script.read_text() for script in SCRIPTS)
