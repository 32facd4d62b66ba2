# SPDX-License-Identifier: ZPL-2.1
"""Options at the door: what is no name, no number or no option is refused with a sentence, before
anything is done with it."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from p01.remote.exceptions import InputError, OptionError
from p01.remote.ground import habits
from p01.remote.ground.foreign import short

LOWEST, HIGHEST = -100, 100     # priorities; a higher one runs sooner
EXECUTORS = THREADS, PROCESSES, DASK = 'threads', 'processes', 'dask'
LENGTH = 100_000                # characters of a name or key; longer ones are data, not names


def nameOf(value: Any, what: str) -> str:
    """A text that names something: not empty, and UTF-8, since it becomes bytes in keys and logs;
    else InputError.

    Given back is a plain str, also of an Enum's member: others who read the database may not have
    the class.
    """
    # as a rule; the rest tells why not
    if type(value) is str and value.isascii() and 0 < len(value) <= LENGTH:
        return value
    if not isinstance(value, str) or not (value := str.__str__(value)):
        raise InputError(f'{what} must be a text that is not empty, not {short(value)}.')
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InputError(f'{what} is no text that UTF-8 can hold: {ascii(value)[:60]}; decode it '
                         'first.') from None
    if len(value) > LENGTH:
        raise InputError(f'{what} must be at most {LENGTH:,} characters long, not {len(value):,}.')
    return value


def wholeOf(value: Any, what: str, least: int, most: int | None = None) -> int:
    """A whole number within limits, as a plain int; else InputError. True is none."""
    if type(value) is int and value >= least and (most is None or value <= most):     # as a rule
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f'{what} must be a whole number, not {short(value)}.')
    value = int.__int__(value)
    if value < least or most is not None and value > most:
        bounds = f'{least} or more' if most is None else f'from {least} to {most:,}'
        raise InputError(f'{what} must be {bounds}, not {short(value)}.')
    return value


def priorityOf(value: Any) -> int:
    """A priority; else InputError."""
    return wholeOf(value, 'priority', LOWEST, HIGHEST)


def flagOf(value: Any, what: str) -> bool:
    """True or False; else InputError: a text such as 'no' would count as true."""
    if not isinstance(value, bool):
        raise InputError(f'{what} must be True or False, not {short(value)}.')
    return value


def oneOf(value: Any, names: Sequence[str], what: str) -> str:
    """One of these texts, in whatever case, '' among them for none; else InputError."""
    if not isinstance(value, str) or value.lower() not in names:
        raise InputError(f'{what} must be one of {", ".join(filter(None, names))}, not '
                         f'{short(value)}.')
    return value.lower()


def known(given: Iterable[str], options: Iterable[str], what: str, elsewhere: Iterable[str] = (),
          form: str = '') -> None:
    """Raises OptionError for a name that is none of the options, with the one that was probably
    meant; or with the form in which it is given elsewhere."""
    options, elsewhere = sorted(options), set(elsewhere)
    for name in sorted(set(given) - set(options)):
        near = nearest(name, options)
        hint = f'write {form.format(name)}.' if name in elsewhere \
            else habits.OPTIONWORDS[name] if form and name in habits.OPTIONWORDS \
            else f'did you mean {near}?' if near else f'it takes {", ".join(options)}.'
        raise OptionError(f'{what} has no option {short(name)[1:-1]}; {hint}')


def nearest(name: str, names: Iterable[str]) -> str:
    """The name that was probably meant, or whose last part behind a point was; '' when none is
    near."""
    whole = {each: each for each in names}
    last = {each.rpartition('.')[2]: each for each in reversed(list(whole))}
    return next((known[near] for known in (whole, last)
                 for near in get_close_matches(name, known, 1, 0.6)), '')
