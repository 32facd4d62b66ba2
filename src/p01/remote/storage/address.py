# SPDX-License-Identifier: ZPL-2.1
"""The grammar of addresses, KIND:REST, and the registry of kinds."""
from __future__ import annotations

import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

from p01.remote.exceptions import AddressError


@dataclass(frozen=True)
class Kind:
    """A row of the registry. The module is imported on first use, so that nobody pays for another's."""

    module: str             # has openDatabase(address, **settings)
    example: str
    onDisk: bool = False    # what follows the colon is a path
    described: bool = False     # it is the path of a description, perhaps with #NAME
    extra: str = ''         # the extra of our distribution that brings what the module imports


KINDS = {
    'sqlite': Kind('p01.remote.storage.sqlite', 'sqlite:./jobs', onDisk=True),
    'file': Kind('p01.remote.storage.file', 'file:./jobs.fs', onDisk=True),
    'memory': Kind('p01.remote.storage.memory', 'memory:'),
    'zeo': Kind('p01.remote.storage.zeo', 'zeo:localhost:8100', extra='zeo'),
    'postgresql': Kind('p01.remote.storage.postgresql', 'postgresql://localhost/jobs', extra='postgresql'),
    'zconfig': Kind('p01.remote.storage.zconfig', 'zconfig:./zodb.conf', described=True),
}
ALIASES = {'postgres': 'postgresql'}    # as in libpq


@dataclass(frozen=True)
class Address:
    """A parsed address. Its text is safe to print; rest may hold a password and is therefore not shown."""

    kind: str
    text: str
    rest: str = field(repr=False)
    path: Path | None = None    # absolute; None unless the kind lives on disk


def known() -> list[str]:
    """The kinds whose module is here."""
    return [name for name, row in KINDS.items() if find_spec(row.module) is not None]


def parse(address: str) -> Address:
    """The parts of an address. Raises AddressError when it names no known kind or has no usable path."""
    if not isinstance(address, str):
        raise AddressError(f'An address is a text like sqlite:./jobs or an open ZODB.DB, not {address!r}.')
    name, colon, rest = address.strip().partition(':')
    name, names = ALIASES.get(name.lower(), name.lower()), known()
    if not colon or name not in names:
        choice = ', '.join(f'{each}:' for each in names)
        raise AddressError(f'{hidden(address)!r} is of no kind known here; write one of {choice} and where '
                           f'it lives, for example {KINDS[names[0]].example}.')
    row = KINDS[name]
    if row.onDisk:
        return Address(name, address.strip(), rest, pathOf(rest, address, row.example))
    if row.described:
        path, sign, part = rest.partition('#')
        return Address(name, address.strip(), f'{pathOf(path, address, row.example)}{sign}{part}')
    return Address(name, hidden(address.strip()), rest)


def pathOf(rest: str, text: str, example: str) -> Path:
    """The absolute path in PATH, ~/PATH or ///ABSOLUTE/PATH. Nothing is decoded: a path is as it is typed."""
    if rest.startswith('//'):
        if not rest.startswith('///'):
            raise AddressError(f'{text!r} names a host where a path belongs; write for example {example}, '
                               f'or three slashes before an absolute path.')
        rest = '/' + rest.lstrip('/')
    if not rest or '\0' in rest:
        raise AddressError(f'{text!r} lacks a usable path; write for example {example}.')
    try:
        return Path(rest).expanduser().resolve()
    except (OSError, RuntimeError) as error:     # no such user; a ring of symbolic links
        raise AddressError(f'The path in {text!r} cannot be followed ({error}); write for example '
                           f'{example}.') from error


def hidden(text: str) -> str:
    """The text with *** in place of a password, in a URI and in the manner of libpq."""
    text = re.sub(r'(//[^/:@]*:).*@', r'\1***@', text)
    # without an @, what is no port may be a password
    text = re.sub(r'(//[^/:@\[]*:)(?!\*\*\*@|\d*(?:[/?,]|$))[^/?]*', r'\1***', text)
    return re.sub(r"([^\s&?=']+)(\s*=\s*)('(?:\\.|[^'\\])*'?|[^\s&]+)", _hidden, text)


def _hidden(found: re.Match[str]) -> str:
    # libpq decodes the names in a URI, too
    secret = 'password' in unquote(found[1]).lower()
    return f'{found[1]}{found[2]}***' if secret else found[0]
