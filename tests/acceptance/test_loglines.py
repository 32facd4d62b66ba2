# SPDX-License-Identifier: ZPL-2.1
"""What workers write: whose line it is, when, and from which level on."""
import re
import subprocess
import sys
from pathlib import Path

import pytest

import p01.remote
from tests.acceptance.test_streams import environ

SOURCE = Path(p01.remote.__file__).parents[2]
TASKS = '''
import logging
import threading
from p01.remote import App, current
app = App('sqlite:./jobs')
logging.getLogger('others').info('import info')

@app.job(retries=0)
def logs(fails=False):
    current.log.info('by current')
    logging.getLogger('my.module').info('by a module')
    logging.getLogger('my.module').debug('by a module, debug')
    current.log.warning('a warning')
    try:
        1 / 0
    except ZeroDivisionError:
        logging.exception('with a traceback')
    thread = threading.Thread(target=logging.getLogger('others').info, args=('by a thread',))
    thread.start()
    thread.join()
    if fails:
        raise ValueError('it failed')
'''
LINE = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR) +(.*)')


@pytest.fixture
def said(tmp_path):
    """The log lines of a worker that runs two jobs, level and text."""
    (tmp_path / 'tasks.py').write_text(TASKS)

    def said(*options, **more):
        for given in ('[]', '[true]'):
            subprocess.run([sys.executable, '-P', '-m', 'p01.remote', 'enqueue', 'tasks:app',
                            'logs', given], cwd=tmp_path,
                           env=environ(), check=True, timeout=60, stdout=subprocess.DEVNULL)
        done = subprocess.run([sys.executable, '-P', '-m', 'p01.remote', 'worker', 'tasks:app',
                               '--drain', *options],
                              cwd=tmp_path, env=environ(TZ='Asia/Tokyo', **more),
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        lines = [LINE.fullmatch(line) for line in done.stderr.splitlines()]
        return [(line[1], line[2]) for line in lines if line]
    return said


def test_lines_of_jobs_are_shown_from_info_on_with_the_job(said):
    lines = said()
    for line in (('INFO', 'job 1 tasks.logs: by current'), ('INFO',
                                                            'job 1 tasks.logs: by a module'),
                 ('WARNING',
                  'job 1 tasks.logs: a warning'), ('ERROR', 'job 1 tasks.logs: with a traceback'),
                 ('INFO', 'job 2 tasks.logs: by current')):
        assert line in lines, lines
    texts = [text for _, text in lines]
    assert not any(re.search('debug|done in|import info|by a thread', text)
                   for text in texts), texts
    assert any(text.startswith('Job 2 tasks.logs: error in run 1') for text in texts), texts


@pytest.mark.parametrize('options, more', [(['-v'], {}), (['--log-level',
                                                           'info'], {}), ([], {
                                                               'P01_REMOTE_LOG_LEVEL': 'INFO'})])
def test_each_job_that_is_done_has_a_line_when_that_is_wanted(said, options, more):
    texts = [text for _, text in said(*options, **more)]
    done = re.compile(r'Job 1 tasks\.logs: done in \d+\.\d{3} s, run 1 on worker .+')
    assert len([text for text in texts if done.fullmatch(text)]) == 1
    assert not any(re.match('Job 2 .*: done', text) for text in texts) and 'import info' in texts \
        and 'by a thread' in texts


def test_debug_and_error(said):
    texts = [text for _, text in said('--log-level', 'error')]
    assert not any('by current' in text or 'a warning' in text for text in texts)
    assert 'job 1 tasks.logs: with a traceback' in texts and any('Job 2' in text for text in texts)
    assert 'job 3 tasks.logs: by a module, debug' in [text
                                                      for _, text in said('--log-level', 'debug')]
