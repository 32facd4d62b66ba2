# SPDX-License-Identifier: ZPL-2.1
"""The arguments of a call as a text that people edit: literals of Python, read and never run."""
from __future__ import annotations

import ast
import warnings
from collections.abc import Sequence
from typing import Any

from p01.remote.exceptions import InputError
from p01.remote.job import Arguments
from p01.remote.views.given import givenOf

EDITABLE = 20_000       # characters of such a text
WRITTENSO = "write them as in a call, such as 42, 'text', copies=[1, None]"


def textOf(kept: Any, names: Sequence[str]) -> tuple[str, str]:
    """What was kept of a function's input, as such a text, and ''; or '' and why there is none.
    names: those of its parameters, which say what is secret."""
    given = givenOf(kept, names)
    if given.note:
        return '', given.note
    if given.hidden:
        return '', 'a part of them is hidden'
    text = givenOf(kept, most=EDITABLE).call
    try:
        argumentsOf(text)
    except InputError:
        text = ''
    return (text, '') if text or not given.arguments \
        else ('', 'they are too long, or no literals of Python')


def argumentsOf(text: str) -> Arguments:
    """What a call of these arguments passes. Raises InputError."""
    if len(text) > EDITABLE:
        raise InputError(f'The arguments have more than {EDITABLE:,} characters; keep the data in '
                         'the database, and pass its id.')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            call = ast.parse(f'call({text}\n)', mode='eval').body
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
            raise ValueError(text)
        found = {nameOf(each): ast.literal_eval(each.value) for each in call.keywords}
        if len(found) < len(call.keywords):
            raise ValueError(text)
        return Arguments(tuple(map(ast.literal_eval, call.args)), found)
    # MemoryError and RecursionError tell of levels that nobody reads
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        raise InputError(f'The arguments cannot be read; {WRITTENSO}.') from None


def nameOf(given: ast.keyword) -> str:
    """The name of an argument. Raises ValueError for a dict of them."""
    if given.arg is None:
        raise ValueError('**')
    return given.arg
