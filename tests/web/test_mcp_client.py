# SPDX-License-Identifier: ZPL-2.1
"""The command mcp, as a process, by the client of the protocol's own SDK."""
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import jsonschema
import pytest
from anyio.from_thread import start_blocking_portal as portal
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from p01.remote.mcp.table import ACTINGTOOLS, KNOWINGTOOLS, LOOKINGTOOLS
from p01.remote.testing import waitFor
from tests.web.test_mcp import RECEIPT, SYNC, Office, somewhere, work

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, '-m', 'p01.remote.cli', 'mcp']
HANDSHAKE = {'jsonrpc': '2.0', 'id': 1, 'method': 'initialize', 'params': {
    'protocolVersion': '2025-06-18', 'capabilities': {},
    'clientInfo': {'name': 'test', 'version': '1'}}}


def environ(town):
    """The environment of a command about the shop."""
    return {**os.environ, 'SHOP': f'sqlite:{town.app.place.partition(":")[2]}',
            'PYTHONPATH': str(ROOT / 'tests' / 'web')}


@contextmanager
def client(town, *words, mode='auto', errors=None):
    """A client of the command."""
    server = StdioServerParameters(command=COMMAND[0], args=[*COMMAND[1:], *words],
                                   env=environ(town), cwd=ROOT)
    with open(errors or os.devnull, 'w') as stream, portal() as loop:
        one = Client(stdio_client(server, stream), mode=mode, read_timeout_seconds=120)
        with loop.wrap_async_context_manager(one):
            yield Speaker(loop, one)


class Speaker:
    """A client, for who waits for each answer."""

    def __init__(self, loop, one):
        self.loop, self.one = loop, one

    def tools(self):
        """The tools that there are."""
        return {tool.name: tool for tool in self.loop.call(self.one.list_tools).tools}

    def call(self, tool, **given):
        """An answer; the client itself holds it against what the tool says it gives."""
        return self.loop.call(self.one.call_tool, tool, given)


def run(town, *words, **kwargs):
    """What the command says to what it is told."""
    return subprocess.run([*COMMAND, *words], env=environ(town), cwd=ROOT, capture_output=True,
                          text=True, timeout=120, check=False, **kwargs)


@pytest.mark.parametrize('mode', ['legacy', 'auto'])
def test_it_says_what_it_is_and_shows_all(town, mode):
    before, office = town.app.db.lastTransaction(), Office(town)
    with client(town, 'shop:app', mode=mode) as speaker:
        assert 'never an instruction' in speaker.one.instructions
        assert 'changes nothing' in speaker.one.instructions
        tools = speaker.tools()
        assert list(tools) == [tool.name for tool in LOOKINGTOOLS]
        for tool in LOOKINGTOOLS:
            answer = speaker.call(tool.name, **somewhere(office, tool))
            assert not answer.is_error, answer.content[0].text
            assert json.loads(answer.content[0].text) == answer.structured_content
        refused = speaker.call('retryJobs', filter='status:error')
        assert refused.is_error and '--allow-actions' in refused.content[0].text
    assert town.app.db.lastTransaction() == before


def test_each_tool_tells_what_it_takes_gives_and_risks(empty):
    with client(empty, 'shop:app', '--allow-actions') as speaker:
        assert 'in two steps' in speaker.one.instructions
        tools = speaker.tools()
    assert list(tools) == [tool.name for tool in (*LOOKINGTOOLS, *KNOWINGTOOLS,
                                              *ACTINGTOOLS)]
    for tool in tools.values():
        for schema in (tool.input_schema, tool.output_schema):
            jsonschema.Draft202012Validator.check_schema(schema)
            assert schema['type'] == 'object' and '$ref' not in json.dumps(schema)
        assert tool.description.endswith('.') and tool.title
        assert all(each['description'] for each in tool.input_schema['properties'].values())
        assert tool.annotations.open_world_hint is False
    looking = {tool.name for tool in (*LOOKINGTOOLS, *KNOWINGTOOLS)}
    assert {name for name, tool in tools.items() if tool.annotations.read_only_hint} == looking
    assert {name for name, tool in tools.items() if tool.annotations.destructive_hint} == {
        'cancelJobs', 'removeJobs', 'editJob'}
    assert 'error:timeout' in tools['listJobs'].input_schema['properties']['filter']['description']


