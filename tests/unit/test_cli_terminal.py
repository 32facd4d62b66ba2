# SPDX-License-Identifier: ZPL-2.1
"""How the command shows things."""
import json
from datetime import UTC, datetime

import click
import pytest

from p01.remote.cli import terminal
from p01.remote.cli.argument import SPAN
from p01.remote.ground import words


@pytest.mark.parametrize('seconds, text', [
    (0.0123, '12 ms'), (0.9994, '999 ms'), (1, '1.0 s'), (59.94,
                                                          '59.9 s'), (90, '1.5 min'), (600,
                                                                                       '10 min'),
    (3600, '1.0 h'), (86400 * 12.4, '12 d')])
def test_durations_are_for_people(seconds, text):
    assert words.span(seconds) == text


def test_instants_are_seen_from_now():
    assert words.ago(100, 103) == '3.0 s ago'
    assert words.ago(700, 100) == 'in 10 min'
    assert words.ago(100, 100.2) == 'now'


def test_a_text_cannot_move_the_cursor_or_break_the_line():
    assert words.shown('red\x1b[31m\nalert\a', None) == 'red�[31m alert�'
    assert words.shown('x' * 100, 10) == 'x' * 9 + '…'
    assert words.shown(None) == 'None'


def test_little_bars():
    assert terminal.spark([0, 1, 4, 8]) == ' ▁▄█'
    assert terminal.spark([0, 0]) == '  '
    assert terminal.spark([]) == ''


def test_every_status_has_a_glyph_and_its_word():
    for status in ('queued', 'delayed', 'processing', 'completed', 'error', 'cancelled'):
        text, colour = terminal.mark(status)
        assert text.endswith(status) and colour
        assert text[0] != status[0]


def test_a_table_without_a_terminal_is_plain_and_whole(capsys):
    terminal.table(['id', 'status', 'error', 'worker'],
                   [[7, terminal.mark('queued'), 'x' * 300,
                     ''], [1234, terminal.mark('error'), '', '']],
                   right=['id'], cut='error')
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ['id', 'status', 'error']        # nobody has a worker
    assert lines[1] == '   7  ○ queued  ' + 'x' * 300
    assert lines[2].rstrip() == '1234  ✖ error'


def test_json_takes_everything(capsys):
    terminal.printJson({'at': datetime(2026, 1, 2, tzinfo=UTC), 'set': {2, 1}, 'object': object(),
                        'bytes': b'x'})
    found = json.loads(capsys.readouterr().out)
    assert found['at'] == '2026-01-02T00:00:00+00:00'
    assert found['set'] == [1, 2] and found['bytes'] == "b'x'" \
        and found['object'].startswith('<object')


@pytest.mark.parametrize('text, seconds', [
    ('90', 90), ('90s', 90), ('1.5m', 90), ('10 min',
                                            600), ('2H',
                                                   7200), ('1d', 86400), ('.5', 0.5), ('0', 0)])
def test_durations_are_taken(text, seconds):
    assert SPAN.convert(text, None, None) == seconds


@pytest.mark.parametrize('text', ['', 'soon', '5y', '-1', '-5m', '1 2', 'nan', 'inf'])
def test_what_is_no_duration_is_told(text):
    with pytest.raises(click.BadParameter, match='duration'):
        SPAN.convert(text, None, None)


@pytest.mark.parametrize('number, shown', [(0, '0 B'), (1023,
                                                        '1,023 B'), (1024, '1.0 KiB'), (12_800,
                                                                                        '12.5 KiB'),
                                           (3 << 20,
                                            '3.0 MiB'), (5 << 30,
                                                         '5.0 GiB'), (7 << 40, '7,168.0 GiB')])
def test_sizes(number, shown):
    assert words.size(number) == shown
