# SPDX-License-Identifier: ZPL-2.1
"""A library that is not what it was is told of by one sentence, when it is imported; so is a
version that was not tested."""
import importlib
import logging
import pkgutil
import re
import subprocess
import sys
import time
import tomllib
import types
from pathlib import Path

import pytest
import transaction
from ZODB.Connection import Connection

import p01.remote
from p01.remote import storage
from p01.remote.exceptions import LibraryChanged
from p01.remote.ground import upstream
from p01.remote.ground.upstream import Inside, Library, over
from p01.remote.storage import insides

ROOT = Path(__file__).parents[2]


class Parent(Connection):
    """As a library's."""

    def __init__(self, db):
        super().__init__(db)
        self._ours = db

    def method(self, one, two=None):
        return one


# -- insides and overridden methods

def test_what_is_there_passes():
    upstream.prove(insides.INSIDES)
    upstream.prove([Inside(Parent, '_ours', ''), Inside(Parent, '_storage', ''),
                    Inside(Parent, 'method', '', 3),
                    # whose arguments nobody can count
                    Inside(sys, 'path', ''), Inside(dict, 'get', '', 3)])


@pytest.mark.parametrize('inside', insides.INSIDES,
                         ids=lambda inside: f'{inside.owner.__name__}.{inside.name}')
def test_each_inside_is_missed(inside):
    """With a class in its place that has all but this one."""
    with pytest.raises(LibraryChanged) as caught:
        upstream.prove([inside._replace(name=inside.name + 'Gone')])
    words = str(caught.value)
    library = inside.owner.__module__.partition('.')[0]
    assert re.match(rf'{library} \d[\d.]* has no '
                    rf'{inside.owner.__module__}.{inside.owner.__name__}.', words)
    assert inside.lost in words \
        and f'pip install "{library}>={upstream.RANGES[library][0]},<' in words
    assert words.count('. ') == 0 and words.endswith('.')


def test_other_arguments_are_seen():
    upstream.prove([Inside(Parent, 'method', 'it fails', 3)])
    with pytest.raises(LibraryChanged, match=r'of 3 arguments, not 2.* it fails'):
        upstream.prove([Inside(Parent, 'method', 'it fails', 2)])


def test_a_method_that_overrides_nothing_is_refused():
    with pytest.raises(LibraryChanged,
                       match=r'has no .*Parent\.gone.*Child\.gone would never be called'):
        class Child(Parent):
            @over(Parent)
            def gone(self):
                pass

    with pytest.raises(LibraryChanged, match='of 3 arguments, not 2'):
        class Other(Parent):
            @over(Parent)
            def method(self, one):
                pass


def test_what_is_over_stays_as_it_is():
    def close(self, primary=True):
        pass

    assert over(Connection)(close) is close


def foreign(cls):
    """Whether a class is a library's, and not Python's own."""
    name = cls.__module__.partition('.')[0]
    return not cls.__module__.startswith('p01.remote') and name not in sys.stdlib_module_names


def everything():
    """All modules of the package."""
    names = [each.name for each in pkgutil.walk_packages(p01.remote.__path__, 'p01.remote.')]
    return [importlib.import_module(name) for name in names if not name.endswith('__main__')]


def overriding(modules):
    """Methods of our classes that stand in the place of a library's: module, and class.method."""
    classes = {cls for module in modules for cls in vars(module).values()
               if isinstance(cls, type) and cls.__module__ == module.__name__}
    for cls in classes:
        for name, value in vars(cls).items():
            if isinstance(value, types.FunctionType | property) \
                    and not re.fullmatch('__.*__', name) \
                    and any(name in vars(above) for above in cls.__mro__[1:] if foreign(above)):
                yield cls.__module__, f'{cls.__qualname__}.{name}'


def test_each_overridden_method_is_marked():
    found = set(overriding(everything()))
    assert ('p01.remote.storage.connection', 'Guarded.register') in found and len(found) > 20
    assert found <= upstream.overridden


def test_an_unmarked_one_is_seen():
    module = types.ModuleType('p01.remote.made')
    module.Child = type('Child', (Connection,), {'__module__': module.__name__,
                                                 'close': lambda self, primary=True: None})
    assert list(overriding([module])) == [(module.__name__, 'Child.close')]


def test_it_is_cheap():
    began = time.perf_counter()
    for _ in range(20):
        upstream.prove(insides.INSIDES)
    assert (time.perf_counter() - began) / 20 < 0.002


def test_a_process_says_it_in_one_sentence():
    """As a release that renames something would: nothing is opened."""
    code = ('import sys, ZODB.Connection as c\n'
            'init = c.Connection.__init__.__code__\n'
            'names = tuple("_changed" if name == "_modified" else name for name in init.co_names)\n'
            'c.Connection.__init__.__code__ = init.replace(co_names=names)\n'
            'from p01.remote.cli import main\n'
            'sys.exit(main(["status", "memory:"]))\n')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 2 and not done.stdout
    assert re.fullmatch(r'Error: ZODB \d\S* has no ZODB.Connection.Connection._modified, .*\n',
                        done.stderr), done.stderr


# -- versions

def test_the_ranges_are_those_of_the_package():
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    extras = project['optional-dependencies']
    wanted = {}
    for line in [*project['dependencies'], *extras['postgresql'], *extras['zeo'],
                 *extras['metrics']]:
        name, first, below = re.fullmatch(r'([\w.-]+)(?:\[\w+\])?>=([\d.]+),<([\d.]+)',
                                          line).groups()
        wanted[name] = (first, below)
    assert wanted == upstream.RANGES


def test_what_is_installed_was_tested():
    found = {each.name: each for each in upstream.libraries()}
    assert {'ZODB', 'transaction', 'persistent', 'BTrees', 'click'} <= set(found)
    assert upstream.untested(found.values()) == ''


@pytest.mark.parametrize('version, tested', [
    ('6.0', True), ('6.0.1', True), ('6', True), ('6.0.0',
                                                  True), ('6.4',
                                                          True), ('6.4.9', True), ('6.4.post1',
                                                                                   True),
    ('5.9', False), ('6.5', False), ('6.5a1', False), ('6.10',
                                                       False), ('7', False), ('unknown', False)])
def test_which_versions_count_as_tested(version, tested):
    library = Library('ZODB', version, '6.0', '6.5')
    assert library.tested is tested
    words = upstream.untested([library])
    assert (words == '') is tested
    if not tested:
        assert f'ZODB {version} (tested: 6.0 to below 6.5)' in words \
            and 'pip install "ZODB>=6.0,<6.5"' in words


def test_an_untested_version_is_told_of_once(monkeypatch, caplog):
    monkeypatch.setitem(upstream.RANGES, 'ZODB', ('1.0', '2'))
    monkeypatch.setattr(upstream, '_warned', [])
    for _ in range(2):
        storage.openDatabase('memory:').close()
    told = [record for record in caplog.records if record.name == 'p01.remote']
    assert [record.levelno for record in told] == [logging.WARNING]
    assert 'not tested with ZODB' in told[0].getMessage()


def test_nobody_knows_the_version_of_what_is_not_there():
    assert upstream.versionOf('no.such.library') == ''
    assert str(upstream.changed(transaction, 'is odd', 'all is lost')).startswith(
        f'transaction {upstream.versionOf("transaction")} is odd, and')
