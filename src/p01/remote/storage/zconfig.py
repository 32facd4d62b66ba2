# SPDX-License-Identifier: ZPL-2.1
"""zconfig:PATH or zconfig:PATH#NAME, a database that a file in ZConfig's manner describes.

Two kinds of files are understood: ZODB's own (docs: ZODB.config), with one or more <zodb NAME>
sections, and Zope's zope.conf (Zope 2 to 5, Plone), with <zodb_db NAME> sections. Everything else
in them is passed over, and Zope itself is not needed; %define, %include, %import and $(ENVIRONMENT)
work. The NAME is that of a section; without one it is main, or the first. All databases of the file
are opened and know of each other, so that references and mounts between them work; closing the one
closes all.
"""
from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import ZConfig
import ZODB
import ZODB.config
from zc.lockfile import LockError
from ZConfig.cfgparser import ZConfigParser
from ZConfig.loader import Resource
from ZODB.FileStorage.FileStorage import FileStorageFormatError

from p01.remote.exceptions import AddressError, DatabaseLocked, PackageMissing
from p01.remote.storage import opened
from p01.remote.storage.address import Address, hidden
from p01.remote.storage.file import old

MAINDATABASE = 'main'
SECTIONS = ('zodb', 'zodb_db')
# what ZODB.DB and the file call differently
RENAMED = {'xrefs': 'allow_implicit_cross_references'}
ZOPES = {'mount-point', 'connection-class', 'container-class'}      # of zodb_db, for Zope alone


class Section:
    """A section as it is written; the file as a whole is one, too."""

    def __init__(self, word: str = '', name: str | None = None) -> None:
        self.word = word
        self.name = name or ''
        self.parts: list[Section | tuple[str, str]] = []

    def addValue(self, key: str, value: str, position: Any) -> None:
        """A line of it, with $… replaced."""
        self.parts.append((key, value))

    def lines(self) -> list[str]:
        """Its text, as a section of ZODB's own kind."""
        ours = self.word in SECTIONS
        word = SECTIONS[0] if ours else self.word
        found = [f'<{word} {self.name}>'.replace(' >', '>')]
        for part in self.parts:
            if isinstance(part, Section):
                found += part.lines()
            elif not ours or part[0].lower() not in ZOPES:
                found.append(f'{part[0]} {part[1].replace("$", "$$")}')
        return [*found, f'</{word}>']


class Reader:
    """What ZConfig's parser tells what it reads, whatever it is: with a schema, it would refuse
    what the schema lacks."""

    def __init__(self) -> None:
        self.imports: list[str] = []
        self.top = Section()

    def read(self, url: str, section: Section, defines: dict[str, str]) -> None:
        """Read a file into a section."""
        with urlopen(url) as stream:
            text = stream.read().decode()
        ZConfigParser(Resource(StringIO(text), url), self, defines).parse(section)

    def startSection(self, above: Section, word: str, name: str | None) -> Section:
        """A section begins."""
        return Section(word, name)

    def endSection(self, above: Section, word: str, name: str | None, section: Section) -> None:
        """A section ends."""
        above.parts.append(section)

    def importSchemaComponent(self, package: str) -> None:
        """%import; a package that is not here may belong to something that is passed over."""
        if package not in self.imports and _found(package):
            self.imports.append(package)

    def includeConfiguration(self, section: Section, url: str, defines: dict[str, str]) -> None:
        """%include."""
        self.read(url, section, defines)


def _found(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ImportError:
        return False


def openDatabase(address: Address, **settings: Any) -> ZODB.DB:
    """The database that a file describes. Settings win over those of the file. Raises AddressError
    or DatabaseLocked."""
    path, _, wanted = address.rest.partition('#')
    factories = _factories(Path(path), address.text)
    name = wanted.lower() or (MAINDATABASE if MAINDATABASE in factories else next(iter(factories)))
    if name not in factories:
        raise AddressError(f'{path} describes no database named {wanted!r}; name one of '
                           f'{", ".join(factories)} after the #.')
    databases: dict[str, ZODB.DB] = settings.pop('databases', None) or {}
    for option, value in settings.items():
        setattr(factories[name].config, RENAMED.get(option, option), value)
    found: dict[str, ZODB.DB] = {}
    try:
        for each, factory in factories.items():
            found[each] = _open(factory, each, path, databases)
            if opened.isFaulty(found[each]):
                raise AddressError(f'The database {each!r} of {path} is RelStorage on SQLite, '
                                   'which loses and mixes up commits; open its folder as '
                                   'sqlite:FOLDER.')
    except BaseException:
        _close(found)
        raise
    chosen = found[name]
    chosen.close = partial(_close, found)       # type: ignore[method-assign]
    return chosen


def _factories(path: Path, text: str) -> dict[str, Any]:
    """What opens the databases that a file describes, by their names."""
    reader = Reader()
    try:
        reader.read(path.as_uri(), reader.top, {})
    except (OSError, UnicodeError) as error:
        raise AddressError(f'{text} cannot be read ({getattr(error, "reason", error)}); name a '
                           'configuration file of ZODB or a zope.conf.') from error
    except ZConfig.ConfigurationError as error:
        raise AddressError(
            f'{text} cannot be understood ({_line(error)}); mend that line.') from error
    sections = [part for part in reader.top.parts if isinstance(part, Section)
                and part.word in SECTIONS]
    if not sections:
        raise AddressError(f'{text} has no <zodb> or <zodb_db> section; name a configuration file '
                           'of ZODB or a zope.conf.')
    lines = [f'%import {package}' for package in reader.imports]
    lines += [line for section in sections for line in section.lines()]
    try:
        config, _ = ZConfig.loadConfigFile(ZODB.config.getDbSchema(), StringIO('\n'.join(lines)))
    except ZConfig.ConfigurationError as error:     # its line numbers are those of our text
        raise AddressError(f'{text} is no configuration of a database ({_line(error.message)}); '
                           'mend the file, or install the package that brings what it '
                           'names.') from error
    names = [(factory.config.database_name or factory.name or '').lower()
             for factory in config.database]
    if len(set(names)) < len(names):
        raise AddressError(f'{text} describes several databases by the same name '
                           f'({", ".join(names)}); give each its own.')
    return dict(zip(names, config.database))


def _open(factory: Any, name: str, path: str, databases: dict[str, ZODB.DB]) -> ZODB.DB:
    """Open a database, among its siblings."""
    try:
        return factory.open(databases)
    except LockError as error:
        raise DatabaseLocked(f'The database {name!r} of {path} is open in another process, and a '
                             'FileStorage serves a single one; close it there, or serve it by '
                             'ZEO.') from error
    except FileStorageFormatError as error:
        why = old(Path(error.args[0])) or f'{error.args[0]} is not a FileStorage; mend its path.'
        raise AddressError(f'The database {name!r} of {path} cannot be opened: {why}') from error
    except ImportError as error:
        raise PackageMissing(f'The database {name!r} of {path} needs a package that is not '
                             f'installed ({error}); install it.') from error
    except Exception as error:      # storages raise what their libraries raise
        raise AddressError(f'The database {name!r} of {path} cannot be opened '
                           f'({type(error).__name__}: {_line(error)}); check its section, and that '
                           'its server runs.') from error


def _close(databases: Mapping[str, ZODB.DB]) -> None:
    for db in list(databases.values()):
        ZODB.DB.close(db)       # replaces db.close by nothing, which makes further closing harmless


def _line(error: BaseException | str) -> str:
    """The text of an error in one line, without a password."""
    return hidden(' '.join(str(error).split())).rstrip('.')
