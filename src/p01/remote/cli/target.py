# SPDX-License-Identifier: ZPL-2.1
"""From APP on the command line to an open App."""
from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
import ZODB

from p01.remote import spans
from p01.remote.app import App, loadApp
from p01.remote.cli.terminal import shown
from p01.remote.exceptions import AddressError, InputError
from p01.remote.instants import duration
from p01.remote.processor import RemoteProcessor
from p01.remote.storage import isAddress, openDatabase, parse
from p01.remote.storage.transactions import systematic

DEFAULT = 'P01_REMOTE_APP'              # in the environment: APP where none is given
PROCESSOR = 'P01_REMOTE_PROCESSOR'      # and --processor
BATCH = 100         # jobs changed in one transaction: small enough not to meet the workers all the time

Result = TypeVar('Result')


class Span(click.ParamType):
    """A duration: seconds, or a number with s, m, h or d."""

    name = 'duration'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds of 90, 90s, 1.5m, 2h or 1d."""
        try:
            return duration(value, 'The duration', bare=True)
        except InputError as error:
            if isinstance(value, str) and value.strip().startswith('-'):
                self.fail(f'{value!r} is negative; a duration is 0 or more.', param, ctx)
            self.fail(f'{shown(value, 60)!r} is no duration; write seconds, or a number with a unit: 90, 10m, 2h, 1d.'
                      if isinstance(value, str) and spans.parsed(value, True) is None else str(error), param, ctx)


SPAN = Span()


class Verb(click.Command):
    """A verb whose first argument is APP, which may be left out where P01_REMOTE_APP names it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default before the other arguments when there is no APP among them."""
        bare = not args and self.no_args_is_help
        if ctx.resilient_parsing or bare or not isinstance(self.params[0], AppArgument):
            return super().parse_args(ctx, args)
        words = self.words(args)
        if words is not None and not self.named(words):
            app = os.environ.get(DEFAULT)
            if not app:
                raise click.UsageError(f'Name APP, module:attribute of an App or an address such as sqlite:./jobs; or set '
                                       f'{DEFAULT} to it.', ctx)
            args = [app, *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Let the target say which processor is meant."""
        path = ctx.params.pop('processor', None) if isinstance(self.params[0], AppArgument) else None
        asked = ctx.get_parameter_source('processor') is not click.core.ParameterSource.ENVIRONMENT
        if path and (asked or not isAt(ctx.params['target'])):
            ctx.params['target'] = at(ctx.params['target'], path)
        return super().invoke(ctx)

    def words(self, args: list[str]) -> list[str] | None:
        """The arguments among args, without the options and their values; None where help is asked for, or nothing fits."""
        options = [each for each in self.params if isinstance(each, click.Option)]
        probe = click.Command(self.name, add_help_option=False, params=[
            *options, click.Option(['-h', '--help', 'help'], is_flag=True), click.Argument(['words'], nargs=-1)])
        try:
            found: dict[str, Any] = probe.make_parser(click.Context(probe)).parse_args(list(args))[0]
        except click.UsageError:
            return None             # click tells of it with the context of the verb
        given = found.get('words')
        return None if found.get('help') is True else list(given) if isinstance(given, tuple | list) else []

    def named(self, words: list[str]) -> bool:
        """Whether the first of these words is APP."""
        others = [each for each in self.params[1:] if isinstance(each, click.Argument)]
        least = sum(each.required for each in others)
        most = len(words) if any(each.nargs < 0 for each in others) else len(others)
        if len(words) > most or bool(words) and isApp(words[0]):
            return True
        return len(words) > least and not words[0].isdecimal() and not os.environ.get(DEFAULT)


class AppArgument(click.Argument):
    """APP, the first argument of a Verb."""


def appArgument(verb: Callable[..., Any]) -> Callable[..., Any]:
    """The argument APP, as target; must be the first parameter of a Verb, below which the others stand. With --processor,
    whose path the target then ends with.
    """
    verb = click.option('--processor', metavar='PATH', envvar=PROCESSOR, help='The one that is meant, as /site/remote; '
                        'default: what APP says.')(verb)
    return click.argument('target', metavar='[APP]', cls=AppArgument)(verb)


def at(target: str, path: str) -> str:
    """A target with the path of a processor. Raises UsageError for one that has a path."""
    if isAt(target):
        raise click.UsageError(f'{target} names a processor; leave out the one or the other.')
    kind, _, rest = target.partition(':')
    return f'{target}{"" if kind.lower() == "zconfig" and "#" in rest else "#"}/{path.strip("/")}'


def isAt(target: str) -> bool:
    """Whether a target has the path of a processor."""
    return bool(parse(target).processor) if isAddress(target) else '#' in target


def isApp(word: str) -> bool:
    """Whether a word has the form of module:attribute or of an address."""
    kind, colon, rest = word.partition(':')
    return bool(colon) and (isAddress(word) or bool(re.fullmatch(r'[^\W\d][\w.]*', kind)) and rest.partition('#')[0]
                            .replace('.', '').isidentifier())


@contextmanager
def opened(target: str, create: bool = False) -> Iterator[App]:
    """The App of a target, closed afterwards. A database that is not there is made only on request.

    Raises AddressError and RegistrationError with what to mend.
    """
    app = loadApp(target)
    check(app, target, create)
    try:
        yield app
    finally:
        app.close()


@contextmanager
def database(app: App) -> Iterator[ZODB.DB]:
    """The database of an App alone, whatever processors it has."""
    db = openDatabase(app.database, **app.settings)
    try:
        yield db
    finally:
        if db is not app.database:
            db.close()


def check(app: App, target: str, create: bool) -> None:
    """Raises AddressError for a database that a command cannot share with others, or that is not there.

    Only where it may be made may a processor be added, too.
    """
    app.adds = create
    if not isinstance(app.database, str):
        return
    address = parse(app.database)
    if address.kind == 'memory':
        raise AddressError(f'{address.text} lives in one process only, so a command has nothing to look at; name a '
                           'database that several processes can open, such as sqlite:./jobs.')
    if create or address.path is None:
        return
    file = address.path / 'main.sqlite3' if address.kind == 'sqlite' else address.path
    if not file.exists():
        raise AddressError(f'There is no database at {address.text} yet; `p01-remote worker {target}` or an enqueued '
                           'job makes it.')


def placeOf(app: App) -> str:
    """Where an App's database is, safe to print."""
    return app.place


def change(app: App, work: Callable[[RemoteProcessor], Result]) -> Result:
    """Do work(processor) in a transaction, again when it meets the workers."""
    return systematic(app.db, lambda connection: work(app.locate(connection)))


def each(app: App, jobids: list[int], verb: Callable[[RemoteProcessor, int], Result]) -> Iterator[tuple[int, Result]]:
    """Do verb(processor, jobid) for each job, in transactions of BATCH; gives what each returned, once committed."""
    for at in range(0, len(jobids), BATCH):
        batch = jobids[at:at + BATCH]
        yield from change(app, lambda processor, batch=batch:       # type: ignore[misc]
                          [(jobid, verb(processor, jobid)) for jobid in batch])
