# SPDX-License-Identifier: ZPL-2.1
"""The demo's check can fail: whatever goes wrong, it sees."""
import json
import os
import time

import pytest

from p01.remote import App
from p01.remote.demo import check, command, report, tasks
from p01.remote.demo.stage import Numbers, Stage


@pytest.fixture
def played(tmp_path):
    """A demo whose jobs have run, in this process."""
    folder = tmp_path / 'sources'
    folder.mkdir()
    for number in range(30):
        (folder / f'm{number:02}.py').write_text('import os\n' * number
                                                 + f'def f{number}(): pass\n')
    app = App('memory:')
    paths, _ = tasks.sources(folder)
    command.enqueue(app, folder, paths, Stage('', quiet=True))
    app.drain()
    yield report.Performance(app, folder, paths, 4, time.time(), 1.0, None, True,
                             tmp_path / 'demo.log')
    app.close()


def judged(played):
    ticks = []
    found = check.judge(played.app, played.paths, played.began, lambda: ticks.append(1))
    assert len(ticks) == len(played.paths)
    return found


def entry(root, name):
    return root[tasks.INDEX][name]


def test_all_is_well(played):
    found = judged(played)
    assert found.good and found.faults() == []
    assert found.line() == '30 committed, 0 lost, 0 applied twice; the index matches'
    assert [each['path']
            for each in check.largest(played.app)] == [f'm{number}.py'
                                                       for number in range(29, 19, -1)]
    assert check.times(played.app).retried == 0


def test_a_lost_entry_is_seen(played):
    with played.app.transaction() as root:
        entry(root, 'm03.py').applied = 0
        del root[tasks.INDEX]['m04.py']
    found = judged(played)
    assert found.lost == ['m03.py', 'm04.py'] and not found.good
    assert '2 lost' in found.line() and 'does not match' in found.line()


def test_a_second_application_is_seen(played):
    with played.app.transaction() as root:
        entry(root, 'm05.py').applied += 1
    found = judged(played)
    assert found.twice == ['m05.py'] and not found.good
    assert '1 applied twice' in found.line()


def test_wrong_facts_and_entries_too_many_are_seen(played):
    with played.app.transaction() as root:
        entry(root, 'm06.py').facts = entry(root, 'm06.py').facts._replace(words=0)
        root[tasks.INDEX]['other.py'] = tasks.Entry()
    os.utime(played.folder / 'm06.py', (1, 1))
    found = judged(played)
    assert found.different == ['other.py', 'm06.py'] and not found.good


def test_a_file_that_changed_meanwhile_is_nobodys_fault(played):
    later = played.began + 5
    (played.folder / 'm07.py').write_text('changed')
    os.utime(played.folder / 'm07.py', (later, later))
    (played.folder / 'm08.py').unlink()
    found = judged(played)
    assert found.changed == ['m07.py', 'm08.py'] and found.good


def test_a_job_that_fails_is_seen(played):
    with played.app.transaction() as root:
        root[tasks.INDEX]['gone.py'] = tasks.Entry()
        played.app.processor.processJob(command.ANALYSE, ('gone.py',))
    played.app.drain()
    played.paths.append('gone.py')
    found = judged(played)
    assert found.lost == ['gone.py'] and 'No such file' in found.failed[0] and not found.good


@pytest.mark.parametrize('asJson', [False, True])
def test_the_report_ends_with_the_status_of_the_verdict(played, asJson, capsys):
    assert report.report(played, 2, None, asJson) == 0
    out = capsys.readouterr().out
    if asJson:
        found = json.loads(out)
        assert found['good'] and found['committed'] == 30 \
            and found['largest'][0]['path'] == 'm29.py'
    else:
        assert '✔ 30 committed, 0 lost, 0 applied twice; the index matches' in out
        assert '2 could not be read and were left out' in out and 'm29.py' in out and 'Next' in out
    with played.app.transaction() as root:
        entry(root, 'm09.py').applied = 2
    played.log.write_text('a word of a worker\n')
    assert report.report(played, 0, None, asJson) == 1
    out = capsys.readouterr().out
    if asJson:
        assert json.loads(out)['twice'] == ['m09.py']
    else:
        assert '✖ 30 committed, 0 lost, 1 applied twice' in out and 'm09.py' in out \
            and 'a word of a worker' in out


def test_a_plain_line_a_second(capsys, monkeypatch):
    now = 1000.0
    monkeypatch.setattr('p01.remote.demo.stage.time.monotonic', lambda: now)
    with Stage('title') as scene:
        for step in range(21):
            now = 1000.0 + step / 10
            scene.show(Numbers(100, 100 - step, 1, step, 0, 0))
        scene.tell('said')
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'title' and lines[-1] == 'said' and len(lines) == 4
    assert lines[1].split() == ['1', 's', 'waiting', '90', 'running', '1', 'done', '10', 'retried',
                                '0', 'failed', '0',
                                '10', 'jobs/s']
