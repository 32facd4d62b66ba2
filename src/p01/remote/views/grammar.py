# SPDX-License-Identifier: ZPL-2.1
"""Filters as people write them: status:error job:receipt queue:mail age>1h -queue:slow timeout.
Pure.

docs/filters.md tells of the fields. Terms of different fields must all hold; of one field, one of
those without a minus, and none of those with one. What has no field is looked for in texts.
"""
from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from p01.remote.exceptions import InputError
from p01.remote.ground import spans
from p01.remote.ground.checks import nearest
from p01.remote.ground.foreign import short
from p01.remote.instants import LONGESTSPAN, instantOf, utc
from p01.remote.views.filters import EVERYJOB, STATI, Filter, Part, hint

# field → where a Filter has it, of those that any text fits
FILTERLENGTH, MOSTTERMS = 4_000, 50       # characters and terms of a filter
TEXTS = {'job': 'name', 'queue': 'queue', 'worker': 'worker', 'error': 'error', 'key': 'key',
         'schedule': 'schedule'}
FIELDNAMES = ('status', *TEXTS, 'id', 'age', 'since', 'before')
NOFIELD = ''               # the field of what has none
TERM = re.compile(r'(?P<no>-?+)(?:(?P<field>[A-Za-z]+)(?P<sign>[:<>]))?+'
                  r'(?:"(?P<quoted>(?:[^"\\]|\\.)*)"(?=\s|$)|(?P<plain>(?!")\S*))', re.S)
ESCAPED = re.compile(r'\\(.)', re.S)


class Term(NamedTuple):
    """A word of a filter; sign is : or < or >."""

    no: bool
    field: str
    sign: str
    value: str

    @property
    def text(self) -> str:
        """As it is written."""
        plain = self.value and not re.search(r'\s|^"', self.value) and (
            self.field or TERM.fullmatch(self.value)
            and not re.match(r'-|[A-Za-z]+[:<>]', self.value))
        value = self.value if plain else '"' + re.sub(r'(["\\])', r'\\\1', self.value) + '"'
        return f'{"-" if self.no else ""}{self.field}{self.sign if self.field else ""}{value}'


def parse(text: str, now: float) -> Filter:
    """The filter of a text, at an instant of POSIX seconds that ages are reckoned from.

    Raises InputError, a sentence that names the term and what was probably meant.
    """
    if len(text) > FILTERLENGTH or len(words := list(terms(text))) > MOSTTERMS:
        raise InputError(f'A filter has at most {FILTERLENGTH:,} characters and {MOSTTERMS} terms; '
                         'ask for less at once.')
    found = EVERYJOB
    parts: dict[str, tuple[list[str], list[str]]] = {}
    for term in words:
        if term.field in ('age', 'since', 'before'):
            found = timed(found, term, now)
        else:
            if not term.value:
                raise InputError(f'{term.text} names nothing; write what is meant behind it.')
            known = parts.setdefault(term.field, ([], []))[term.no]
            if term.value not in known:
                known.append(term.value)
    for field, (some, none) in parts.items():
        if field == 'status':
            found = found._replace(stati=stati(some, none))
        elif field == 'id':
            found = found._replace(ids=Part(ids(some), ids(none)))
        else:
            asked: dict[str, Any] = {TEXTS.get(field, 'words'): Part(tuple(some), tuple(none))}
            found = found._replace(**asked)
    return found


def terms(text: str) -> Iterator[Term]:
    """The words of a filter, whose fields and signs are right. Raises InputError."""
    at = 0
    while (start := re.compile(r'\s*').match(text, at)) and start.end() < len(text):
        found = TERM.match(text, start.end())
        if found is None:
            raise InputError(f'A quotation mark in {short(text[start.end():])} is not closed, or '
                             'something '
                             r'follows it at once; write text as "two words", a mark within it as '
                             r'\".')
        at = found.end()
        quoted, field = found['quoted'], (found['field'] or NOFIELD).lower()
        value = found['plain'] if quoted is None else ESCAPED.sub(r'\1', quoted)
        term = Term(bool(found['no']), field, found['sign'] or ':', value)
        check(term, found[0])
        yield term


