# SPDX-License-Identifier: ZPL-2.1
"""Who holds an old snapshot is told of."""
import pytest
import transaction

from p01.remote.cli import main
from p01.remote.storage import held


def test_nothing_is_held(place):
    place.connect()
    assert held.held(place.db) == ''


@pytest.mark.parametrize('place', ['sqlite'], indirect=True)
def test_a_log_that_cannot_begin_anew(place, monkeypatch):
    monkeypatch.setattr(held, 'LONGLOG', 100_000)
    reader = place.db.open(transaction.TransactionManager(explicit=True))
    reader.transaction_manager.begin()
    assert not reader.root().get('n')
    writer = place.connect()
    for number in range(40):
        writer.root()['n'] = str(number) * 10_000
        writer.transaction_manager.commit()
    assert 'MB' in held.held(place.db) and 'main.sqlite3-wal' in held.held(place.db)
    reader.transaction_manager.abort()
    reader.close()


@pytest.mark.parametrize('place', ['postgresql'], indirect=True)
def test_a_transaction_that_is_open_for_long(place, monkeypatch, capsys):
    reader = place.db.open(transaction.TransactionManager(explicit=True))
    reader.transaction_manager.begin()
    assert not reader.root().get('n')
    assert held.held(place.db) == ''
    monkeypatch.setattr(held, 'LONGOPEN', 0)
    assert 'pg_terminate_backend' in held.held(place.db)
    reader.transaction_manager.abort()
    reader.close()


def test_doctor_says_so(tmp_path, monkeypatch, capsys):
    address = f'sqlite:{tmp_path / "jobs"}'
    main(['worker', address, '--drain'])
    capsys.readouterr()
    main(['doctor', address])
    assert 'nobody holds an old snapshot' in capsys.readouterr().out
    monkeypatch.setattr(held, 'LONGLOG', -1)
    assert main(['doctor', address]) == 0
    said = ' '.join(capsys.readouterr().out.split())
    assert 'look room' in said and 'end that one' in said
