# SPDX-License-Identifier: ZPL-2.1
"""The reference, made from the docstrings of the package, so that nothing is written twice.

Each function of PAGES returns a page: Markdown for MyST. Docstrings are plain text, which is
Markdown as it stands, but for a few signs.
"""
from __future__ import annotations

import ast
import inspect
import logging
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import click
from zope.interface.interface import InterfaceClass, Method

from docs.markdown import KINDS, PACKAGE, directive, joined, linked, table, text
from p01 import remote
from p01.remote import events, exceptions, interfaces, job, options, scheduler
from p01.remote.cli import cli
from p01.remote.logs import LINES
from p01.remote.options import WorkerOptions

ROOT = Path(__file__).resolve().parents[1]
KEPT = '\b\n'         # click: what follows keeps its lines
NEEDED = re.compile(r'^([\w.-]+(?:\[.+\])?) ?(.*)$')        # a requirement: what, which versions
SECTION = re.compile(r'^# -- (?P<title>.+)$|^class (?P<name>\w+)', re.M)
INNER = (remote.JobFunction, remote.Handle)      # nobody but the package makes them


# -- the pages

def front() -> str:
    """What `from p01.remote import …` gives, but for options and errors; they have pages."""
    found = [getattr(remote, name) for name in remote.__all__]
    classes = [each for each in found if inspect.isclass(each)
               and not issubclass(each, (Exception, options.Options))]
    return joined([*(entry(each, PACKAGE, members=True) for each in classes),
                   variable('current', remote.current)])


def component() -> str:
    """What a component in Zope, Plone or Pyramid is written with."""
    return joined(entry(each, each.__module__, members=True)
                  for each in (job.Job, scheduler.Delay, scheduler.Cron))


def happenings() -> str:
    """The events."""
    found = [each for each in classesOf(events) if is_dataclass(each)]
    told = (entry(each, events.__name__, members=True, more=logged) for each in found)
    return joined([text(events), *told])


def choices() -> str:
    """The options."""
    found = [each for each in classesOf(options) if is_dataclass(each)]
    told = (entry(each, options.__name__, words=listed, more=variables) for each in found)
    return joined([text(options.Options), *told])


def errors() -> str:
    """The exceptions, under the headings that they have in the source."""
    parts = [text(exceptions)]
    for found in SECTION.finditer(inspect.getsource(exceptions)):
        if found['title']:
            parts.append(f'## {found["title"][0].upper()}{found["title"][1:]}')
        else:
            parts.append(entry(getattr(exceptions, found['name']), exceptions.__name__,
                               kind='py:exception', more=bases))
    return joined(parts)


def promises() -> str:
    """The interfaces."""
    found = [each for each in vars(interfaces).values()
             if isinstance(each, InterfaceClass) and each.__module__ == interfaces.__name__]
    return joined([text(interfaces), *map(interface, found)])


def command() -> str:
    """The command and its verbs."""
    return joined(verbs(cli, click.Context(cli, info_name='p01-remote')))


def versions() -> str:
    """The versions of Python and of libraries that the package takes."""
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text('utf-8'))['project']
    extras = project['optional-dependencies']
    needed = [f'Python {project["requires-python"]}', *project['dependencies']]
    taken = [(each, '') for each in needed]
    taken += [(each, f'`{extra}`') for extra in ('postgresql', 'zeo') for each in extras[extra]]
    rows = [(*NEEDED.findall(each)[0], extra) for each, extra in taken]
    return table(('what', 'versions', 'with the extra'), rows)


PAGES: dict[str, Callable[[], str]] = {
    each.__name__: each
    for each in (front, component, happenings, choices, errors, promises, command, versions)}


# -- classes

def entry(found: type, module: str, members: bool = False, kind: str = 'py:class',
          words: Callable[[type], str] | None = None,
          more: Callable[[type], str] = lambda found: '') -> str:
    """A class with its docstring, and with its public members where these are asked for."""
    parts = [(words or text)(found), more(found)]
    if members:
        parts += [member(name, each) for name, each in public(found)]
    given = '' if found in INNER else signature(found)
    return directive(kind, f'{module}.{found.__name__}{given}', joined(parts))


def variable(name: str, found: Any) -> str:
    """An object of the package, and what can be asked of it."""
    told = [member(f'{name}.{key}', each, PACKAGE) for key, each in public(type(found))]
    return joined([directive('py:data', f'{PACKAGE}.{name}', text(type(found))), *told])


def member(name: str, found: Any, module: str = '') -> str:
    """A method or property of a class, or of an object in a module."""
    lines = [f':module: {module}'] if module else []
    if isinstance(found, property):
        return directive('py:property', name, joined(['\n'.join(lines), text(found)]))
    lines += [':classmethod:'] if isinstance(found, classmethod) else []
    bare = found.__func__ if isinstance(found, classmethod | staticmethod) else found
    body = joined(['\n'.join(lines), text(found)])
    return directive('py:method', f'{name}{signature(bare)}', body)


