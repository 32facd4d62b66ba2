# SPDX-License-Identifier: ZPL-2.1
"""What people do stands in the database, in the transaction of what was done."""
import time

import pytest

from p01.remote import App, verbs
from p01.remote.cli import changes, target
from p01.remote.store import audit
from p01.remote.store.audit import Line
from p01.remote.wire import commits, deeds

application = App('memory:')


@application.job
def good():
    return 1


def lines(app):
    with app.reading() as processor:
        kept = processor.store.audit
        return [] if kept is None else [line for _, line in kept.newest()]


def test_a_line_stands_with_what_was_done(app):
    assert lines(app) == []
    before = time.time()
    commits.change(app, 'ann', 'pause queue mail',
                   lambda processor: verbs.pause(processor.store, 'mail'))
    [line] = lines(app)
    assert line[1:] == ('ann', 'dash', 'pause queue mail') and before <= line.when <= time.time()


def test_what_was_refused_leaves_no_line(app):
    def fails(processor):
        verbs.pause(processor.store, 'mail')
        raise ValueError
    with pytest.raises(ValueError):
        commits.change(app, 'ann', 'pause queue mail', fails)
    assert lines(app) == []
    with app.reading() as processor:
        assert processor.store.settings.paused == {}


def test_the_command_signs_what_it_does(app):
    jobid = good.enqueue().id
    cancel = deeds.DEEDS['cancel'].do
    changes.answersOf(app, [jobid], lambda *given: cancel(*given, ''), False, 'cancel', bool)
    target.acted(app, 'add schedule s', lambda: app.schedules.add('s', good, every='1h'))
    first, second = lines(app)
    assert (second.face, second.what) == ('cli', f'cancel 1 job: {jobid}')
    assert first.what == 'add schedule s' and first.who == second.who and '@' in first.who
    assert 's' in [each.name for each in app.schedules.list()]


def test_only_what_was_done_is_written_down(app):
    waits, unknown = good.enqueue().id, 10**9
    for jobids in ([waits, unknown], [waits]):
        list(deeds.each(app, 'ann', jobids, deeds.DEEDS['cancel']))
    assert changes.removeAll(app, [waits, unknown], dry=False)[0] == {waits: 'cancelled'}
    assert changes.removeAll(app, [waits], dry=False)[0] == {}
    assert [line.what for line in lines(app)] == [f'delete 1 job: {waits}',
                                                  f'cancel 1 job: {waits}']


def test_what_changed_nothing_leaves_no_line(app):
    app.schedules.add('s', good, every='1h')
    before = app.db.lastTransaction()
    commits.change(app, 'ann', 'resume queue mail',
                   lambda processor: verbs.resume(processor.store, 'mail'))
    for verb in (app.schedules.resume, app.schedules.reset):
        target.acted(app, 'schedule s', lambda verb=verb: verb('s'))
    assert lines(app) == [] and app.db.lastTransaction() == before


def test_only_the_last_lines_are_kept(app, monkeypatch):
    monkeypatch.setattr(audit, 'LINESKEPT', 5)
    with app.transaction():
        for number in range(12):
            verbs.note(app.processor.store, Line(1e9, 'a' * 1000, 'cli', f'{number} {"x" * 1000}'))
    found = lines(app)
    assert [line.what.split()[0] for line in found] == ['11', '10', '9', '8', '7']
    assert len(found[0].who) == audit.WHOLENGTH and len(found[0].what) == audit.WHATLENGTH


def test_two_people_at_once_are_both_written_down(app):
    """Who comes second does it again."""
    met = []

    def work(processor):
        verbs.pause(processor.store, 'two')
        if not met:
            met.append(1)
            commits.change(app, 'bob', 'pause queue one',
                           lambda processor: verbs.pause(processor.store, 'one'))
    commits.change(app, 'ann', 'pause queue two', work)
    assert sorted(line.who for line in lines(app)) == ['ann', 'bob']
