# SPDX-License-Identifier: ZPL-2.1
"""The laws of the house, proven from the sources. CONTRIBUTING.md has the reason for each."""
import ast
import os
import re
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

# From top to bottom: who stands higher may import what stands lower. '' is p01.remote itself; the
# longest prefix decides, and modules of one floor may import each other, though not in a circle.
FLOORS = [
    ['cli', 'demo', '__main__'],                    # faces
    ['web', 'mcp'],
    ['bulk'],
    ['wire'],
    ['exposition', 'telemetry'],
    ['trial'],
    # who looks at workers needs the engine
    ['views.overview', 'views.health', 'views.job', 'views.metrics', 'views.queues', 'views.waits',
     'views.workers', 'views.facts', 'views.glance', 'views.verdict', 'views.coming'],
    ['testing'],
    ['engine.supervisor', 'engine.process', 'engine.errand'],       # assembly
    [''],                                           # front
    ['front.named'],
    ['app'],
    ['front.schedules'],
    ['function'],
    ['handle'],
    ['front.home', 'front.hooks'],
    ['front.awaited'],
    ['front.block'],
    ['front.scope'],
    ['front.manager', 'front.opening', 'front'],
    ['processor'],                                  # doors
    ['worker'],
    ['engine'],
    ['scheduler', 'clock'],
    ['views'],
    ['verbs'],
    ['store'],
    ['job'],
    ['storage'],
    ['logs', 'events'],
    ['options'],
    ['front.registration', 'front.signatures'],
    ['ground.checks', 'ground.imports', 'ground.words', 'ground.amounts'],
    ['calendar'],
    ['instants'],
    ['interfaces', 'ground.fork'],
    ['ground.door', 'ground.upstream'],
    ['exceptions'],
    ['ground'],
]
FILE, FUNCTION = 300, 45    # lines
NEARLYALL = 22      # lines that 95 % of the functions have at most
VAGUE = {'util', 'utils', 'common', 'helper', 'helpers', 'base', 'misc', 'tools'}
# Names that others own, and that we must therefore define as they spell them.
OWNED = {
    # BTrees
    'max_leaf_size', 'max_internal_size',
    # transaction
    'tpc_begin', 'tpc_vote', 'tpc_finish', 'tpc_abort',
    # pickle, click
    'persistent_id', 'persistent_load', 'reducer_override', 'list_commands', 'get_command',
    'parse_args', 'resolve_command', 'format_commands',
    # ZODB
    'new_instance', 'poll_invalidations', 'new_oid', 'tpc_transaction', 'record_iternext',
    # pytest
    'pytest_addoption', 'pytest_configure',
    # ZEO
    'notify_disconnected',
    # werkzeug
    'to_python', 'part_isolating',
}
PACKAGE = 'p01.remote'
ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / 'src' / 'p01' / 'remote'

# What is anybody's, and may be Any: what users give and have stored, whatever a text of theirs
# means, and what ZODB, transaction, Zope and libpq hand us or want of us. What is ours has a type;
# whoever stands above is a Protocol, in a module of SEAMS.
FREE = {
    'value', 'input', 'output', 'kept', 'given', 'what', 'data', 'default', 'settings', 'options',
    'unknown', 'args', 'kwargs',
    'function', 'job', 'here', 'mapping', 'obj', 'instance', 'subscriber', 'remoteProcessor',
    'which', 'test', 'parents',
    'done', 'total', 'text', 'state', 'pid', 'stream', 'own', 'frame', 'module', 'request', '_',
    'manager', 'current', 'transaction', 'txn', 'prevTxn', 'storage', 'other', 'wrapper', 'blob',
    'oids', 'position', 'factory',
    'raw', 'ask', 'result', 'values', 'steps', 'guard', 'view', 'before', 'principal',
}
FREERESULTS = {
    '__call__', '__getattr__', '__getstate__', '__reduce__', '__get__', '__new__', 'persistent_id',
    'persistent_load', '__enter__', '__aenter__',
    # what an application has in its context, and what its jobs return
    'capture', 'enter', 'performed', 'awaited',
    # as others want them
    'reducer_override', 'invoke', 'tpc_finish', 'tpc_transaction', 'openCommittedBlobFile',
    'input', 'value', 'of', 'container', 'parsed', 'loaded', 'found', 'job', 'root', 'processor',
    'getJobResult', 'picture',
    'prepare', 'prepared', 'perform', 'call', 'within', '_within', 'pack', 'packOutput', 'unpack',
    '_copied', '_loaded',
    'optional', 'siteOf', 'lenient', 'rawOf', 'gone', 'classOf', 'traverse', 'parentOf', 'step',
    'locate', 'follow', 'do',
    'begun', 'get', 'meet', 'load', 'part', '_made', '_storage', 'guarding', 'connected', 'objects',
    'begin', 'ask', 'finish', 'one', 'plainOf',
}
FOREIGN = {'storage.insides', 'ground.upstream'}       # where the insides of others are named
SEAMS = {'interfaces', 'job', 'engine.seams', 'engine.attempt', 'front.schedules', 'store.writers',
         'storage.signals', 'engine.surroundings'}
