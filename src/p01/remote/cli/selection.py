# SPDX-License-Identifier: ZPL-2.1
"""Which jobs a verb is about: the options that say so, the same for all verbs."""
from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

import click

from p01.remote.app import App
from p01.remote.cli.argument import SPAN
from p01.remote.cli.terminal import shown
from p01.remote.ground.upstream import over
from p01.remote.views.listing import Filter


class Date(click.ParamType):
    """An instant: a date with or without a time, of UTC unless it says otherwise."""

    name = 'instant'

    @over(click.ParamType)
    def convert(self, value: Any, param: click.Parameter | None,
                ctx: click.Context | None) -> float:
        """POSIX seconds of 2026-01-31 or 2026-01-31T08:30."""
        if isinstance(value, float):
            return value
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f'{shown(value, 60)!r} is no date; write one as 2026-01-31 or '
                      '2026-01-31T08:30.', param, ctx)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


class Moment(Date):
    """An instant: how long ago, or a date."""

    @over(click.ParamType)
    def convert(self, value: Any, param: click.Parameter | None,
                ctx: click.Context | None) -> float:
        """POSIX seconds of 10m, 2h, 1d, 2026-01-31 or 2026-01-31T08:30."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            pass
        try:
            return time.time() - float(SPAN.convert(value, param, ctx))
        except click.BadParameter:
            self.fail(f'{shown(value, 60)!r} is no instant; write how long ago, as 10m, 2h or 1d, '
                      'or a date as 2026-01-31T08:30.', param, ctx)


AT, MOMENT = Date(), Moment()


def filterOptions(verb: Callable[..., Any]) -> Callable[..., Any]:
    """The options --queue, --name, --since and --older-than."""
    for option in reversed((
            click.option('--queue', metavar='NAME', help='Only of this queue.'),
            click.option('--name', metavar='NAME',
                         help='Only these jobs: a registered name, or its last part.'),
            click.option('--since', type=MOMENT, metavar='TIME',
                         help='Only those that ended, or were enqueued, since then: 10m ago, or a '
                              'date.'),
            click.option('--older-than', 'before', type=MOMENT, metavar='TIME',
                         help='Only those that ended, or were enqueued, before: 7d ago, or a '
                              'date.'))):
        verb = option(verb)
    return verb


def filterOf(app: App, stati: Collection[str], which: dict[str, Any]) -> Filter:
    """The filter of these options."""
    name = which['name'] and full(app, which['name'])
    return Filter(stati, which['queue'], name, which['since'], which['before'])


def isNarrowed(which: dict[str, Any]) -> bool:
    """Whether one of these options was given."""
    return any(value is not None for value in which.values())


def full(app: App, name: str) -> str:
    """The name of the one job of an App whose last part this is; else the name as it stands."""
    found = [known for known in app.jobs if known.rpartition('.')[2] == name]
    return found[0] if name not in app.jobs and len(found) == 1 else name
