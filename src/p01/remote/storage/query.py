# SPDX-License-Identifier: ZPL-2.1
"""What follows the question mark of an address, in the words of zodburi.

connection_pool_size, connection_cache_size … and database_name are settings of ZODB.DB, for every
kind; a kind has options of its own besides, see KINDS. Whatever else stands there is refused: it
would else be part of a file's name, or be overlooked.
"""
from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from p01.remote.exceptions import AddressError

CONNECTIONPREFIX = 'connection_'
NUMBERS = ('pool_size', 'pool_timeout', 'cache_size', 'historical_pool_size',
           'historical_cache_size', 'historical_timeout')
SIZES = ('cache_size_bytes', 'historical_cache_size_bytes', 'large_record_size')
NAMEOPTION = 'database_name'
BYTEUNITS = {'': 1, 'kb': 1 << 10, 'mb': 1 << 20, 'gb': 1 << 30}
TRUE, FALSE = ('1', 'on', 'true', 't', 'yes'), ('0', 'off', 'false', 'f', 'no')


def split(query: str, text: str) -> dict[str, str]:
    """The options of a query. Raises AddressError for what is no NAME=VALUE."""
    try:
        return dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError:
        raise AddressError(f'{text} has a question mark, which no path can have, and no NAME=VALUE '
                           'follows it; write for example ?connection_pool_size=10.') from None


def settings(options: dict[str, str], text: str) -> dict[str, Any]:
    """Those of the options that are settings of ZODB.DB, which go from these. Raises AddressError
    for a value that is none."""
    found: dict[str, Any] = {}
    for option in [option for option in options if option == NAMEOPTION
                   or option.removeprefix(CONNECTIONPREFIX) in (*NUMBERS, *SIZES)]:
        if option == NAMEOPTION:
            found[option] = options.pop(option)
        elif option.startswith(CONNECTIONPREFIX):
            name = option.removeprefix(CONNECTIONPREFIX)
            found[name] = size(options.pop(option), option, text, units=name in SIZES)
    return found


def extract(rest: str, own: tuple[str, ...],
            text: str) -> tuple[str, dict[str, str], dict[str, Any]]:
    """A URI that others read without what is the kind's own or a setting of ZODB.DB; these options,
    and these settings. Raises AddressError."""
    before, sign, options = rest.partition('?')
    if not sign or not before.startswith('//'):
        return rest, {}, {}
    mine = {*own, NAMEOPTION, *(CONNECTIONPREFIX + name for name in (*NUMBERS, *SIZES))}
    parts = options.split('&')
    given = split('&'.join(part for part in parts if part.partition('=')[0] in mine), text)
    left = '&'.join(part for part in parts if part.partition('=')[0] not in mine)
    found = settings(given, text)
    return f'{before}?{left}' if left else before, given, found


def refuse(options: dict[str, str], known: tuple[str, ...], kind: str, text: str) -> None:
    """Raises AddressError for options that are not known, saying which are."""
    unknown = ', '.join(sorted(options.keys() - set(known)))
    if unknown:
        named = ', '.join((*known, 'connection_pool_size, connection_cache_size and the like'))
        more = '; zconfig: can express all that a storage has' if kind in ('file', 'zeo') else ''
        raise AddressError(f'{text} has options that {kind}: does not know ({unknown}); it knows '
                           f'{named}{more}.')


def size(value: str, option: str, text: str, units: bool = True) -> int:
    """A whole number, perhaps of KB, MB or GB. Raises AddressError."""
    found = re.fullmatch(r'(\d+)\s*([kmg]b)?', value.strip().lower())
    if found is None or found[2] and not units:
        example = '64MB' if units else '10'
        raise AddressError(f'{text} has {option}={value}, which is no whole number; write for '
                           f'example {option}={example}.')
    return int(found[1]) * BYTEUNITS[found[2] or '']


def flag(value: str, option: str, text: str) -> bool:
    """Yes or no. Raises AddressError."""
    if value.lower() not in TRUE + FALSE:
        raise AddressError(f'{text} has {option}={value}; write {option}=1 or {option}=0.')
    return value.lower() in TRUE
