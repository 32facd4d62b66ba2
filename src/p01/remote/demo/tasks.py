# SPDX-License-Identifier: ZPL-2.1
"""The application of `p01-remote demo`: an index of source files, filled by one job for each file.

An entry is made together with its job, in one transaction, and the job then writes to its own entry
alone; so jobs never meet, however many workers there are.
"""
from __future__ import annotations

import ast
import gc
import hashlib
import os
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from persistent import Persistent

from p01.remote.engine.context import current
from p01.remote.ground.door import Closed

INDEX, FOLDER = 'index', 'folder'       # keys in the root of the database
PYTHON = ('.py', '.pyi')
SOURCESUFFIXES = frozenset((*PYTHON, '.c', '.cc', '.cpp', '.cs', '.css', '.go', '.h', '.hpp',
                            '.html',
                     '.java', '.js', '.jsx', '.kt',
                     '.lua', '.php', '.pl', '.rb', '.rs', '.scala', '.sh', '.sql', '.swift', '.ts',
                     '.tsx', '.zcml'))
SKIPPED = {'site-packages', 'dist-packages', '__pycache__', 'node_modules'}
# the fields of statements that hold further statements; expressions hold neither functions nor
# imports
BLOCKS = ('body', 'orelse', 'finalbody', 'handlers', 'cases')
EXAMINED = 4       # of an examination: read, count, parse, walk


class Facts(NamedTuple):
    """What is found in a file."""

    sha256: str
    lines: int
    words: int
    functions: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    # whether it is Python that parses; else there are no functions and imports
    parsed: bool = False


class Entry(Closed, Persistent):
    """A file in the index."""

    facts: Facts | None = None
    applied = 0                     # how often a job wrote its facts here; once is right


def analyse(path: str) -> int:
    """The job: examine a file and write the facts into its entry; returns the lines."""
    root = current.root

    def told(step: int) -> None:
        current.progress(step, EXAMINED, path)

    facts = examine(os.path.join(root[FOLDER], path), told)
    entry = root[INDEX][path]
    entry.facts = facts
    entry.applied += 1
    return facts.lines


def examine(path: str, told: Callable[[int], object] = lambda step: None) -> Facts:
    """The facts of a file; told hears which step of it begins. Raises OSError when it cannot be
    read."""
    told(0)
    with open(path, 'rb') as file:
        data = file.read()
    told(1)
    sha256 = hashlib.sha256(data).hexdigest()
    lines = data.count(b'\n') + (not data.endswith(b'\n') and bool(data))
    words = len(data.split())
    if path.endswith(PYTHON):
        told(2)
        try:
            with warnings.catch_warnings(), collectorOff():
                warnings.simplefilter('ignore')     # about the file's own code
                tree = ast.parse(data)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            # it need not be good Python
            pass
        else:
            told(3)
            functions, imports = definitions(tree)
            return Facts(sha256, lines, words, functions, imports, True)
    return Facts(sha256, lines, words)


@contextmanager
def collectorOff() -> Iterator[None]:
    """No garbage collection: it would search the growing tree, which has no circles, again and
    again (40 % of the time)."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def definitions(tree: ast.Module) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of all functions, in their order, and of all imported modules, sorted."""
    functions: list[str] = []
    imports: set[str] = set()
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            functions.append(node.name)
        elif isinstance(node, ast.Import):
            imports.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imports.add('.' * node.level + (node.module or ''))
        for field in reversed(BLOCKS):
            waiting.extend(reversed(getattr(node, field, ())))
    return tuple(functions), tuple(sorted(imports))


def sources(folder: Path) -> tuple[list[str], int]:
    """The source files of a folder, sorted, relative to it; and how many files and folders cannot
    be read.

    Raises OSError when the folder itself cannot be read.
    """
    os.listdir(folder)
    unread: list[Any] = []
    found = []
    for place, folders, names in os.walk(folder, onerror=unread.append):
        folders[:] = sorted(name for name in folders if name not in SKIPPED
                            and not name.startswith('.'))
        for name in sorted(names):
            if os.path.splitext(name)[1].lower() in SOURCESUFFIXES:
                path = os.path.join(place, name)
                if isReadable(path):
                    found.append(os.path.relpath(path, folder))
                else:
                    unread.append(path)
    return found, len(unread)


def isReadable(path: str) -> bool:
    """Whether this is an ordinary file that can be read; a pipe would let its reader wait for
    ever."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode) and os.access(path, os.R_OK)
    except OSError:
        return False


def batches(paths: list[str], size: int) -> Iterator[list[str]]:
    """The paths in lists of so many."""
    for at in range(0, len(paths), size):
        yield paths[at:at + size]