# Who only knows data begins and ends no transactions, does not wait, and has no threads.
QUIET = ('store', 'verbs', 'views')
# reserves ids in a transaction of its own: in the application's, all who enqueue would meet
TRANSACTS = {'verbs.reserving'}

Tree = dict[str, ast.Module]        # module names below p01.remote; '' is its __init__
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def sources() -> Tree:
    return {moduleName(path): ast.parse(path.read_text(), str(path))
            for path in sorted(SOURCE.rglob('*.py'))}


def moduleName(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


# -- who imports whom

def imports(tree: Tree) -> Iterator[tuple[str, str]]:
    """Pairs of our modules, importing and imported: wherever it stands, and by import_module as
    well."""
    for module, body in tree.items():
        for node in ast.walk(body):
            for name in imported(node):
                if name == PACKAGE or name.startswith(PACKAGE + '.'):
                    target = name[len(PACKAGE) + 1:]
                    while target not in tree and target:    # a name within a module
                        target = target.rpartition('.')[0]
                    if target != module:
                        yield module, target


def imported(node: ast.AST) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [each.name for each in names]
        case ast.ImportFrom(module=str(module), level=0, names=names):
            return [f'{module}.{each.name}' for each in names]
        case ast.Call(func=ast.Name(id='import_module' | '__import__')
                      | ast.Attribute(attr='import_module'),
                      args=[ast.Constant(value=str(name)), *_]):
            return [name]
    return []


def floorOf(module: str) -> int | None:
    while True:
        for number, names in enumerate(FLOORS):
            if module in names:
                return number
        if '.' not in module:
            return None
        module = module.rpartition('.')[0]


def upward(tree: Tree) -> Iterator[str]:
    for module in tree:
        if floorOf(module) is None:
            yield f'{module} stands on no floor'
        if any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree[module])):
            yield f'{module} imports relatively; write {PACKAGE}, which shows the floor'
    for module, target in imports(tree):
        above, below = floorOf(module), floorOf(target)
        if above is not None and below is not None and below < above:
            yield f'{module or PACKAGE} imports {target or PACKAGE}, which stands above it'


def circles(tree: Tree) -> Iterator[str]:
    edges: dict[str, set[str]] = {}
    for module, target in imports(tree):
        edges.setdefault(module, set()).add(target)
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> Iterator[str]:
        if module in path:
            yield ' > '.join([*path[path.index(module):], module])
        elif module not in done:
            for target in sorted(edges.get(module, ())):
                yield from walk(target, [*path, module])
            done.add(module)
    for module in sorted(edges):
        yield from walk(module, [])


# -- sizes

def long(tree: Tree) -> Iterator[str]:
    for module, body in tree.items():
        length = max((getattr(node, 'end_lineno', 0) for node in ast.walk(body)), default=0)
        if length > FILE:
            yield f'{module} has {length} lines'
        for node in ast.walk(body):
            if isinstance(node, FUNCTIONS):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > FUNCTION:
                    yield f'{module}:{node.lineno} {node.name} has {length} lines'


