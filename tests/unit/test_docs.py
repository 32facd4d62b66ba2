# SPDX-License-Identifier: ZPL-2.1
"""The pages: links hold, commands and code are what there is, the reference has all of the book."""
import ast
import inspect
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from docs import book, markdown, pages
from p01.remote import events, exceptions, interfaces, options
from p01.remote.cli import cli
from p01.remote.cli.selection import Filtered, arranged
from p01.remote.views.health import CHECKS

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted([*ROOT.glob('*.md'), *ROOT.glob('docs/**/*.md'), *ROOT.glob('docs/**/*.rst')])
PAGES = [path for path in FILES if path.parent != ROOT and 'upstream' not in path.parts]
LINK = re.compile(r'\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)')
CODE = re.compile(r'^```(\w+)\n(.*?)^```$', re.S | re.M)


def name(path):
    return str(path.relative_to(ROOT))


# -- links between files

def anchors(text):
    """The anchors of a file's headings, as GitHub and MyST make them."""
    heads = re.findall(r'^#+ (.+)$', re.sub(r'^```.*?^```$', '', text, flags=re.S | re.M), re.M)
    return {re.sub(r'[^\w\- ]', '', head.lower()).replace(' ', '-') for head in heads}


def broken(path, text):
    """Links of a file that lead nowhere."""
    for target, anchor in LINK.findall(text):
        found = path.parent / target if target else path
        if not found.exists():
            yield f'{path.name} links {target}, which is not there'
        elif anchor and anchor not in anchors(text if found == path else found.read_text('utf-8')):
            yield f'{path.name} links {target}#{anchor}, which is no heading there'


@pytest.mark.parametrize('path', FILES, ids=name)
def test_links_hold(path):
    assert list(broken(path, path.read_text('utf-8'))) == []


def test_a_broken_link_is_seen():
    path = ROOT / 'README.md'
    for text in ('[a](nowhere.md)', '[a](CHANGES.md#nowhere)', '[a](#nowhere)'):
        assert len(list(broken(path, text))) == 1
    text = '# One `two`: three\n[a](#one-two-three) [b](docs) [c](https://zodb.org)'
    assert list(broken(path, text)) == []


def reached(read, page='index'):
    """The pages that the tables of contents lead to, from the index."""
    found = {page}
    for block in re.findall(r'^```\{toctree\}\n(.*?)^```$', read(page), re.S | re.M):
        for each in re.findall(r'^[\w/-]+$', block, re.M):
            found |= reached(read, each)
    return found


def test_every_page_is_reached_from_the_index():
    names = {str(path.relative_to(ROOT / 'docs').with_suffix('')): path for path in PAGES}
    assert sorted(reached(lambda page: names[page].read_text('utf-8'))) == sorted(names)


def test_a_page_that_nothing_leads_to_is_seen():
    texts = {'index': '```{toctree}\n:hidden:\n\none\n```\n', 'one': '[two](two.md)', 'two': ''}
    assert reached(texts.get) == {'index', 'one'}


# -- commands and code

def commands(text):
    """The words of each p01-remote in consoles, in indented examples and between backticks."""
    for found in re.finditer(r'^(?:\$|   ) p01-remote (.+)$|`p01-remote ([^`\n]+)`', text, re.M):
        yield shlex.split((found[1] or found[2]).replace('…', ''), comments=True)


def wrong(words):
    """What is wrong with a command; '' when it is one."""
    verb, context = cli, click.Context(cli, info_name='p01-remote')
    while isinstance(verb, click.Group) and words and not words[0].startswith('-'):
        word, *words = words
        below = verb.get_command(context, word)
        if below is None:
            return f'there is no {word}'
        verb, context = below, click.Context(below, info_name=word, parent=context)
    try:
        verb.make_parser(context).parse_args(arranged(words) if isinstance(verb, Filtered)
                                             else list(words))
    except click.UsageError as error:
        # a text names an option without its value, or a verb without its arguments
        return '' if isinstance(error, click.BadOptionUsage) else error.format_message()
    return ''


@pytest.mark.parametrize('path', FILES, ids=name)
def test_commands_are_what_there_is(path):
    found = [(words, wrong(words)) for words in commands(path.read_text('utf-8'))]
    assert [(words, why) for words, why in found if why] == []


def test_a_command_that_is_not_there_is_seen():
    for line in ('nothing', 'jobs nothing', 'worker --nothing', 'jobs list --nothing x'):
        assert wrong(line.split())
    found = commands('$ p01-remote pack --keep 7d   # a\n`p01-remote jobs list` x')
    assert list(found) == [['pack', '--keep', '7d'], ['jobs', 'list']]


