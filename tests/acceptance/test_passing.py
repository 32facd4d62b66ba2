# SPDX-License-Identifier: ZPL-2.1
"""What of the caller's context travels to the processes of a worker, and hooks there."""
import subprocess
import sys

import pytest

from tests.acceptance.test_streams import environ

TASKS = '''
from contextvars import ContextVar
from p01.remote import App, current, trace
tenant = ContextVar('tenant')
app = App('sqlite:./jobs', carry=[tenant])

def note(*words):
    with open('seen', 'a') as file:
        print(*words, file=file)

@app.around
def around():
    note('in', tenant.get(None))
    yield
    note('out', tenant.get(None))

@app.after
def after(error):
    note('after', current.job.name, error)

@app.job
def plain():
    note(tenant.get(None), trace.get())
    current.root['done'] = True

@app.job
async def later():
    note(tenant.get(None), trace.get())
'''
CALLER = '''
from tasks import app, later, plain, tenant, trace
tenant.set('acme')
trace.set({'traceparent': '00-' + 32 * 'a' + '-' + 16 * 'b' + '-01'})
JOB.enqueue()
app.close()
'''


@pytest.mark.parametrize('job', ['plain', 'later'])
def test_the_context_travels_to_another_process(tmp_path, job):
    (tmp_path / 'tasks.py').write_text(TASKS)
    subprocess.run([sys.executable, '-c', CALLER.replace('JOB', job)], cwd=tmp_path,
                   env=environ(PYTHONPATH=str(tmp_path)), check=True, timeout=60)
    done = subprocess.run([sys.executable, '-P', '-m', 'p01.remote', 'worker', 'tasks:app',
                           '--drain'], cwd=tmp_path, env=environ(), capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'seen').read_text().splitlines() == [
        'in acme', "acme {'traceparent': '00-" + 32 * 'a' + '-' + 16 * 'b' + "-01'}",
        f'after tasks.{job} None', 'out acme']
