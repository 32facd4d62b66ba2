# SPDX-License-Identifier: ZPL-2.1
"""Who calls the API, and what he may: a token has a name and scopes."""
from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple, TypeAlias

from p01.remote.exceptions import InputError
from p01.remote.ground import checks
from p01.remote.ground.foreign import short
from p01.remote.web.access import READ, bearerOf, checkedToken, same

ENQUEUING, MANAGE = 'enqueue', 'manage'
SCOPES = {READ: 'See jobs, results, logs, queues, schedules and workers.',
          ENQUEUING: 'Enqueue jobs.',
          MANAGE: 'Cancel, retry, change, move and delete jobs; pause and resume queues and '
                  'schedules, run schedules; see what people did.'}


class Caller(NamedTuple):
    """Who has a token: a name, for the record of what he does, and what he may, some of
    'read', 'enqueue' and 'manage'; none has another one in it."""

    name: str
    scopes: Collection[str] = (READ,)


Tokens: TypeAlias = Mapping[str, Caller] | Callable[[str], Caller | None]


def checked(tokens: Tokens) -> Tokens:
    """Tokens that make sense. Raises InputError."""
    if callable(tokens):
        return tokens
    names = [caller.name for caller in tokens.values()]
    for token, caller in tokens.items():
        checks.nameOf(caller.name, "A caller's name")
        checkedToken(token, short(caller.name))
        if isinstance(caller.scopes, str) or not set(caller.scopes) <= set(SCOPES):
            raise InputError(f'The scopes of {short(caller.name)} must be a list of some of '
                             f'{", ".join(SCOPES)}, not {short(caller.scopes)}.')
        if names.count(caller.name) > 1:
            raise InputError(f'Two tokens are of {short(caller.name)}; give each a name of its '
                             'own.')
    return dict(tokens)


def callerOf(tokens: Tokens, header: str) -> Caller | None:
    """Who sends this Authorization header; None for nobody. All tokens are looked at, so that the
    time does not tell how much of one is right."""
    token = bearerOf(header)
    if not token:
        return None
    if callable(tokens):
        caller = tokens(token)
        # in a text another scope might be found as a part
        if caller is not None and isinstance(caller.scopes, str):
            raise TypeError(f'The scopes of {short(caller.name)} must be a list, not a text.')
        return caller
    found = [caller for known, caller in tokens.items() if same(token, known)]
    return found[0] if found else None