def named(text):
    """Files of the repository that a page names, and measurements as bench/run.py:NAME."""
    yield from re.findall(r'`((?:tests|bench|docs|examples)/[\w/.-]+\.\w+)`', text)
    for line in re.findall(r'bench/run\.py((?: [a-z]+)+)`', text):
        yield from (f'bench/run.py:{each}' for each in line.split())


def measurements():
    body = ast.parse((ROOT / 'bench' / 'run.py').read_text('utf-8')).body
    table = next(each for each in body if isinstance(each, ast.AnnAssign))
    return {f'bench/run.py:{key.value}' for key in table.value.keys}


@pytest.mark.parametrize('path', FILES, ids=name)
def test_files_and_measurements_are_what_there_is(path):
    found = set(named(path.read_text('utf-8'))) - measurements()
    assert [each for each in sorted(found) if not (ROOT / each).exists()] == []


def test_names_of_files_and_measurements_are_seen():
    text = '`bench/run.py free effects`, `tests/nothing.py`, python bench/run.py looks`'
    assert sorted(named(text)) == [*(f'bench/run.py:{each}'
                                     for each in ('effects', 'free', 'looks')),
                                   'tests/nothing.py']
    assert measurements() >= {'bench/run.py:free', 'bench/run.py:looks'}


def known():
    """The modules, classes and functions of the package."""
    found = set()
    for path in (ROOT / 'src' / 'p01' / 'remote').rglob('*.py'):
        defined = re.findall(r'^ *(?:class|(?:async )?def) (\w+)', path.read_text('utf-8'), re.M)
        found |= {path.stem, *defined}
    return found


def coded(text):
    """What the last column of a table says to be in the code."""
    for table in re.findall(r'^\|.*\| in the code \|\n((?:\|.*\|\n)+)', text, re.M):
        for row in table.splitlines():
            yield from re.findall(r'`(\w+)`', row.rsplit('|', 2)[1])


def test_the_glossary_names_what_there_is():
    found = set(coded((ROOT / 'docs' / 'glossary.md').read_text('utf-8')))
    assert len(found) > 20 and sorted(found - known()) == []
    table = '| word | in the code |\n|---|---|\n| one | `Segment` |\n| two | `Nothing` |\n'
    assert set(coded(table)) - known() == {'Nothing'}


def imports(text):
    """Each (module, name) that the code of a page imports from the package."""
    for kind, code in CODE.findall(text):
        for node in ast.walk(ast.parse(code)) if kind == 'python' else ():
            if isinstance(node, ast.ImportFrom) and node.module.startswith('p01.remote'):
                yield from ((node.module, each.name) for each in node.names)


@pytest.mark.parametrize('path', FILES, ids=name)
def test_code_is_python_and_imports_what_there_is(path):
    for module, wanted in imports(path.read_text('utf-8')):
        assert hasattr(import_module(module), wanted) or import_module(f'{module}.{wanted}')


def test_the_code_of_the_front_page_runs(tmp_path):
    """As the files that it names; the second one is a script."""
    for kind, code in CODE.findall((ROOT / 'docs' / 'index.md').read_text('utf-8')):
        assert kind == 'python'
        (tmp_path / code.split()[1]).write_text(code)
    with open(tmp_path / 'shop.py', 'a') as file:
        file.write('print(app.drain(), dict(app.run(lambda root: root["orders"])))')
    done = subprocess.run([sys.executable, 'shop.py'], cwd=tmp_path, capture_output=True,
                          text=True, timeout=60)
    assert done.stdout == "1 {'order-42': 'receipt sent'}\n", done.stderr