def check(term: Term, text: str) -> None:
    """Raises InputError for a field that there is not, or a sign that it does not have."""
    if term.field and term.field not in FIELDNAMES:
        near = nearest(term.field, FIELDNAMES)
        meant = f'did you mean {near}?' if near else f'there are {", ".join(FIELDNAMES)}.'
        raise InputError(f'{short(text)}: there is no field {term.field}; {meant} Quote a text '
                         f'that has a {term.sign} in it.')
    if term.field == 'age' and term.sign == ':':
        raise InputError(f'{short(text)}: an age is compared; write age>1h or age<1h.')
    if term.field and term.field != 'age' and term.sign != ':':
        raise InputError(f'{short(text)}: {term.field} is not compared; write {term.field}:…')


def timed(found: Filter, term: Term, now: float) -> Filter:
    """The filter, narrowed by a term about time. Raises InputError."""
    if term.no:
        raise InputError(f'{term.text} cannot have a minus; turn it round: age<1h for age>1h, '
                         'since for before.')
    if term.field == 'age':
        length = spans.parsed(term.value, bare=True)
        if length is None or length > LONGESTSPAN:
            raise InputError(f'{short(term.value)} is no age; write a number with a unit, as 10m, '
                             '2h or 1d.')
        instant = now - length
    else:
        instant = instantOf(term.value, now, term.field)
    if term.field == 'since' or term.sign == '<':
        return found._replace(since=instant if found.since is None else max(found.since, instant))
    return found._replace(before=instant if found.before is None else min(found.before, instant))


def stati(some: list[str], none: list[str]) -> tuple[str, ...]:
    """The stati that are left. Raises InputError for one that there is not."""
    for status in (*some, *none):
        if status not in STATI:
            raise InputError(f'{short(status)} is no status; {hint(status)}')
    return tuple(status for status in STATI if status in (some or STATI) and status not in none)


def ids(texts: list[str]) -> tuple[int, ...]:
    """The ids of jobs. Raises InputError."""
    for text in texts:
        if not re.fullmatch('[0-9]{1,18}', text):
            raise InputError(f'{short(text)} is no id of a job; write a whole number, as in id:17.')
    return tuple(dict.fromkeys(map(int, texts)))


def written(which: Filter) -> str:
    """The text of a filter, without its limit: parse gives the same again. Instants are of
    microseconds."""
    found: list[Term] = []
    if set(which.stati) < set(STATI):
        some = [status for status in STATI if status in which.stati]
        found += [Term(not some, 'status', ':', status) for status in some or STATI]
    found += termsOf('id', Part(tuple(map(str, which.ids.any)), tuple(map(str, which.ids.none))))
    for field, name in TEXTS.items():
        found += termsOf(field, getattr(which, name))
    for field, instant in (('since', which.since), ('before', which.before)):
        if instant is not None:
            found.append(Term(False, field, ':', utc(instant).isoformat().replace('+00:00', 'Z')))
    return ' '.join(term.text for term in [*found, *termsOf(NOFIELD, which.words)])


def termsOf(field: str, part: Part[str]) -> list[Term]:
    """The terms of a part of a filter."""
    return [Term(no, field, ':', value) for no in (False, True) for value in part[no]]


def completed(word: str, known: Mapping[str, Collection[str]] = {}) -> list[str]:
    """How a word of a filter may go on: fields, then what is known of one, as queues: {'queue':
    ['mail', …]}."""
    no, rest = ('-', word[1:]) if word.startswith('-') else ('', word)
    field, colon, begun = rest.partition(':')
    if not colon:
        return [f'{no}{each}{":" if each != "age" else ">"}' for each in FIELDNAMES
                if each.startswith(rest)]
    values = STATI if field == 'status' else known.get(field, ())
    return [Term(bool(no), field, ':', value).text for value in values
            if value.startswith(begun.removeprefix('"'))]
