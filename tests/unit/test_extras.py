# SPDX-License-Identifier: ZPL-2.1
"""Whoever installs no extra has all but what the extra is for: what may not be there is needed
where it is asked for, and nowhere else."""
import subprocess
import sys

LACKING = '''
import sys
from importlib import import_module
from pkgutil import walk_packages

class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {'psycopg', 'psycopg_binary', 'ZEO', 'prometheus_client',
                                      'opentelemetry', 'distributed', 'mcp', 'mcp_types'}:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)

sys.meta_path.insert(0, Lacking())
import p01.remote

def tried(name):
    try:
        import_module(name)
    except ImportError as error:
        print(name, getattr(error, 'name', ''))

for found in walk_packages(p01.remote.__path__, 'p01.remote.', onerror=lambda name: None):
    if not found.name.endswith('__main__'):
        tried(found.name)
'''
HOMES = {'p01.remote.storage.postgresql': 'psycopg', 'p01.remote.storage.notify': 'psycopg',
         'p01.remote.storage.zeo': 'ZEO', 'p01.remote.engine.executors.cluster': 'distributed',
         'p01.remote.engine.executors.bound': 'distributed',
         'p01.remote.mcp.server': 'mcp_types'}


def test_an_extra_that_is_not_there_is_missed_at_its_home_alone():
    ran = subprocess.run([sys.executable, '-c', LACKING], capture_output=True, text=True,
                         check=True, timeout=60)
    assert dict(line.split() for line in ran.stdout.splitlines()) == HOMES, ran.stderr
