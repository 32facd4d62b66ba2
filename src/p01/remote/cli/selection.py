# SPDX-License-Identifier: ZPL-2.1
"""Which jobs a verb is about: a filter and options that say so, the same for all verbs."""
from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from typing import Any

import click

from p01.remote.app import App
from p01.remote.cli.argument import DEFAULT, Verb
from p01.remote.exceptions import InputError
from p01.remote.ground.upstream import over
from p01.remote.instants import dated, instantOf, utc
from p01.remote.views import grammar
from p01.remote.views.filters import Filter


class Date(click.ParamType):
    """An instant: a date with or without a time, of UTC unless it says otherwise."""

    name = 'instant'

    @over(click.ParamType)
    def convert(self, value: Any, param: click.Parameter | None,
                ctx: click.Context | None) -> float:
        """POSIX seconds of 2026-01-31 or 2026-01-31T08:30."""
        try:
            return value if isinstance(value, float) else self.read(value)
        except InputError as error:
            self.fail(str(error), param, ctx)

    def read(self, text: str) -> float:
        """POSIX seconds of a text. Raises InputError."""
        return dated(text)


class Moment(Date):
    """An instant: how long ago, or a date."""

    def read(self, text: str) -> float:
        """POSIX seconds of 10m, 2h, 1d, 2026-01-31 or 2026-01-31T08:30."""
        return instantOf(text, time.time())


AT, MOMENT = Date(), Moment()


def arranged(args: list[str]) -> list[str]:
    """Arguments with the terms that begin with a minus behind the options, where they are not taken
    for one."""
    terms = [] if '--' in args else [arg for arg in args if re.match(r'-[A-Za-z]+[:<>]|-"', arg)]
    return [*(arg for arg in args if arg not in terms), '--', *terms] if terms else args


class Filtered(Verb):
    """A verb with a filter, some of whose terms may begin with a minus."""

    @over(click.Command)
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put such terms behind the options."""
        return super().parse_args(ctx, arranged(args))

    def named(self, words: list[str]) -> bool:
        """Whether the first of these words is APP: not what looks like a term, where APP has a
        default."""
        field = re.match(r'([a-z]+)[:<>]', words[0]) if words else None
        if field is not None and field[1] in grammar.FIELDNAMES and os.environ.get(DEFAULT):
            return False
        return super().named(words)


def goesOn(ctx: click.Context, param: click.Parameter, word: str) -> list[str]:
    """How a word of a filter may go on, for the shell."""
    return grammar.completed(word)


def filterOptions(verb: Callable[..., Any]) -> Callable[..., Any]:
    """The words of a filter, as words, and the options --queue, --name, --since and
    --older-than."""
    for option in reversed((
            click.argument('words', metavar='[FILTER]...', nargs=-1, shell_complete=goesOn),
            click.option('--queue', metavar='NAME', help='Only of this queue; as queue:NAME.'),
            click.option('--name', metavar='NAME',
                         help='Only these jobs: a registered name, or its last part; as job:NAME.'),
            click.option('--since', type=MOMENT, metavar='TIME',
                         help='Only those that ended, or were enqueued, since then: 10m ago, or a '
                              'date.'),
            click.option('--older-than', 'before', type=MOMENT, metavar='TIME',
                         help='Only those that ended, or were enqueued, before: 7d ago, or a '
                              'date.'))):
        verb = option(verb)
    return verb


def filterOf(words: tuple[str, ...], which: dict[str, Any], stati: tuple[str, ...] = ()) -> Filter:
    """The filter of these words and options: each option is a term more. Raises UsageError."""
    terms = [grammar.Term(False, 'status', ':', status) for status in stati]
    terms += [grammar.Term(False, field, ':', which[option])
              for field, option in (('queue', 'queue'), ('job', 'name'))
              if which[option] is not None]
    terms += [grammar.Term(False, field, ':', utc(which[field]).isoformat())
              for field in ('since', 'before')
              if which[field] is not None]
    try:
        return grammar.parse(' '.join([*words, *(term.text for term in terms)]), time.time())
    except InputError as error:
        raise click.UsageError(str(error)) from None


def isNarrowed(words: tuple[str, ...], which: dict[str, Any]) -> bool:
    """Whether any word or one of these options was given."""
    return bool(words) or any(value is not None for value in which.values())


def idsOf(words: tuple[str, ...]) -> tuple[int, ...]:
    """The ids that are given instead of a filter; () for a filter. Raises UsageError for some of
    both."""
    numbers = [word for word in words if word.isdecimal()]
    if any(not int(number) for number in numbers):
        raise click.UsageError('The ids of jobs begin with 1.')
    if numbers and len(numbers) < len(words):
        raise click.UsageError('Give ids or a filter, not both; in a filter an id is a term, as '
                               f'id:{numbers[0]}.')
    return tuple(map(int, numbers))


def full(app: App, name: str) -> str:
    """The name of the one job of an App whose last part this is; else the name as it stands."""
    found = [known for known in app.jobs if known.rpartition('.')[2] == name]
    return found[0] if name not in app.jobs and len(found) == 1 else name
