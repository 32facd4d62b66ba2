# SPDX-License-Identifier: ZPL-2.1
"""A sample of what tests/long/test_fuzz.py does for long; and that it would see what is wrong."""
from tests.web import fuzz


def test_whatever_is_asked_for_gets_an_answer(town, tmp_path):
    with fuzz.Served(town.app.database, tmp_path / 'log') as served:
        assert fuzz.hail(served, fuzz.fuzzOf(town, 'short'), range(1_000)) == []


def test_what_is_wrong_is_seen():
    assert fuzz.faultOf(500, {}, b'') == 'status 500'
    assert fuzz.faultOf(400, {}, b'Traceback (most recent call last)')
    assert fuzz.faultOf(404, {'Location': '/srv/site-packages'}, b'')
    assert not fuzz.faultOf(404, {}, b'Nothing is here.')
