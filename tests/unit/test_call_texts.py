# SPDX-License-Identifier: ZPL-2.1
"""What a job was called with, as a call in Python that does the same, and as names and texts."""
import pickle

import pytest

from p01.remote import App
from p01.remote.views.given import givenOf
from p01.remote.wire.functions import namesOf

app = App('memory:')


@app.job
def plain(one, two=2):
    return one, two


@app.job
def many(one, /, *rest, key=None, **more):
    return one, rest, key, more


@pytest.mark.parametrize('job, args, kwargs, call, names', [
    (plain, (1,), {}, '1', ['one']),
    (plain, (1,), {'two': 'x'}, "1, two='x'", ['one', 'two']),
    (plain, (), {'one': 1}, 'one=1', ['one']),
    (many, (1, 2, 3), {}, '1, 2, 3', ['one', '1', '2']),
    (many, (1,), {'key': 'k', 'other': [4]}, "1, key='k', other=[4]", ['one', 'key', 'other'])])
def test_a_call_is_what_it_was(job, args, kwargs, call, names):
    name = job.prototype.path
    given = givenOf(pickle.dumps((args, kwargs)), namesOf(app, name))
    assert (given.call, [each for each, _ in given.arguments]) == (call, names)
    assert eval(f'job.function({given.call})') == job.function(*args, **kwargs)
