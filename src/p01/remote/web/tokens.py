# SPDX-License-Identifier: ZPL-2.1
"""Whom a file lets in by tokens: callers of the API, and who reads the metrics."""
from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from p01.remote.exceptions import InputError
from p01.remote.ground import checks
from p01.remote.ground.foreign import short
from p01.remote.web.access import checkedToken
from p01.remote.web.api.door import SCOPES, Caller, checked

METRICS = 'metrics'         # the scope of who may read the metrics
OFFILE, OFCALLER = ('jobs', 'callers'), ('token', 'env', 'scopes')


class Admitted(NamedTuple):
    """Callers of the API by their tokens, the names of the jobs that they may enqueue, and the
    tokens of those who may read the metrics."""

    callers: Mapping[str, Caller]
    jobs: Collection[str]
    scrapers: Collection[str]


def admittedBy(path: str) -> Admitted:
    """Whom a file of TOML lets in, see docs/api.md. Raises InputError, with nothing of a token."""
    try:
        found = tomllib.loads(Path(path).read_text('utf-8'))
    except OSError as error:
        raise InputError(f'{path} cannot be read ({error.strerror}).') from None
    except ValueError as error:     # of what is no TOML, or no UTF-8
        raise InputError(f'{path} is no TOML: {error}.') from None
    checks.known(found, OFFILE, path)
    jobs, tables = found.get('jobs', []), found.get('callers', {})
    if not isinstance(jobs, list) or not all(isinstance(name, str) for name in jobs):
        raise InputError(f'jobs in {path} must be a list of names, not {short(jobs)}.')
    if not isinstance(tables, dict):
        raise InputError(f'callers in {path} must be tables, as [callers.billing].')
    callers, scrapers = {}, []
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise InputError(f'{name} must be a table, as [callers.{name}].')
        checks.known(table, OFCALLER, f'[callers.{name}]')
        token, scopes = tokenOf(name, table), scopesOf(name, table)
        if token in callers or token in scrapers:
            raise InputError(f'The token of {short(name)} is another one\'s, too; give each its '
                             'own.')
        if METRICS in scopes:
            scrapers.append(token)
        if rest := [scope for scope in scopes if scope != METRICS]:
            callers[token] = Caller(name, rest)
    checked(callers)
    return Admitted(callers, jobs, scrapers)


def tokenOf(name: str, table: Mapping[str, Any]) -> str:
    """The token of a caller: as it stands there, or in a variable of the environment. Raises
    InputError."""
    if ('token' in table) == ('env' in table):
        raise InputError(f'[callers.{name}] takes one of token and env, the name of a variable of '
                         'the environment that has it.')
    if 'token' in table:
        return checkedToken(table['token'], short(name))
    variable = table['env']
    token = os.environ.get(variable) if isinstance(variable, str) else None
    if token is None:
        raise InputError(f'The environment has no {short(variable)}, which is to have the token '
                         f'of {short(name)}.')
    return checkedToken(token, short(name))


def scopesOf(name: str, table: Mapping[str, Any]) -> list[str]:
    """The scopes of a caller. Raises InputError."""
    scopes = table.get('scopes')
    known = (*SCOPES, METRICS)
    if not isinstance(scopes, list) or not scopes or not all(scope in known for scope in scopes):
        raise InputError(f'scopes of [callers.{name}] must be a list of some of '
                         f'{", ".join(known)}, not {short(scopes)}.')
    return scopes
