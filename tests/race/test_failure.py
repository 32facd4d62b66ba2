# SPDX-License-Identifier: ZPL-2.1
"""A storage that fails: a commit that raises may have committed, and a verb that raises has changed
nothing."""
import pytest
from transaction.interfaces import TransientError


class Away(Exception):
    """The storage cannot be reached; as OSError, nothing that one tries again."""


class AwayForNow(TransientError):
    """The storage cannot be reached; as ZEO's ClientDisconnected, something that one tries
    again."""


@pytest.fixture
def trouble(monkeypatch):
    """Lets the next commits of a loop raise: before, or after having committed."""
    def arrange(loop, error, after, times=1):
        storage = loop.session.connection._normal_storage
        original, left = storage.tpc_finish, [times]

        def finish(*args, **kwargs):
            if not left[0]:
                return original(*args, **kwargs)
            left[0] -= 1
            if after:
                original(*args, **kwargs)
            raise error('the storage is away')
        monkeypatch.setattr(storage, 'tpc_finish', finish)
    return arrange


@pytest.mark.parametrize('error', [Away, AwayForNow])
@pytest.mark.parametrize('after', [True, False], ids=['committed', 'not committed'])
def test_a_commit_that_raises_is_settled_by_reading_back(stage, trouble, error, after):
    [jobid] = stage.enqueue('effect', 7)
    loop = stage.loop()
    [task] = stage.claim(loop)
    trouble(loop, error, after)
    loop.act(task)
    stage.claim(loop)
    view = stage.view(jobid)
    if after:
        assert (stage.effects, view.status, view.runs,
                view.attempts) == ({7: 1}, 'completed', 1, ())
    stage.leave(loop)
    stage.drain(later=3600)
    assert stage.effects == {7: 1}
    assert stage.stati([jobid]) == ['completed']
    stage.check()


@pytest.mark.parametrize('after', [True, False], ids=['committed', 'not committed'])
def test_bookkeeping_that_raises_can_be_repeated(stage, trouble, after):
    jobids = stage.enqueue('pure', 1, 2, 3) + stage.enqueue('stumble', 4)
    loop = stage.loop()
    for _ in range(12):
        trouble(loop, AwayForNow, after)
        for task in stage.claim(loop, 2):
            trouble(loop, AwayForNow, after)
            loop.act(task)
    assert set(stage.stati(jobids)) == {'completed'}
    assert [stage.view(jobid).runs for jobid in jobids] == [1, 1, 1, 3]
    assert stage.effects == {4: 1}
    stage.check()


@pytest.mark.parametrize('verb', ['settle', 'retry'])
def test_a_storage_that_fails_amidst_a_verb_takes_no_claim_with_it(stage, monkeypatch, verb):
    """What a verb changed before it raised must not live on in memory, to be committed with the
    next change."""
    jobids = stage.enqueue('stumble' if verb == 'retry' else 'pure', 1, 2)
    loop = stage.loop()
    work = stage.claim(loop, 2)
    with monkeypatch.context() as patch:
        def entry(self, jobid):
            raise Away('the storage is away')
        patch.setattr('p01.remote.store.store.Store.entry', entry)
        with pytest.raises(Away):
            loop.act(work[0])
            stage.claim(loop, 2)
    stage.leave(loop)
    stage.drain()
    assert set(stage.stati(jobids)) == {'completed'}
    stage.check()
