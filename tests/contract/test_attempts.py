# SPDX-License-Identifier: ZPL-2.1
"""A job that fails again and again costs the same each time, however often it fails."""

import pytest

from p01.remote import App
from p01.remote.engine.loop import Loop
from p01.remote.job import Job
from p01.remote.options import Policy
from p01.remote.store.records import FIRSTATTEMPTS, LASTATTEMPTS, TRACES, Attempt, remembered

RETRIES = 120


class Deep(Job):
    """Fails, with a long traceback."""

    policy = Policy(retries=RETRIES)

    def __call__(self, remoteProcessor):
        def down(depth):
            if not depth:
                raise RuntimeError('x' * 500)
            down(depth - 1)
        for depth in (12, 9):
            try:
                down(depth)
            except RuntimeError as error:
                if depth == 9:
                    raise RuntimeError('y' * 500) from error


def attempt(number, trace=''):
    return Attempt(number, 1.0, 2.0, 'worker', 'Error: ' + 'x' * 900, trace)


def test_few_attempts_are_kept_whole():
    kept = ()
    for number in range(1, 5):
        kept = remembered(kept, attempt(number, 't' * 1000))
    assert [(each.number, len(each.trace))
            for each in kept] == [(number, 1000) for number in range(1, 5)]


def test_many_attempts_are_bounded_in_sum():
    kept, sizes = (), []
    for number in range(1, 400):
        kept = remembered(kept, attempt(number, 't' * 8000))
        sizes.append(sum(len(each.trace) + len(each.reason) for each in kept))
    assert [each.number for each in kept] == [1, 2, 3, *range(400 - LASTATTEMPTS, 400)]
    assert kept[0].trace and kept[-1].trace and len(kept) == FIRSTATTEMPTS + LASTATTEMPTS
    assert max(sizes) <= TRACES + (FIRSTATTEMPTS + LASTATTEMPTS) * 1000
    assert len(set(sizes[30:])) == 1


@pytest.mark.parametrize('kind', ['file', 'sqlite'])
def test_a_run_that_fails_writes_the_same_however_many_failed_before(tmp_path, kind, monkeypatch):
    """Counted in what the storage is given."""
    app = App(f'{kind}:{tmp_path / "jobs"}')
    with app.transaction():
        app.processor.addJob('deep', Deep())
        jobid = app.processor.processJob('deep')
    loop, written = Loop(app.db, app.locate, 'w'), []
    storage = loop.session.connection._storage
    store = storage.store

    def counted(oid, serial, data, version, transaction):
        written[-1] += len(data)
        return store(oid, serial, data, version, transaction)
    monkeypatch.setattr(storage, 'store', counted)
    for _ in range(RETRIES):
        written.append(0)
        loop.poll(loop.clock.now())
    assert written[0] > 0
    assert max(written[40:]) < 1.1 * min(written[40:])
    assert max(written) < 250_000
    loop.close()
    with app.reading() as processor:
        view = processor.store.view(jobid)
    assert (view.status, view.runs) == ('queued', RETRIES)
    app.close()
