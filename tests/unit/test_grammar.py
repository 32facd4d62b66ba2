# SPDX-License-Identifier: ZPL-2.1
"""Filters as text: each way of writing, there and back, and a sentence for what is wrong."""
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from p01.remote.exceptions import InputError
from p01.remote.views.filters import EVERYJOB, STATI, Filter, Part
from p01.remote.views.grammar import FIELDNAMES, completed, parse, written

NOW = 1_900_000_000.0
DOC = (Path(__file__).resolve().parents[2] / 'docs' / 'filters.md').read_text('utf-8')


@pytest.mark.parametrize('text, expected', [
    ('', EVERYJOB), ('  \n', EVERYJOB),
    ('status:error', Filter(('error',))), ('-status:error -status:cancelled', Filter(STATI[:4])),
    ('status:error status:queued', Filter(('queued', 'error'))),
    ('status:error -status:error', Filter(())),
    ('queue:mail queue:slow -queue:mail', Filter(queue=Part(('mail', 'slow'), ('mail',)))),
    ('job:shop.receipt', Filter(name=Part(('shop.receipt',)))),
    ('Job:receipt', Filter(name=Part(('receipt',)))),
    ('age>1h', Filter(before=NOW - 3600)),
    ('age<90', Filter(since=NOW - 90)),
    ('age>1h age>2h', Filter(before=NOW - 7200)),
    ('since:1h since:30m', Filter(since=NOW - 1800)),
    ('before:1970-01-02T02:00+02:00', Filter(before=86400.0)),
    ('id:17 id:18 -id:3 id:017', Filter(ids=Part((17, 18), (3,)))),
    ('worker:x key:u', Filter(worker=Part(('x',)), key=Part(('u',)))),
    ('error:"no such: x"', Filter(error=Part(('no such: x',)))),
    (r'key:"a \"b\" \\"', Filter(key=Part(('a "b" \\',)))),
    ('schedule:nightly', Filter(schedule=Part(('nightly',)))),
    ('error:a"b', Filter(error=Part(('a"b',)))),
    ('timeout "two words" -smtp "a:b" 12:30',
     Filter(words=Part(('timeout', 'two words', 'a:b', '12:30'), ('smtp',)))),
    ('timeout timeout', Filter(words=Part(('timeout',)))),
    ('queue:a:b', Filter(queue=Part(('a:b',))))])
def test_a_text_is_a_filter(text, expected):
    found = parse(text, NOW)
    assert found == expected and parse(written(found), 0) == found


values = some.text(min_size=1, max_size=8)
parts = some.tuples(some.lists(values, unique=True, max_size=3).map(tuple),
                    some.lists(values, unique=True,
                               max_size=3).map(tuple)).map(lambda pair: Part(*pair))
numbers = some.lists(some.integers(0, 10 ** 17), unique=True, max_size=3).map(tuple)
instants = some.none() | some.integers(-10 ** 15, 10 ** 16).map(lambda micros: micros / 1e6)


@given(some.sets(some.sampled_from(STATI)), some.tuples(*[parts] * 7), instants, instants,
       some.tuples(numbers, numbers))
def test_there_and_back(stati, texts, since, before, ids):
    stati = tuple(status for status in STATI if status in stati)
    which = Filter(stati, *texts[:2], since, before, None, Part(*ids), *texts[2:])
    assert parse(written(which), NOW) == which


@given(some.text())
def test_any_text_is_a_filter_or_a_sentence(text):
    try:
        found = parse(text, NOW)
    except InputError as error:
        told = str(error)
    else:
        told = 'Fine.'
        assert parse(written(found), 0) == found
    assert re.fullmatch(r'.+[.…?]', told, re.S) and len(told) < 400


@pytest.mark.parametrize('text, words', [
    ('qeue:mail', 'no field qeue; did you mean queue?'), ('nothing:x', 'there are status, job,'),
    ('http://x', 'Quote'), ('status:failed', 'did you mean error?'),
    ('status:eror', 'did you mean error?'), ('status:xyz', 'choose from queued,'),
    ('-status:done', 'did you mean completed?'), ('age:1h', 'write age>1h or age<1h'),
    ('queue>1', 'write queue:'), ('age>soon', "'soon' is no age"), ('age>1e99', 'no age'),
    ('-age>1h', 'age<1h for age>1h'), ('-since:1h', 'a minus'), ('since:tomorrow', 'no instant'),
    ('since:0000-01-01', 'no instant'), ('before:99999h99999h', ''), ('id:x', 'no id'),
    ('id:-1', 'no id'), ('id:²', 'no id'), ('queue:', 'names nothing'), ('-', 'names nothing'),
    ('""', 'names nothing'), ('error:"x', 'is not closed'), ('"x"y', 'is not closed'),
    ('-"', 'is not closed')])
def test_what_is_wrong_is_told_with_the_mend(text, words):
    if not words:
        assert parse(text, NOW).before is not None
        return
    with pytest.raises(InputError) as told:
        parse(f'queue:mail {text}', NOW)
    assert words in str(told.value) and '\n' not in str(told.value)


def test_a_word_is_completed():
    assert completed('s') == ['status:', 'schedule:', 'since:'] and completed('-q') == ['-queue:']
    assert completed('age') == ['age>']
    assert completed('status:c') == ['status:completed', 'status:cancelled'] \
        and completed('zzz') == []
    assert completed('queue:m', {'queue': ['mail', 'my queue',
                                           'slow']}) == ['queue:mail', 'queue:"my queue"']
    assert completed('queue:"m', {'queue': ['my queue']}) == ['queue:"my queue"']
    assert [word.rstrip(':>') for word in completed('')] == list(FIELDNAMES)


def test_the_page_tells_of_every_field_and_its_examples_are_filters():
    table = DOC.partition('| field |')[2].partition('\n\n')[0]
    assert set(re.findall(r'^\| `([a-z]+)', table, re.M)) == {*FIELDNAMES}
    for text in re.findall(r'^\| `([^`]+)`', DOC, re.M):
        if ':' in text or '>' in text:
            parse(text, NOW)