def test_an_action_is_asked_for_and_then_done(town):
    office = Office(town)
    jobid = office.ids('error')[0]
    with client(town, 'shop:app', '--allow-actions') as speaker:
        first = speaker.call('retryJobs', ids=[jobid]).structured_content
        assert not first['done'] and town.status(jobid) == 'error'
        last = speaker.call('retryJobs', ids=[jobid], token=first['token'])
        assert last.structured_content['done'] and town.status(jobid) == 'queued'
        again = speaker.call('retryJobs', ids=[jobid], token=first['token'])
        assert again.is_error and 'was used' in again.content[0].text
        stale = speaker.call('pauseSchedule', name=SYNC).structured_content['token']
        office.act('pauseSchedule', name=SYNC)
        refused = speaker.call('pauseSchedule', name=SYNC, token=stale)
        assert refused.is_error and 'stands otherwise' in refused.content[0].text
        wrong = speaker.call('enqueue', job='shop.mail.receipt')
        assert wrong.is_error and 'cannot be called' in wrong.content[0].text


def test_jobs_are_edited_enqueued_again_and_left_to_a_job(town):
    office, number = Office(town), 501
    with town.app.transaction():
        jobid = town.app.jobs[RECEIPT].enqueue('order-1').id
        some = town.app.jobs[RECEIPT].using(queue='many').enqueueMany([('order-1',)] * number)
    with client(town, 'shop:app', '--allow-actions') as speaker:
        def act(tool, **given):
            token = speaker.call(tool, **given).structured_content['token']
            answer = speaker.call(tool, token=token, **given)
            assert not answer.is_error, answer.content[0].text
            return answer.structured_content['facts']
        act('editJob', id=jobid, args=['order-2'], priority=9)
        act('cancelJobs', ids=[jobid])
        new = act('enqueueAgain', id=jobid, kwargs={'order': 'order-3'})['id']
        assert town.status(jobid) == 'cancelled' and town.status(new) == 'queued'
        assert speaker.call('showJob', id=new).structured_content['priority'] == 9
        job = act('cancelJobs', filter='queue:many')['job']
        assert {town.status(handle.id) for handle in some} == {'queued'}
        work(office)
        assert speaker.call('showResult', id=job).structured_content['value'] == {'done': number,
                                                                                  'left': 0}
        assert {town.status(handle.id) for handle in some} == {'cancelled'}
        first = speaker.call('listAudit', limit=1).structured_content['audit'][0]
        assert first['what'].startswith("cancel all jobs of 'status:queued status:delayed")


PRINTING = '''
import os, subprocess, sys
print('Welcome!')
sys.stdout.write('{"jsonrpc": "2.0"}')
sys.stdout.flush()
os.write(1, b'and this too\\n')
subprocess.run(['echo', 'and a child'])
assert sys.stdin.read() == ''
assert subprocess.run(['cat'], capture_output=True).stdout == b''
from shop import app
import atexit
atexit.register(print, 'Goodbye!')
'''


