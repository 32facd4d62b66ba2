# SPDX-License-Identifier: ZPL-2.1
"""The grammar of addresses, KIND:REST?OPTION=VALUE#PROCESSOR, and the registry of kinds.

The options are those of storage.query. The path of a processor, such as #/site/remote, says which
one of a database is meant. In postgresql: libpq reads all else that follows the question mark, and
the path begins with a slash.
"""
from __future__ import annotations

import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import unquote

from p01.remote.exceptions import AddressError
from p01.remote.ground import foreign
from p01.remote.storage import query


@dataclass(frozen=True)
class Kind:
    """A row of the registry. The module is imported on first use, so that nobody pays for
    another's."""

    module: str             # has openDatabase(address, **settings)
    example: str
    onDisk: bool = False    # what follows the colon is a path
    described: bool = False     # it is the path of a description, perhaps with #NAME
    extra: str = ''         # the extra of our distribution that brings what the module imports
    options: tuple[str, ...] = ()       # of its own, beside the settings of ZODB.DB
    foreign: bool = False       # it has options that others read as well


KINDS = {
    'sqlite': Kind('p01.remote.storage.sqlite', 'sqlite:./jobs', onDisk=True,
                   options=('data_dir',)),
    'file': Kind('p01.remote.storage.file', 'file:./jobs.fs', onDisk=True,
                 options=('blobstorage_dir', 'quota')),
    'memory': Kind('p01.remote.storage.memory', 'memory:', options=()),
    'zeo': Kind('p01.remote.storage.zeo', 'zeo:localhost:8100', extra='zeo',
                options=('storage', 'wait_timeout', 'wait', 'cache_size', 'client_label',
                         'blob_dir', 'shared_blob_dir',
                         'blob_cache_size', 'ssl', 'cert', 'key', 'hostname')),
    'postgresql': Kind('p01.remote.storage.postgresql', 'postgresql://localhost/jobs',
                       extra='postgresql',
                       options=('blobstorage_dir',), foreign=True),
    'zconfig': Kind('p01.remote.storage.zconfig', 'zconfig:./zodb.conf', described=True,
                    options=()),
}
ALIASES = {'postgres': 'postgresql'}    # as in libpq


@dataclass(frozen=True)
class Address:
    """A parsed address. Its text is safe to print; rest may hold a password and is therefore not
    shown."""

    kind: str
    text: str
    rest: str = field(repr=False)
    path: Path | None = None    # absolute; None unless the kind lives on disk
    processor: str = ''         # the path of a processor, names with slashes between
    options: dict[str, str] = field(default_factory=dict)       # of the kind
    settings: dict[str, Any] = field(default_factory=dict)      # of ZODB.DB


def known() -> list[str]:
    """The kinds whose module is here."""
    return [name for name, row in KINDS.items() if find_spec(row.module) is not None]


def isAddress(text: str) -> bool:
    """Whether a text begins with a kind that is here and a colon."""
    name, colon, _ = text.strip().partition(':')
    return bool(colon) and ALIASES.get(name.lower(), name.lower()) in known()


def meant(given: Any) -> str:
    """The address of a path that was given alone; '' for what looks like no path."""
    text = str(given) if isinstance(given, PurePath) else given
    if not isinstance(text, str) or ':' in text or not (
            '/' in text or given is not text or text.startswith('~')):
        return ''
    return f'{"file" if text.endswith(".fs") else "sqlite"}:{text}'


def parse(address: str) -> Address:
    """The parts of an address. Raises AddressError when it names no known kind or has no usable
    path."""
    if not isinstance(address, str):
        raise AddressError('An address is a text like sqlite:./jobs or an open ZODB.DB, not '
                           f'{foreign.shown(address, 60)}{_hint(address)}')
    name, colon, rest = address.strip().partition(':')
    name, names = ALIASES.get(name.lower(), name.lower()), known()
    if not colon or name not in names:
        choice = ', '.join(f'{each}:' for each in names)
        raise AddressError(f'{foreign.shown(hidden(address), 60)} is of no kind known here; write '
                           f'one of {choice} and where it lives, for example '
                           f'{KINDS[names[0]].example}{_hint(address)}')
    row, text = KINDS[name], hidden(address.strip())
    rest, part, processor = cut(rest, row)
    if row.foreign:                 # what is ours stands among what is not
        rest, given, settings = query.extract(rest, row.options, text)
        return Address(name, text, rest, None, processor, given, settings)
    rest, _, options = rest.partition('?')
    given = query.split(options, text)
    settings = query.settings(given, text)
    query.refuse(given, row.options, name, text)
    path = pathOf(given.pop('data_dir', rest), address, row.example) if row.onDisk else None
    if row.described:
        rest = f'{pathOf(rest, address, row.example)}{"#" if part else ""}{part}'
    if name == 'memory':
        rest = rest.strip('/')
        text = text if rest else 'memory:'
    if given and path is None:      # what tells two servers apart, and their storages
        rest += '?' + '&'.join(f'{option}={value}' for option, value in sorted(given.items()))
    return Address(name, text, rest, path, processor, given, settings)


def _hint(given: Any) -> str:
    form = meant(given)
    return f'; did you mean {form}?' if form else '.'


def cut(rest: str, row: Kind) -> tuple[str, str, str]:
    """What stands before the #, what names a part of a description, and the path of a processor."""
    if row.foreign:
        before, sign, processor = rest.rpartition('#/')
        return (before, '', processor.strip('/')) if sign else (rest, '', '')
    rest, _, processor = rest.partition('#')
    part = ''
    if row.described:               # FILE?OPTIONS#DATABASE/PATH
        part, _, processor = processor.partition('/')
    return rest, part, processor.strip('/')


def pathOf(rest: str, text: str, example: str) -> Path:
    """The absolute path in PATH, ~/PATH or ///ABSOLUTE/PATH, as it is typed: nothing is decoded."""
    if rest.startswith('//'):
        if not rest.startswith('///'):
            raise AddressError(f'{text!r} names a host where a path belongs; write for example '
                               f'{example}, or three slashes before an absolute path.')
        encoded = re.search('%[0-9a-fA-F]{2}', rest)
        if encoded is not None:     # zodburi takes it literally, what reads URIs else decodes it
            raise AddressError(f'{text!r} has {encoded[0]} in a URI, for {unquote(encoded[0])!r} '
                               'or for itself; write the path as it is, with one slash before it.')
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
