# SPDX-License-Identifier: ZPL-2.1
"""Docstrings as Markdown for MyST: plain text is Markdown as it stands, but for a few signs."""
from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from types import FunctionType
from typing import Any

from p01.remote import events, exceptions, interfaces, options

PACKAGE = 'p01.remote'
KINDS = (property, classmethod, staticmethod, FunctionType)     # of members that are shown
MODULES = (events, exceptions, interfaces, options)
BARE = (exceptions, interfaces)         # their names are linked without the module's, too
PAGE = re.compile(r'\bdocs/(\w+)\.(?:rst|md)\b')
# in plain text: a name of the book, with its module or without; a name with underscores; signs of
# Markdown and HTML
WORD = re.compile(
    r'(?<![\w.`])(?:(?P<module>events|exceptions|options|interfaces)\.)?(?P<name>[A-Z]\w+)\b'
    r'|(?P<dunder>__\w+__)|(?P<sign>[<*])')


def text(found: Any) -> str:
    """The docstring of something, a method's as it is inherited, with links to what it names of
    the book."""
    told = inspect.getdoc(found) if isinstance(found, KINDS) else getattr(found, '__doc__', '')
    return linked(inspect.cleandoc(told or ''))


def linked(told: str) -> str:
    """Plain text as Markdown; names of the book and of pages become links. Code stays as it is."""
    lines = (line if line.startswith('    ') else ''.join(
        part if part.startswith('`') else WORD.sub(named, PAGE.sub(r'{doc}`/\1`', part))
        for part in re.split(r'(`+[^`]*`+)', line)) for line in told.split('\n'))
    return '\n'.join(lines)


def named(found: re.Match[str]) -> str:
    """A word of plain text as Markdown."""
    if found['dunder']:
        return f'`{found[0]}`'
    if found['sign']:
        return f'\\{found[0]}'
    whole = f'{PACKAGE}.{found["module"]}'
    for module in [each for each in MODULES if each.__name__ == whole] if found['module'] else BARE:
        if getattr(getattr(module, found['name'], None), '__module__', None) == module.__name__:
            return f'{{py:obj}}`~{module.__name__}.{found["name"]}`'
    return found[0]


def directive(kind: str, words: str, body: str) -> str:
    """A directive; its fence is longer than those within."""
    longest = max([2, *(len(each) for each in re.findall(r'^`{3,}', body, re.M))])
    fence = '`' * (longest + 1)
    return f'{fence}{{{kind}}} {words}\n{body}\n{fence}'


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table; '' without rows."""
    lines = ['| ' + ' | '.join(each.replace('|', '\\|') for each in row) + ' |' for row in rows]
    rule = '|---' * len(head) + '|'
    return '\n'.join(['| ' + ' | '.join(head) + ' |', rule, *lines]) if lines else ''


def joined(parts: Iterable[str]) -> str:
    """Blocks one below the other."""
    return '\n\n'.join(filter(None, parts))