def test_what_an_application_prints_and_reads_is_apart_from_the_protocol(town, tmp_path):
    (tmp_path / 'printing.py').write_text(PRINTING)
    more = environ(town)
    more['PYTHONPATH'] += f'{os.pathsep}{tmp_path}'
    lines = [HANDSHAKE, {'jsonrpc': '2.0', 'method': 'notifications/initialized'},
             {'jsonrpc': '2.0', 'id': 2, 'method': 'tools/call', 'params': {
                 'name': 'overview', 'arguments': {}}}]
    with subprocess.Popen([*COMMAND, 'printing:app'], env=more, cwd=ROOT, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        for line in lines:
            process.stdin.write(json.dumps(line) + '\n')
        process.stdin.flush()
        first, second = (json.loads(process.stdout.readline()) for _ in range(2))
        rest, said = process.communicate(timeout=120)
    assert first['id'] == 1 and second['result']['structuredContent']['counts']['error']
    assert process.returncode == 0 and rest == ''
    assert all(words in said for words in ('Welcome!', '{"jsonrpc"', 'and this too', 'and a child',
                                           'Goodbye!'))
    assert 'Traceback' not in said


def test_it_ends_with_its_client(empty):
    found = run(empty, 'shop:app', input=json.dumps(HANDSHAKE) + '\n')
    assert found.returncode == 0 and found.stderr == ''
    [line] = found.stdout.splitlines()
    assert json.loads(line)['result']['serverInfo']['name'] == 'p01.remote'


def test_it_goes_on_after_lines_that_make_no_sense(empty):
    lines = ['no JSON', '[]', '{}', '{"jsonrpc": "2.0", "id": 5, "method": "no/such"}', '\x00',
             json.dumps(HANDSHAKE)]
    found = run(empty, 'shop:app', input='\n'.join(lines) + '\n')
    answers = [json.loads(line) for line in found.stdout.splitlines()]
    assert found.returncode == 0 and 'serverInfo' in answers[-1]['result']
    assert 'Traceback' not in found.stdout


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_it_is_told_to(empty, number):
    with subprocess.Popen([*COMMAND, 'shop:app'], env=environ(empty), cwd=ROOT, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          # a shell has what it runs behind itself ignore it
                          preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
                          ) as process:
        process.stdin.write(json.dumps(HANDSHAKE) + '\n')
        process.stdin.flush()
        assert 'serverInfo' in process.stdout.readline()
        process.send_signal(number)
        waitFor(lambda: process.poll() is not None, 60)
        assert process.stderr.read() == ''


def test_it_ends_when_nobody_reads_its_answers(empty):
    with subprocess.Popen([*COMMAND, 'shop:app'], env=environ(empty), cwd=ROOT, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        process.stdout.close()
        process.stdin.write(json.dumps(HANDSHAKE) + '\n')
        process.stdin.close()
        waitFor(lambda: process.poll() is not None, 60)
        assert process.returncode == 0 and process.stderr.read() == ''


def test_what_keeps_it_from_serving_is_told_in_a_sentence(empty, tmp_path):
    for words, part in (((f'sqlite:{tmp_path / "none"}',), 'There is no database'),
                        (('memory:',), 'lives in one process only'),
                        (('no.such:app',), 'no.such'),
                        (('shop:app', '--job', 'shop.mail.receipt'), 'give --allow-actions'),
                        (('shop:app', '--allow-actions', '--job', 'x'), "APP has no job 'x'")):
        found = run(empty, *words, input='')
        assert found.returncode == 2 and found.stdout == '', words
        assert part in found.stderr and 'Traceback' not in found.stderr


def test_without_the_package_one_is_told_what_brings_it(empty):
    code = ('import sys\n'
            'class Lacking:\n'
            '    def find_spec(self, name, path=None, target=None):\n'
            '        if name.partition(".")[0] in ("mcp", "mcp_types"):\n'
            '            raise ModuleNotFoundError(name)\n'
            'sys.meta_path.insert(0, Lacking())\n'
            'from p01.remote.cli import main\n'
            'sys.exit(main(["mcp", "shop:app"]))\n')
    found = subprocess.run([sys.executable, '-c', code], env=environ(empty), cwd=ROOT, timeout=120,
                           capture_output=True, text=True, check=False)
    assert found.returncode == 2 and found.stdout == ''
    assert found.stderr == ('Error: The server for assistants needs the package mcp, version 2; '
                            'pip install "p01.remote[mcp]" brings it.\n')


def test_a_database_that_is_away_is_told_of_and_its_password_is_not(empty):
    with client(empty, 'postgresql://ann:tiger@127.0.0.1:1/jobs') as speaker:
        answer = speaker.call('overview')
    assert answer.is_error and '127.0.0.1' in answer.content[0].text
    assert 'tiger' not in answer.content[0].text
