# SPDX-License-Identifier: ZPL-2.1
"""The boundary of other people's code: whatever it raises becomes a value here, and never stops
anybody else.

Foreign is what an application brings: modules and what they do when they are imported, functions of
jobs, `prepare`, a schedule's `next`, subscribers, hooks, `__str__`, `__repr__`, and what pickles
call. An error that it raises may be of any class, `SystemExit` included, and the error's own text
is foreign code again.
"""
from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import NamedTuple, ParamSpec, TypeVar

TRACE = 8_000       # characters of a traceback that are kept: its end says most
REASON = 1_000      # characters of an error's text
VALUE = 200         # characters of a value in a sentence
LISTED = 5          # names that a sentence lists
SHORT = 60          # of one that is refused

STANDARD = os.path.dirname(os.__file__) + os.sep    # the library that comes with Python
HOUSE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
DEMO = HOUSE + 'demo' + os.sep

P = ParamSpec('P')
Result = TypeVar('Result')


class Raised(NamedTuple):
    """What foreign code raised instead of returning."""

    error: BaseException


class There(Exception):
    """What an error was raised from that comes of another process: the text of its traceback
    there."""


class Dying(BaseException):
    """The process dies here, as a test of an application has it, see trial: nothing that its worker
    would still do is done."""


def guarded(function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result | Raised:
    """What foreign code returns, or Raised with whatever it raises.

    Only Ctrl-C passes: a KeyboardInterrupt in the main thread, where alone it can come from the
    terminal; and Dying. Whoever is within a transaction looks whether the error is a
    TransientError, which wants the transaction repeated.
    """
    try:
        return function(*args, **kwargs)
    except BaseException as error:
        # SystemExit, CancelledError, GeneratorExit …: foreign code may raise any of them
        if interrupts(error):
            raise
        return Raised(error)


def interrupts(error: BaseException) -> bool:
    """Whether an error is somebody at the terminal who wants this process to end, or its death."""
    return isinstance(error, KeyboardInterrupt) \
        and threading.current_thread() is threading.main_thread() or isinstance(error, Dying)


def described(error: BaseException) -> str:
    """An error's text of at most REASON characters, whatever its class does."""
    text = guarded(plain, error, str)
    return '(its text cannot be shown)' if isinstance(text, Raised) else text[:REASON]


def reasonOf(error: BaseException) -> str:
    """An error's class and text in at most REASON characters, as it is kept and told."""
    text = described(error)
    return f'{nameOf(error)}: {text}'[:REASON] if text else nameOf(error)


def nameOf(value: object) -> str:
    """The name of a value's class, whatever its metaclass does."""
    return type.__dict__['__name__'].__get__(type(value))


def traced(error: BaseException, whole: bool = False) -> str:
    """The bounded text of a traceback: it shows errors that others caused, and lines of foreign
    sources. It begins where foreign code was called, in whatever process, unless the whole is asked
    for."""
    if isinstance(error.__cause__, There):
        return str(error.__cause__)
    begins = error.__traceback__ if whole else entered(error.__traceback__)
    lines = guarded(traceback.format_exception, type(error), error, begins, limit=-30)
    text = reasonOf(error) if isinstance(lines, Raised) else ''.join(lines)
    return text if len(text) <= TRACE else '…' + text[-TRACE:]


def entered(whole: TracebackType | None) -> TracebackType | None:
    """Where a traceback leaves our way to foreign code, for good or to come back; the whole where
    it does not."""
    begins = each = whole
    while each is not None:
        path = each.tb_frame.f_code.co_filename
        if path.startswith(HOUSE) and not path.startswith(DEMO):
            begins = each.tb_next
        elif not path.startswith(('<frozen', STANDARD)) or 'site-packages' in path:
            return begins
        each = each.tb_next
    return whole


def shown(value: object, limit: int = VALUE) -> str:
    """A value as a sentence or a list shows it, on one line of at most so many characters; never
    raises."""
    text = guarded(plain, value, repr)
    if isinstance(text, Raised):
        text = f'<{nameOf(value)} that cannot be shown: {nameOf(text.error)}>'
    text = ' '.join(text.split('\n')) if '\n' in text else text
    return text if len(text) <= limit else text[:limit - 1] + '…'


def short(value: object) -> str:
    """A value as an error shows it that refuses it."""
    return shown(value, SHORT)


def listed(texts: Iterable[str], separator: str = ', ') -> str:
    """The first texts of some, and how many more there are: there may be thousands, and a sentence
    is for people."""
    texts = list(texts)
    rest = f'{separator}and {len(texts) - LISTED:,} more' if len(texts) > LISTED else ''
    return separator.join(texts[:LISTED]) + rest


def plain(value: object, show: Callable[[object], str]) -> str:
    """The text that show makes of a value, as a str and of no subclass, whose methods would be
    foreign again."""
    return str.__str__(show(value))


def spend(error: BaseException) -> None:
    """Let go of what the code had that an error comes from: an error that is within reach of it
    would keep it until the collector comes, and it may be all memory."""
    left: list[BaseException | None] = [error]
    known: set[int] = set()
    while left:
        each = left.pop()
        if each is not None and id(each) not in known:
            known.add(id(each))
            BaseException.with_traceback(each, None)
            left += [each.__cause__, each.__context__]
            left += each.exceptions if isinstance(each, BaseExceptionGroup) else ()
