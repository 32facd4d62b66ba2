# SPDX-License-Identifier: ZPL-2.1
"""What users of other job queues write by habit is refused by a sentence that says what to write
here; and what it says to write is there."""
import inspect
import re
from datetime import timedelta
from pathlib import Path

import pytest

from p01.remote import App
from p01.remote.exceptions import AddressError, InputError, OptionError
from p01.remote.function import OPTIONCHECKS, JobChoice
from p01.remote.ground import habits

app = App('memory:')


@app.job
def add(one, two=0):
    return one + two


TABLES = [(app, habits.APPWORDS), (add, habits.JOBWORDS), (app.handle(1), habits.HANDLEWORDS)]
WORDS = [(thing, name) for thing, table in TABLES for name in table]


@pytest.mark.parametrize('thing, name', WORDS, ids=lambda value: str(value)[:20])
def test_a_word_of_theirs_is_told_in_ours(thing, name):
    assert not hasattr(thing, name)
    with pytest.raises(AttributeError) as error:
        getattr(thing, name)
    text = str(error.value)
    assert name in text and '; ' in text and text.endswith('.') and '\n' not in text, text
    assert error.value.name == name and error.value.obj is thing


def test_no_word_of_theirs_hides_one_of_ours():
    for thing, table in TABLES:
        assert not set(table) & set(dir(type(thing)))


def test_a_slip_is_told_and_anything_else_is_not_there():
    for thing, slip, meant in ((add, 'enque', 'enqueue'), (app, 'trasaction', 'transaction'),
                               (app.handle(1), 'results', 'result')):
        with pytest.raises(AttributeError, match=f'did you mean {meant}[?]'):
            getattr(thing, slip)
        with pytest.raises(AttributeError, match=r'has no quite_something_else[.]'):
            thing.quite_something_else      # noqa: B018
        for name in ('__await__', '_secret', '__deepcopy__'):
            assert not hasattr(thing, name)
    assert inspect.unwrap(add) is add.function


@pytest.mark.parametrize('name', habits.OPTIONWORDS)
def test_an_option_of_theirs_is_told_in_ours(name):
    for given in (lambda: app.job(**{name: 3}), lambda: add.using(**{name: 3})):
        with pytest.raises(OptionError) as error:
            given()
        text = str(error.value)
        assert f'no option {name}; {habits.OPTIONWORDS[name]}' in text, text


def test_an_option_at_the_wrong_place_is_told_the_right_one():
    for name in set(OPTIONCHECKS) - set(JobChoice.__annotations__):
        with pytest.raises(OptionError, match=rf'using\({name}='):
            app.job(**{name: 3})
    for name in set(JobChoice.__annotations__) - set(OPTIONCHECKS):
        with pytest.raises(OptionError, match=rf'@app.job\({name}='):
            add.using(**{name: 3})
    for name in ('countdown', *OPTIONCHECKS):
        with pytest.raises(InputError, match=rf"argument '{name}'.*using\("):
            add.enqueue(1, **{name: 3})


@pytest.mark.parametrize('given', [Path('jobs'), './jobs', '/var/jobs', '~/jobs', 'some/jobs'])
def test_a_path_is_told_its_address(given):
    with pytest.raises(AddressError, match=f'did you mean sqlite:{re.escape(str(given))}[?]$'):
        App(given)


@pytest.mark.parametrize('given', [30.0, 30, timedelta(seconds=30), '15m', '90s'])
def test_a_rate_in_the_place_of_a_crontab_line_is_told(given):
    with pytest.raises(InputError, match='every='):
        app.schedule(given)
