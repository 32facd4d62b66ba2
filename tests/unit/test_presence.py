# SPDX-License-Identifier: ZPL-2.1
"""A process may be killed while it makes its black box, and another one tidy up while it does."""
import fcntl

import pytest

from p01.remote import App, storage
from p01.remote.engine import presence
from p01.remote.ground import blackbox


@pytest.fixture
def app(tmp_path):
    found = App(f'sqlite:{tmp_path / "db"}')
    yield found
    found.close()


@pytest.fixture
def folder(app):
    found = blackbox.folderFor(storage.folder(app.db))
    found.mkdir(exist_ok=True)
    return found


def test_what_the_dead_left_half_made_goes_and_the_living_keep_theirs(app, folder):
    box = presence.mine(app.db)
    (folder / 'dead.new').touch()
    with open(folder / 'living.new', 'wb') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        presence.tidy(folder)
        assert sorted(each.name for each in folder.glob('*.*')) == sorted([box.path.name, 'living.new'])
    assert not blackbox.died(box.path)


def test_nothing_there_is_tidy(tmp_path):
    presence.tidy(tmp_path / 'nothing')


@pytest.mark.parametrize('before', [True, False])
def test_a_box_is_made_even_when_somebody_tidies_up_just_then(app, folder, monkeypatch, before):
    locked = []

    def lock(file, kind, real=fcntl.flock):
        if not locked and kind == fcntl.LOCK_EX:
            locked.append(file)
            if before:
                presence.tidy(folder)
            real(file, kind)
            if not before:      # it was found dead before, and goes now
                for each in folder.glob('*.new'):
                    each.unlink()
        else:
            real(file, kind)

    monkeypatch.setattr(presence.fcntl, 'flock', lock)
    box = presence.mine(app.db)
    assert len(locked) == 1 and [each.name for each in folder.glob('*.*')] == [box.path.name] and not blackbox.died(box.path)
