# SPDX-License-Identifier: ZPL-2.1
"""What the jobs of the demo find in files, and which files they look at."""
import ast
import gc
import hashlib
import os

import pytest

from p01.remote.demo import tasks

SOURCE = '''\
import os, sys as system
from . import near
from ..far import away


class Shelf:
    def put(self, thing):
        def inner(): pass
        try:
            import json
        except ImportError:
            from xml import dom
        else:
            async def later(): pass
        match thing:
            case 1:
                def matched(): pass


if os:
    def found(): return lambda: 1
'''


def test_python_is_analysed(tmp_path):
    path = tmp_path / 'shelf.py'
    path.write_text(SOURCE)
    facts = tasks.examine(str(path))
    assert facts == tasks.Facts(hashlib.sha256(SOURCE.encode()).hexdigest(), 21,
                                len(SOURCE.split()),
                                ('put', 'inner', 'later', 'matched', 'found'),
                                ('.', '..far', 'json', 'os', 'sys', 'xml'), True)


def test_functions_and_imports_are_those_that_a_full_walk_finds():
    with open(ast.__file__) as file:
        tree = ast.parse(file.read())
    functions, imports = tasks.definitions(tree)
    nodes = list(ast.walk(tree))
    assert sorted(functions) == sorted(node.name for node in nodes
                                       if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    assert set(imports) == ({alias.name for node in nodes if isinstance(node, ast.Import)
                             for alias in node.names}
                            | {node.module for node in nodes if isinstance(node, ast.ImportFrom)})


@pytest.mark.parametrize('name, data, lines, words', [
    ('broken.py', b'def (:\n', 1, 2), ('zero.py', b'x = "\0"', 1,
                                       3), ('code.py', b'# coding: nonsense\nx\n', 2, 4),
    ('deep.py', b'(' * 5000, 1, 1), ('latin.py', 'é = 1'.encode('latin-1'), 1,
                                     3), ('plain.c', b'int a;\nint b;', 2, 4),
    ('empty.c', b'', 0, 0)])
def test_what_does_not_parse_still_has_its_hash_and_size(tmp_path, name, data, lines, words):
    path = tmp_path / name
    path.write_bytes(data)
    assert tasks.examine(str(path)) == tasks.Facts(hashlib.sha256(data).hexdigest(), lines, words)
    assert gc.isenabled()


def test_sources_leaves_out_what_is_not_ours_or_cannot_be_read(tmp_path):
    for name in ('b.py', 'a/x.js', 'a/notes.txt', 'site-packages/y.py', '__pycache__/z.py',
                 '.git/hook.py', 'a/pipe'):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text('1')
    os.mkfifo(tmp_path / 'waits.py')
    os.symlink(tmp_path / 'nowhere', tmp_path / 'dangling.py')
    assert tasks.sources(tmp_path) == (['b.py', 'a/x.js'], 2)


def test_batches():
    assert list(tasks.batches(list('abcde'), 2)) == [['a', 'b'], ['c', 'd'], ['e']]
