# SPDX-License-Identifier: ZPL-2.1
"""APP on the command line: the verbs that have it, and what it may look like. Imports no database,
see engine.supervisor."""
from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import click

from p01.remote.exceptions import InputError
from p01.remote.ground import checks, spans
from p01.remote.ground.upstream import over
from p01.remote.ground.words import shown
from p01.remote.instants import duration

DEFAULT = 'P01_REMOTE_APP'              # in the environment: APP where none is given
LONGESTHELP = 1000      # characters; click would cut a help amidst its words
PROCESSOR = 'P01_REMOTE_PROCESSOR'      # and --processor


class Span(click.ParamType):
    """A duration: seconds, or a number with s, m, h or d."""

    name = 'duration'

    @over(click.ParamType)
    def convert(self, value: Any, param: click.Parameter | None,
                ctx: click.Context | None) -> float:
        """Seconds of 90, 90s, 1.5m, 2h or 1d."""
        try:
            return duration(value, 'The duration', bare=True)
        except InputError as error:
            if isinstance(value, str) and value.strip().startswith('-'):
                self.fail(f'{value!r} is negative; a duration is 0 or more.', param, ctx)
            self.fail(f'{shown(value, 60)!r} is no duration; write seconds, or a number with a '
                      'unit: 90, 10m, 2h, 1d.'
                      if isinstance(value, str) and spans.parsed(value, True) is None
                      else str(error), param, ctx)


SPAN = Span()


class Whole(click.IntRange):
    """A whole number within limits."""

    name = 'whole number'           # click says that 'x' is no valid integer range


class Nouns(click.Group):
    """A group of commands, which says what was probably meant by a word that is none of them."""

    @over(click.Group)
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, each with the whole first part of its help."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section('Commands'):
            formatter.write_dl([
                (name, each.get_short_help_str(LONGESTHELP).partition(': ')[0].rstrip('.'))
                for name, each in found if each is not None])

    @over(click.Group)
    def resolve_command(self, ctx: click.Context, args: list[str],
                        ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command and its arguments. Raises UsageError."""
        if args and not args[0].startswith('-') and self.get_command(ctx, args[0]) is None:
            known, path, word = self.list_commands(ctx), ctx.command_path, shown(args[0])
            near = checks.nearest(args[0], known)
            mend = f'did you mean `{path} {near}`?' if near \
                else f'did you mean `{path} list {word}`?' if 'list' in known and len(args) == 1 \
                else f'it has {", ".join(known)}.'
            raise click.UsageError(f'{path} has no command {word!r}; {mend}', ctx)
        return super().resolve_command(ctx, args)


class Verb(click.Command):
    """A verb whose first argument is APP, which may be left out where P01_REMOTE_APP names it."""

    @over(click.Command)
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default before the other arguments when there is no APP among them."""
        bare = not args and self.no_args_is_help
        if ctx.resilient_parsing or bare or not isinstance(self.params[0], AppArgument):
            return super().parse_args(ctx, args)
        words = self.words(args)
        if words is not None and not self.named(words):
            app = os.environ.get(DEFAULT)
            if not app:
                raise click.UsageError('Name APP, module:attribute of an App or an address such as '
                                       f'sqlite:./jobs; or set {DEFAULT} to it.', ctx)
            args = [app, *args]
        return super().parse_args(ctx, args)

    @over(click.Command)
    def invoke(self, ctx: click.Context) -> Any:
        """Let the target say which processor is meant."""
        path = ctx.params.pop('processor',
                              None) if isinstance(self.params[0], AppArgument) else None
        asked = ctx.get_parameter_source('processor') is not click.core.ParameterSource.ENVIRONMENT
        if path and (asked or not isAt(ctx.params['target'])):
            ctx.params['target'] = at(ctx.params['target'], path)
        return super().invoke(ctx)

    def words(self, args: list[str]) -> list[str] | None:
        """The arguments among args, without the options and their values; None where help is asked
        for, or nothing fits."""
        options = [each for each in self.params if isinstance(each, click.Option)]
        probe = click.Command(self.name, add_help_option=False, params=[
            *options, click.Option(['-h', '--help', 'help'], is_flag=True),
            click.Argument(['words'], nargs=-1)])
        try:
            found: dict[str,
                        Any] = probe.make_parser(click.Context(probe)).parse_args(list(args))[0]
        except click.UsageError:
            return None             # click tells of it with the context of the verb
        given = found.get('words')
        return None if found.get('help') is True else list(given) if isinstance(given,
                                                                                tuple
                                                                                | list) else []

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
    """The argument APP, as target; must be the first parameter of a Verb, below which the others
    stand. With --processor, whose path the target then ends with.
    """
    verb = click.option('--processor', metavar='PATH', envvar=PROCESSOR,
                        help='The one that is meant, as /site/remote; default: what APP says.')(
                            verb)
    return click.argument('target', metavar='[APP]', cls=AppArgument)(verb)


def at(target: str, path: str) -> str:
    """A target with the path of a processor. Raises UsageError for one that has a path."""
    if isAt(target):
        raise click.UsageError(f'{target} names a processor; leave out the one or the other.')
    kind, _, rest = target.partition(':')
    return f'{target}{"" if kind.lower() == "zconfig" and "#" in rest else "#"}/{path.strip("/")}'


def isAt(target: str) -> bool:
    """Whether a target has the path of a processor."""
    from p01.remote.storage import isAddress, parse  # only who names one needs what comes with it
    return bool(parse(target).processor) if isAddress(target) else '#' in target


def isApp(word: str) -> bool:
    """Whether a word has the form of module:attribute or of an address."""
    from p01.remote.storage import isAddress
    kind, colon, rest = word.partition(':')
    return bool(colon) \
        and (isAddress(word) or bool(re.fullmatch(r'[^\W\d][\w.]*', kind))
             and rest.partition('#')[0]
                            .replace('.', '').isidentifier())