def public(found: type) -> list[tuple[str, Any]]:
    """The methods and properties of a class that have a docstring."""
    return [(name, each) for name, each in vars(found).items()
            if not name.startswith('_') and isinstance(each, KINDS) and inspect.getdoc(each)]


def signature(found: Any) -> str:
    """Its parameters as they are written; '' where they say nothing."""
    if inspect.isclass(found) and not is_dataclass(found) and '__init__' not in vars(found):
        return ''
    given = inspect.signature(found)
    kept = [each.replace(annotation=short(each.annotation)) for each in given.parameters.values()
            if each.name not in ('self', 'cls')]
    answer = inspect.Signature.empty if inspect.isclass(found) else short(given.return_annotation)
    bare = inspect.Signature(kept, return_annotation=answer)
    return re.sub(r"(: |-> )'([^']*)'", r'\1\2', str(bare))       # types are texts, and quoted


def short(annotation: Any) -> Any:
    """A type as it stands in the source, without the names of modules."""
    if annotation is inspect.Signature.empty:
        return annotation
    words = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r'\b(?:[a-z_]\w*\.)+(?=[A-Z]|timedelta|datetime)', '', words)


def bases(found: type) -> str:
    """Under which classes an exception can be caught."""
    above = [f'`{each.__name__}`' for each in found.__mro__[1:]
             if each not in (object, BaseException, Exception)]
    return f'Also caught as {", ".join(above)}.' if above else ''


def listed(found: type) -> str:
    """The docstring of options; what it says of each, `name: what it is; next: …`, is a list."""
    names = '|'.join(found.__match_args__)
    return re.sub(rf'(?:[;.]\s|^)({names}):\s', r'\n- `\1`: ', text(found), flags=re.M)


def logged(found: type) -> str:
    """The line of the log that an event makes."""
    if found not in LINES:
        return ''
    level, line = LINES[found]
    line = re.sub(r'\{0\.(\w+)[^}]*\}', r'{\1}', line)
    return f'Log line, at level {logging.getLevelName(level).lower()}: `{line}`'


def variables(found: type) -> str:
    """The flags and variables of workers' options."""
    if found is not WorkerOptions:
        return ''
    verb = cli.get_command(click.Context(cli), 'worker')
    assert verb is not None
    flags = {each.name: ', '.join(f'`{flag}`' for flag in each.opts) for each in verb.params}
    rows = [(f'`{name}`', flags[name], f'`{options.variable(name)}`')
            for name in found.__match_args__ if name in flags]
    return table(('option', 'flag', 'in the environment'), rows)


def classesOf(module: ModuleType) -> list[type]:
    """The public classes that a module defines, in their order there."""
    return [each for name, each in vars(module).items() if not name.startswith('_')
            and inspect.isclass(each) and each.__module__ == module.__name__]


# -- interfaces

def interface(found: InterfaceClass) -> str:
    """An interface with its attributes and methods, in their order in the book."""
    parts = [text(found)]
    for name, each in found.namesAndDescriptions():
        if isinstance(each, Method):
            given = parameters(found.getName(), name)
            parts.append(directive('py:method', f'{name}({given})', text(each)))
        else:
            parts.append(directive('py:attribute', name, text(each)))
    return directive('py:class', f'{interfaces.__name__}.{found.getName()}', joined(parts))


def parameters(owner: str, name: str) -> str:
    """A method's parameters as they are written; zope.interface forgets those by keyword."""
    body = ast.parse(inspect.getsource(interfaces)).body
    return next(ast.unparse(each.args) for found in body
                if isinstance(found, ast.ClassDef) and found.name == owner for each in found.body
                if isinstance(each, ast.FunctionDef) and each.name == name)


# -- the command

def verbs(verb: click.Command, context: click.Context, depth: int = 1) -> Iterator[str]:
    """A verb and those below it."""
    if depth > 1:
        yield f'{"#" * depth} {context.command_path}'
    usage = ' '.join(verb.collect_usage_pieces(context))
    yield f'```console\n$ {context.command_path} {usage}\n```'
    yield paragraphs(verb.help or '')
    rows = filter(None, (each.get_help_record(context) for each in verb.get_params(context)))
    yield table(('option', ''), [(f'`{flags}`', linked(told)) for flags, told in rows])
    yield paragraphs(verb.epilog or '')
    if isinstance(verb, click.Group):
        for name in verb.list_commands(context):
            below = verb.get_command(context, name)
            assert below is not None
            yield from verbs(below, click.Context(below, info_name=name, parent=context), depth + 1)


def paragraphs(told: str) -> str:
    """A help text: what click must not wrap keeps its lines."""
    parts = inspect.cleandoc(told).split('\n\n')
    return joined(f'```text\n{part.strip(KEPT)}\n```' if part.startswith(KEPT) else linked(part)
                  for part in parts)


if __name__ == '__main__':
    import sys
    print(PAGES[sys.argv[1]]())
