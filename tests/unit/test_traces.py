# SPDX-License-Identifier: ZPL-2.1
"""Tracebacks taken apart: frames, whose they are, causes; of whatever text."""
from hypothesis import given
from hypothesis import strategies as some

from p01.remote.ground.foreign import traced
from p01.remote.views.traces import parsed


def boom():
    raise ValueError('first line\nsecond line')


def error(function):
    try:
        function()
    except Exception as found:
        return found
    raise AssertionError


def test_a_real_traceback():
    found = parsed(traced(error(boom)))
    assert [(frame.function, frame.own) for frame in found.frames] == [('error', True),
                                                                       ('boom', True)]
    assert found.raised.code == "raise ValueError('first line\\nsecond line')"
    assert found.raised.place.startswith('unit/test_traces.py:') and found.before == ''
    assert found.error == 'ValueError: first line\nsecond line'


def test_a_cause_stands_before():
    def wrap():
        try:
            boom()
        except ValueError as cause:
            raise RuntimeError('second') from cause

    found = parsed(traced(error(wrap)))
    assert found.error == 'RuntimeError: second'
    assert 'ValueError: first line' in found.before and 'direct cause' in found.before


def test_libraries_are_told_apart():
    text = ('Traceback (most recent call last):\n'
            '  File "/srv/shop/mail.py", line 7, in receipt\n    send()\n    ^^^^^^\n'
            '  File "/usr/lib/python3.11/smtplib.py", line 405, in getreply\n    raise X\n'
            '  File "/x/site-packages/lib/a.py", line 1, in f\n'
            '  File "<string>", line 1, in <module>\n'
            '  [Previous line repeated 3 more times]\n'
            'smtplib.SMTPServerDisconnected: gone')
    found = parsed(text)
    assert [frame.own for frame in found.frames] == [True, False, False, False]
    assert found.raised.place == 'shop/mail.py:7 receipt'
    assert found.frames[0].code == 'send()' and found.error.endswith('gone')


def test_an_error_without_a_traceback():
    assert parsed('').raised is None
    assert parsed('ValueError: no').error == 'ValueError: no'


@given(some.text(max_size=300))
def test_any_text_is_taken(text):
    parsed(text)
    found = parsed(f'Traceback (most recent call last)\n  File "{text}", line 1, in {text}\n{text}')
    assert isinstance(found.error, str)