# -- names

def mixedCase(name: str, inFunction: bool = True) -> bool:
    if re.fullmatch(r'__\w+__|_*[A-Z][A-Z0-9_]*|_+', name):     # theirs; a constant; nothing
        return True
    bare = re.sub(r'^_[pv]_', '', name).lstrip('_')
    return '_' not in bare and bool(bare) \
        and (not inFunction or not bare[0].isupper() or bare.isupper())


def defined(node: ast.AST) -> list[str]:
    """The names of ours that a node brings up."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return [name]
        case ast.arg(arg=name):
            return [name]
        case ast.Name(id=name, ctx=ast.Store()):
            return [name]
        case ast.Attribute(value=ast.Name(id='self' | 'cls'), attr=name, ctx=ast.Store()):
            return [name]
        case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)) | ast.MatchAs(
            name=str(name)):
            return [name]
    return []


def misnamed(tree: Tree) -> Iterator[str]:
    for module, body in tree.items():
        for node in ast.walk(body):
            for name in defined(node):
                begins = isinstance(node, (*FUNCTIONS, ast.arg))    # a variable may hold a class
                if not mixedCase(name, begins) and name not in OWNED:
                    yield f'{module}:{getattr(node, "lineno", 0)} {name} is not mixedCase'
            if isinstance(node, ast.ClassDef) \
                    and not re.fullmatch(r'_*[A-Z][A-Za-z0-9]*', node.name):
                yield f'{module}:{node.lineno} class {node.name} is not in CapWords'


def vague(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        for part in filter(None, name.split('.')):
            if part in VAGUE or not re.fullmatch(r'[a-z][a-z0-9]*|__main__', part):
                yield f'{name}: {part} is no noun that says what is in it'


# -- one verb for each edge

def statusWriters(tree: Tree) -> Iterator[str]:
    for module, body in tree.items():
        if module == 'store' or module.startswith('store.'):
            continue
        for node in ast.walk(body):
            match node:
                case ast.Attribute(attr='status', ctx=ast.Store() | ast.Del()):
                    yield f'{module}:{node.lineno} assigns status'
                case ast.Call(func=ast.Name(id='setattr') | ast.Attribute(attr='__setattr__'),
                              args=[_, ast.Constant(value='status'), _]):
                    yield f'{module}:{node.lineno} assigns status'


# -- what is private to other libraries stays in one place

INSIDES = 'storage.insides'
# underscored, and promised all the same: by named tuples, os, sys, and persistent
PROMISED = re.compile(
    r'__\w+__|_[pv]_\w+|_(asdict|replace|fields|field_defaults|make|exit|getframe|current_frames)')
BYHAND = {'_p_oid', '_p_jar', '_p_serial'}      # which only an object's connection should set


def private(tree: Tree) -> Iterator[str]:
    """Names that other libraries keep for themselves, outside of storage.insides: there they are
    explained, looked at when it is imported, and have canaries."""
    known, ours = theirs(tree), owned(tree)
    for module, body in tree.items():
        if module == INSIDES:
            continue
        for node in ast.walk(body):
            where = f'{module}:{getattr(node, "lineno", 0)}'
            match node:
                case ast.Attribute(attr='__class__', ctx=ast.Store()):
                    yield f'{where} changes the class of an object'
                case ast.Attribute(attr=name, ctx=ast.Store()) if name in BYHAND:
                    yield f'{where} sets {name}'
                case ast.Attribute(attr=name) if isPrivate(name) and (name in known
                                                                      or name not in ours):
                    yield f'{where} has {name}, which is private to another library'
                case ast.Constant(value=str(name)) if name in known:
                    yield f'{where} has {name!r}, which is private to another library'
                case ast.Import() | ast.ImportFrom():
                    for name in imported(node):
                        if not name.startswith(PACKAGE + '.') \
                                and any(map(isPrivate, name.split('.'))):
                            yield f'{where} imports {name}, which is private to another library'


def isPrivate(name: str) -> bool:
    """Whether a name is one that others should not use."""
    return name.startswith('_') and not PROMISED.fullmatch(name)


def theirs(tree: Tree) -> set[str]:
    """The private names that storage.insides has: as attributes, as texts, and in its table."""
    found = set()
    for node in ast.walk(tree.get(INSIDES, ast.parse(''))):
        match node:
            case ast.Attribute(attr=name) | ast.Constant(value=str(name)) | ast.keyword(
                arg=str(name)):
                found |= {name} if isPrivate(name) else set()
    return found


def owned(tree: Tree) -> set[str]:
    """The names that our classes and functions define, for themselves or for their objects."""
    found = set()
    for module, body in tree.items():
        for node in ast.walk(body) if module != INSIDES else ():
            found |= set(defined(node)) | ({node.name} if isinstance(node, ast.ClassDef) else set())
            if isinstance(node, ast.Assign) \
                    and any(nameOf(each) == '__slots__' for each in node.targets):
                found |= {each.value for each in ast.walk(node.value)
                          if isinstance(each, ast.Constant)}
    return found


# -- types

def untyped(tree: Tree) -> Iterator[str]:
    """Parameters and results that are Any and might be ours: these have a type."""
    for module, body in tree.items():
        for node in ast.walk(body) if module not in FOREIGN else ():
            if isinstance(node, FUNCTIONS):
                several = filter(None, (node.args.vararg, node.args.kwarg))
                for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs,
                            *several):
                    if isAny(arg.annotation) and arg.arg not in FREE:
                        yield f'{module}:{node.lineno} {node.name} takes {arg.arg} as Any'
                if isAny(node.returns) and node.name not in FREERESULTS:
                    yield f'{module}:{node.lineno} {node.name} returns Any'


def isAny(node: ast.AST | None) -> bool:
    match node:
        case ast.Name(id='Any') | ast.Attribute(attr='Any') | ast.Constant(value='Any'):
            return True
        case ast.BinOp(left=left, right=right):
            return isAny(left) or isAny(right)
        case ast.Subscript(value=ast.Name(id='Optional'), slice=inner):
            return isAny(inner)
    return False


def astray(tree: Tree) -> Iterator[str]:
    """Protocols, by which those below call those above, where nobody looks for them."""
    for module, body in tree.items():
        for node in ast.walk(body) if module not in SEAMS else ():
            if isinstance(node, ast.ClassDef) \
                    and any(nameOf(base) == 'Protocol' for base in node.bases):
                yield f'{module}:{node.lineno} Protocol {node.name} stands in no module of SEAMS'


# -- constants

def ambiguous(tree: Tree) -> Iterator[str]:
    """Names of constants that mean one thing here and another there."""
    found: dict[str, dict[str, str]] = {}       # name → module → value
    for module, body in tree.items():
        for node in body.body:
            for name, value in assigned(node):
                if re.fullmatch(r'[A-Z][A-Z0-9]*', name):
                    found.setdefault(name, {})[module] = ast.unparse(value)
    for name, values in sorted(found.items()):
        if len(set(values.values())) > 1:
            yield f'{name} is {len(values)} things, in {", ".join(values)}; say what each is'


def assigned(node: ast.stmt) -> list[tuple[str, ast.expr]]:
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value) | \
                ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            return [(name, value)]
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
            return [(each.id, value) for each, value in zip(names, values, strict=False)
                    if isinstance(each, ast.Name)]
    return []


# -- who ends transactions, waits, and has threads

def busy(tree: Tree) -> Iterator[str]:
    for module, body in tree.items():
        for node in ast.walk(body) if module.partition('.')[0] in QUIET else ():
            if any(name.partition('.')[0] in ('threading', 'concurrent', 'asyncio', 'subprocess')
                   for name in imported(node)):
                yield f'{module}:{node.lineno} has threads or processes'
            name = nameOf(node.func) if isinstance(node, ast.Call) else ''
            if name in ('commit', 'sleep') or name == 'transact' and module not in TRANSACTS:
                yield f'{module}:{node.lineno} calls {name}, which is for engine and storage'


# -- words

def undocumented(tree: Tree) -> Iterator[str]:
    classes = {node.name: node for body in tree.values() for node in ast.walk(body)
               if isinstance(node, ast.ClassDef)}
    for module, body in tree.items():
        if not ast.get_docstring(body):
            yield f'{module or PACKAGE} has no docstring'
        for owner in (body, *(node for node in body.body if isinstance(node, ast.ClassDef))):
            for node in owner.body:
                if (isinstance(node, (ast.ClassDef, *FUNCTIONS)) and not node.name.startswith('_')
                        and not getattr(owner, 'name', '').startswith('_') and not isSetter(node)
                        and not documented(node.name, node, owner, classes)):
                    yield f'{module}:{node.lineno} {node.name} has no docstring'


def isSetter(node: ast.AST) -> bool:
    """The setter or deleter of a property, which has its words at the getter; an overload
    likewise."""
    return any(isinstance(each, ast.Attribute) and each.attr in ('setter', 'deleter')
               or isinstance(each, ast.Name) and each.id == 'overload'
               for each in node.decorator_list)


def documented(name: str, node: ast.AST | None, owner: ast.AST,
               classes: dict[str, ast.ClassDef]) -> bool:
    """Here, or at the same name in a class of ours above, or in an interface that one of them
    implements."""
    if node is not None and ast.get_docstring(node):
        return True
    if not isinstance(owner, ast.ClassDef):
        return False
    above = [nameOf(base) for base in owner.bases]
    for each in owner.decorator_list:
        if isinstance(each, ast.Call) and nameOf(each.func) == 'implementer':
            above += [nameOf(argument) for argument in each.args]
    for parent in (classes[each] for each in above if each in classes and each != owner.name):
        same = [each for each in parent.body if getattr(each, 'name', '') == name]
        if documented(name, same[0] if same else None, parent, classes):
            return True
    return False


def nameOf(node: ast.AST) -> str:
    return getattr(node, 'attr', '') or getattr(node, 'id', '')


def unlicensed(texts: dict[str, str]) -> Iterator[str]:
    for name, text in texts.items():
        lines = [line for line in text.splitlines()[:2] if not line.startswith('#!')]
        if lines[:1] != ['# SPDX-License-Identifier: ' + 'ZPL-2.1']:
            yield f'{name} does not start with the SPDX line'


def unplaced(names: Iterable[str], text: str) -> Iterator[str]:
    """Modules that the table of rooms in docs/rooms.md does not name, but for faces; and names
    there that no module has."""
    house = text.partition('## The house')[2].partition('\n## ')[0]
    rooms = {each.rpartition('/')[2] for row in re.findall(r'^\|[^|]*\|([^|]*)\|', house, re.M)
             for each in re.findall(r'`([a-z_/]+)`', row)}
    told = rooms | set(re.findall(r'`([a-z_]+)`', house))
    known = {name.rpartition('.')[2] for name in names} - {''}
    faces = {name.rpartition('.')[2] for name in names if name.startswith(('cli.', 'demo.'))}
    packages = {name.rpartition('.')[0] for name in names}
    for name in sorted(known - told - faces - packages):
        yield f'{name} stands in no room of docs/rooms.md'
    for name in sorted(rooms - known - {''}):
        yield f'docs/rooms.md has a room {name}, which is no module'


def optional(texts: dict[str, str]) -> Iterator[tuple[str, ast.Call]]:
    """Where tests ask for libraries that may be missing."""
    for name, text in texts.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and nameOf(node.func) == 'importorskip':
                yield name, node


def unexplained(texts: dict[str, str]) -> Iterator[str]:
    """Tests that are skipped for want of a library without a word on what brings it."""
    for name, call in optional(texts):
        if not any(each.arg == 'reason' for each in call.keywords):
            yield f'{name} line {call.lineno}: importorskip needs a reason'


def missing(texts: dict[str, str]) -> Iterator[str]:
    """Libraries that tests ask for and that are not here."""
    # no deeper than a part of a namespace: what is above is imported by it
    for name in sorted({'.'.join(call.args[0].value.split('.')[:2]) for _, call in optional(texts)
                        if isinstance(call.args[0], ast.Constant)}):
        if not isHere(name):
            yield f'{name} is missing, and tests are skipped; pip install -e ".[test,docs]"'


def isHere(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


# -- the laws hold

CHECKS = [upward, circles, long, misnamed, statusWriters, untyped, astray, ambiguous, busy, private,
          undocumented]


@pytest.mark.parametrize('check', CHECKS, ids=lambda check: check.__name__)
def test_the_sources_keep_the_law(check):
    breaches = list(check(sources()))
    assert not breaches, '\n'.join(breaches)


def lengths(tree: Tree) -> list[int]:
    """How many lines each function has."""
    return sorted((node.end_lineno or 0) - node.lineno + 1 for body in tree.values()
                  for node in ast.walk(body) if isinstance(node, FUNCTIONS))


def test_functions_are_short():
    found = lengths(sources())
    assert found[len(found) * 95 // 100] <= NEARLYALL


def test_module_names_say_something():
    assert list(vague(sources())) == []


def test_every_module_has_its_room():
    assert list(unplaced(sources(), (ROOT / 'docs' / 'rooms.md').read_text())) == []


def test_the_namespace_is_shared():
    assert not (ROOT / 'src' / 'p01' / '__init__.py').exists()
    assert (SOURCE / 'py.typed').exists()


def test_every_file_names_its_licence():
    texts = {str(path.relative_to(ROOT)): path.read_text()
             for part in ('src', 'tests', 'bench', 'docs', 'examples')
             for path in (ROOT / part).rglob('*.py')}
    assert list(unlicensed(texts)) == []


def ours() -> dict[str, str]:
    return {str(path.relative_to(ROOT)): path.read_text()
            for path in (ROOT / 'tests').rglob('*.py')}


def test_each_test_that_may_be_skipped_for_want_of_a_library_says_what_brings_it():
    assert list(unexplained(ours())) == []


@pytest.mark.skipif(os.environ.get('CI', '').lower() != 'true', reason='only where CI=true')
def test_no_test_is_skipped_for_want_of_a_library():
    assert list(missing(ours())) == []


# -- and each check can fail

BAD = [
    (upward, {'store': 'from p01.remote import app', 'app': ''}),
    (upward, {'store.verbs': 'def f():\n    import p01.remote.engine.loop', 'engine.loop': ''}),
    (upward, {'job': 'if TYPE_CHECKING:\n    from p01.remote.processor import X', 'processor': ''}),
    (upward, {'engine.loop': 'from p01.remote.engine import supervisor', 'engine.supervisor': ''}),
    (upward, {'job': 'importlib.import_module("p01.remote.worker")', 'worker': ''}),
    (upward, {'store': 'from p01.remote import App', '': 'App = 1'}),
    (upward, {'store.verbs': 'from . import keys'}),
    (upward, {'nowhere': ''}),
    (circles, {'store.a': 'from p01.remote.store import b', 'store.b': 'import p01.remote.store.c',
               'store.c': 'def f(): from p01.remote.store.a import x'}),
    (long, {'job': 'x = 1\n' * (FILE + 1)}),
    (long, {'job': 'def f():\n' + '    x = 1\n' * FUNCTION}),
    *[(misnamed, {'job': text}) for text in (
        'def take_it(): pass', 'class A:\n    def take_it(self): pass',
        'def f(the_job): pass', 'def f(*, a_b): pass',
        'def f():\n    the_job = 1', 'for the_job in x: pass', '[1 for the_job in x]',
        'self.the_job = 1',
        'with x as the_file: pass', 'import a as b_c', 'try: pass\nexcept A as an_error: pass',
        'self._v_the_job = 1',
        'def Take(): pass', 'def f(Job): pass', 'type_ = 1', 'class my_class: pass',
        'class take: pass')],
    *[(statusWriters, {'engine.runner': text}) for text in (
        'job.status = 1', 'job.status += 1', 'a, job.status = 1, 2', 'job.status: str = 1',
        'del job.status',
        'setattr(job, "status", 1)', 'object.__setattr__(job, "status", 1)')],
    *[(private, {INSIDES: 'x._txn\nold = "_sm"\nof(Connection, _modified=None)', 'job': text})
      for text in (
        'manager._txn', 'self._txn', 'self.a[1]()._txn', 'def _txn(): pass\nmanager._txn',
        'getattr(manager, "_txn")',
        'jar._modified.append(1)', 'vars(site)["_sm"]', 'jar._unheard', 'self._unheard',
        'x._p_jar._unheard',
        'from ZODB import _timestamp', 'from ZODB._compat import loads',
        'import transaction._manager',
        'x.__class__ = A', 'obj._p_oid = 1', 'obj._p_jar = None', 'obj._p_serial = z64')],
    *[(untyped, {'engine.runner': text}) for text in (
        'def f(processor: Any): pass', 'def f(self, loop: Any | None = None): pass',
        'def f(*, store: typing.Any): pass',
        'class A:\n    async def f(self, seat: "Any"): pass',
        'def f(value: Any, task: Optional[Any]): pass',
        'def f(*loops: Any): pass', 'def store() -> Any: pass')],
    (ambiguous, {'engine.batch': 'SEVERAL = 1', 'engine.sizes': 'OTHER, SEVERAL = 1, 2'}),
    (ambiguous, {'store': 'SEVERAL: int = 1', 'verbs': "SEVERAL = 'x'"}),
    (astray, {'verbs.claims': 'class Loop(Protocol):\n    def stop(self) -> None: ...'}),
    (astray, {'engine.heartbeat': 'class Loop(Beating, typing.Protocol): pass'}),
    *[(busy, {module: text}) for module in ('store.slips', 'verbs.claims', 'views') for text in (
        'transaction.commit()', 'def f():\n    manager.commit()', 'time.sleep(1)', 'sleep(1)',
        'transact(db, work)',
        'import threading', 'from concurrent.futures import ThreadPoolExecutor')],
    (busy, {'verbs.reserving': 'time.sleep(1)'}),
    *[(undocumented, {'job': text}) for text in (
        'x = 1', '"""Doc."""\nclass A: pass', '"""Doc."""\ndef f(): pass',
        '"""Doc."""\nclass A:\n    """Doc."""\n    def f(self): pass',
        '"""Doc."""\n@implementer(IOther)\nclass A:\n    """Doc."""\n    def f(self): pass')],
]
GOOD = [
    (untyped, {'engine.runner': 'def f(value: Any, *args: Any, **kwargs: Any) -> list[Any]: pass',
               'storage.insides':
               'def f(jar: Any) -> Any: pass'}),
    (untyped, {'job': 'def f(processor: Processor, work: Callable[[Any], None]) -> Store: pass',
               'store': 'def unpack(kept: Any) -> Any: pass'}),
    (ambiguous, {'engine.batch': 'SEVERAL = 5.0', 'engine.sizes': 'SEVERAL = 5.0\nT = TypeVar("T")',
                 'store': 'def f(): SEVERAL = 1'}),
    (astray, {'engine.seams': 'class Loop(Protocol): pass',
              'engine.loop': 'class Loop(Base): pass'}),
    (busy, {'verbs.reserving': 'transact(db, work)',
            'engine.loop': 'import threading\nsession.commit()\nsleep(1)',
            'store.slips': 'class Rider:\n    def commit(self, transaction): jar.store(1)'}),
    (upward, {'app': 'from p01.remote import store\nfrom p01.remote.store.verbs import add',
              'store': '',
              'store.verbs': '', 'cli.dash': 'import p01.remote'}),
    (circles, {'store.a': 'from p01.remote.store import b', 'store.b': '',
               'store': 'from p01.remote.store import a'}),
    (long, {'job': 'def f():\n' + '    x = 1\n' * (FUNCTION - 1) + 'y = 1\n' * (FILE - FUNCTION)}),
    (misnamed, {'job': 'LIMIT_OF = _SOME_BITS = __all__ = 1\n'
                       'def takeIt(jobId, _=0, *, x1): self._v_theJob = other.a_b = 1\n'
                       'def persistent_id(): field(default_factory=list)\n'
                       'class A:\n    _p_changed = 1\nBase = A'}),
    (statusWriters, {'store.verbs': 'job.status = 1',
                     'app': 'class A:\n    status: str\nx = job.status == 1'}),
    (private, {INSIDES: 'manager._txn\nx.__class__ = A\nobj._p_oid = 1\nfrom ZODB._compat import '
                        'loads',
               'job': 'from p01.remote.demo._made import x\nobj._p_jar._p_oid\nobj._p_changed = '
                      'True\nobj._v_near = '
                      '1\nx._asdict()\nos._exit(1)\nsys._getframe()\nx.__class__.__name__\n"A _txn '
                      'in a sentence"\nclass A:\n    __slots__ = ("_kept",)\n    def _own(self): '
                      'self._own, self._kept, app._held = 1\nclass B:\n    def f(self): self._held '
                      '= 1\n'}),
    (undocumented, {
        'interfaces': '"""Doc."""\nclass IA(Interface):\n    """Doc."""\n    def f():\n        '
                      '"""Doc."""\nclass IB(IA):\n    """Doc."""',
        'job': '"""Doc."""\n@implementer(interfaces.IB)\nclass A:\n    """Doc."""\n    def '
               'f(self): pass\n    def _g(self): pass\nclass B(A):\n    """Doc."""\n    def '
               'f(self): pass'}),
]


def parsed(texts: dict[str, str]) -> Tree:
    return {name: ast.parse(text) for name, text in texts.items()}


@pytest.mark.parametrize('check, texts', BAD)
def test_a_breach_is_seen(check, texts):
    assert list(check(parsed(texts)))


def test_every_check_has_been_seen_to_fail():
    assert {check for check, _ in BAD} == set(CHECKS) == {check for check, _ in GOOD}


@pytest.mark.parametrize('check, texts', GOOD)
def test_what_is_right_passes(check, texts):
    assert list(check(parsed(texts))) == []


def test_breaches_of_names_and_licences_are_seen():
    assert all(list(vague([name]))
               for name in ('util', 'store.helpers', 'jobStore', 'job_store', '_queue'))
    assert list(vague(['', 'store.verbs', 'cli.__main__'])) == []
    line = '# SPDX-License-Identifier: ' + 'ZPL-2.1'
    texts = {'a': '', 'b': '"""Doc."""\n' + line, 'c': line, 'd': '#!/usr/bin/env python3\n' + line}
    assert [found.split()[0] for found in unlicensed(texts)] == ['a', 'b']
    house = ('## The house\n| floor | room | what |\n|---|---|---|\n| faces | `cli/` | |\n| | '
             '`engine/loop` | its `post` |\n## ')
    names = ['', 'cli', 'cli.dash', 'engine', 'engine.loop', 'engine.post']
    assert list(unplaced(names, house)) == []
    assert [found.split()[0]
            for found in unplaced([*names, 'engine.heartbeat', 'app'],
                                  house)] == ['app', 'heartbeat']
    assert [found.split()[4] for found in unplaced([*names[:4], 'engine.post'], house)] == ['loop,']


def test_breaches_of_what_may_be_skipped_are_seen():
    texts = {'a': 'importorskip("nowhere.at")', 'b': 'pytest.importorskip("ast", reason="x")',
             'c': 'pytest.importorskip(name)'}
    assert [found.split()[0] for found in unexplained(texts)] == ['a', 'c']
    assert [found.split()[0] for found in missing(texts)] == ['nowhere.at']
    assert [found.split()[0] for found in missing({'a': 'importorskip("zope.nowhere.at")'})] \
        == ['zope.nowhere']