def test_the_tests_of_the_testing_guide_run(tmp_path):
    """In memory; as they stand there they run on every storage."""
    blocks = dict(enumerate(CODE.findall((ROOT / 'docs' / 'testing-guide.md').read_text('utf-8'))))
    for number, (kind, code) in blocks.items():
        assert kind == 'python'
        (tmp_path / f'test_{number}.py').write_text(code)
    plugins = ['-p', 'tests.conftest', '-p', 'tests.race.conftest', '-p', 'no:cacheprovider']
    done = subprocess.run([sys.executable, '-m', 'pytest', '-q', '-k', 'memory', *plugins,
                           '-o', 'addopts=', '-c', 'pyproject.toml', str(tmp_path)],
                          cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert re.search('^4 passed, ', done.stdout, re.M), done.stdout + done.stderr


# -- the reference

def members(found):
    return re.findall(r'^`*\{py:\w+\} ([\w.]+)', found, re.M)


def test_the_reference_has_all_of_the_book():
    def public(module):
        return {f'{module.__name__}.{key}' for key, each in vars(module).items()
                if getattr(each, '__module__', '') == module.__name__ and not key.startswith('_')}
    raised = {each for each in public(exceptions) if each.rpartition('.')[2][0].isupper()}
    assert set(members(book.errors())) == raised
    assert set(members(book.promises())) >= public(interfaces) | {'processJob', 'policy', 'stop'}
    for page, module in ((book.happenings, events), (book.choices, options)):
        dataclasses = {f'{module.__name__}.{key}' for key, each in vars(module).items()
                       if inspect.isclass(each) and '__dataclass_fields__' in vars(each)}
        assert dataclasses and dataclasses <= set(members(page()))


def test_the_reference_has_the_whole_command():
    heads = re.findall(r'^#+ p01-remote (.+)$', book.command(), re.M)
    assert {'demo', 'worker', 'jobs', 'jobs list', 'copy'} <= set(heads)
    assert '| `--grace TIME` |' in book.command()


def test_the_reference_writes_signatures_and_links():
    assert 'processJob(name, input=None, *, queue=None,' in book.promises()
    assert "options.Unique(key: str, until: str = 'finish', period: float | None" in book.choices()
    assert '{py:obj}`~p01.remote.exceptions.InputError`' in book.front()
    assert '- `backoff`: pause before the second run' in book.choices()
    assert '| `waitTime` | `--wait-time` | `P01_REMOTE_WAIT_TIME` |' in book.choices()


def test_events_have_their_log_lines():
    assert 'warning: `Worker {worker}: the database is back`' in book.happenings()


def test_versions_are_those_of_the_project():
    told = book.versions()
    assert '| Python | >=3.11 |  |' in told
    assert re.search(r'^\| ZODB \| >=6', told, re.M)
    assert re.search('^. psycopg.* `postgresql`', told, re.M)


def test_operations_tell_of_every_check_of_doctor():
    text = (ROOT / 'docs' / 'operations.md').read_text('utf-8')
    table = text.partition('| check |')[2].partition('\n\n')[0]
    told = set(re.findall('`([a-z]+)`', ' '.join(re.findall(r'^\| (`[^|]+) \|', table, re.M))))
    assert told == {'address', 'libraries', 'open', 'commit', *CHECKS}


def test_plain_text_becomes_markdown():
    assert markdown.linked(
        'a <path> and __call__ of `x <y>`') == 'a \\<path> and `__call__` of `x <y>`'
    assert markdown.linked('    a <b>') == '    a <b>'
    assert markdown.linked('See IJob, docs/worker.rst, IJobs') == \
        'See {py:obj}`~p01.remote.interfaces.IJob`, {doc}`/worker`, IJobs'


def test_links_of_our_own_lead_somewhere():
    """Sphinx is silent about those that do not."""
    pages = [each() for each in book.PAGES.values()]
    targets = {each for page in pages for each in members(page)}
    assert {each for page in pages for each in re.findall(r'\{py:obj\}`~([^`]+)`', page)} <= targets


def test_parts_of_files():
    assert pages.fill('<!-- part: README.md # top -->').startswith('Durable background jobs')
    assert '](scaling.md)' in pages.fill('<!-- part: README.md # What it promises -->')
    assert pages.fill('[a](upstream/b.md)') == 'a'
    assert pages.fill('[a](../CHANGES.md#b)') == '[a](changes.md#b)'
    with pytest.raises(LookupError):
        pages.fill('<!-- part: README.md # Nothing -->')


def test_the_man_page_has_every_verb(tmp_path):
    needed = 'the pages are built by what the extra docs brings'
    pytest.importorskip('sphinx', reason=needed)
    pytest.importorskip('myst_parser', reason=needed)
    subprocess.run([sys.executable, '-m', 'sphinx', '-W', '-q', '-b', 'man', '-d',
                    str(tmp_path / 'read'), str(ROOT / 'docs'), str(tmp_path / 'man')],
                   check=True, cwd=ROOT)
    text = (tmp_path / 'man' / 'p01-remote.1').read_text('utf-8').replace('\\-', '-')
    for verb, context in everyVerb(cli, click.Context(cli, info_name='p01-remote')):
        assert f'$ {context.command_path} ' in text
        assert all(option in text for each in verb.params for option in each.opts
                   if option.startswith('--'))


def everyVerb(verb, context):
    """A command and those below it, each with its context."""
    yield verb, context
    for name in verb.list_commands(context) if isinstance(verb, click.Group) else ():
        below = verb.get_command(context, name)
        yield from everyVerb(below, click.Context(below, info_name=name, parent=context))
