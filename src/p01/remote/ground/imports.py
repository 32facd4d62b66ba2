# SPDX-License-Identifier: ZPL-2.1
"""From the text module:attribute to what it names; what goes wrong on the way is told with its
place and the likely mend."""
from __future__ import annotations

import os
import re
import sys
import sysconfig
import traceback
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from p01.remote.exceptions import RegistrationError
from p01.remote.ground import checks, foreign

HERE = str(Path(__file__).parent.parent)
LIBRARIES = tuple({sysconfig.get_path(name)
                   for name in ('stdlib', 'platstdlib', 'purelib', 'platlib')})


def split(text: str) -> tuple[str, str] | None:
    """Module and attribute of a text that has the form module:attribute, else None."""
    module, colon, attribute = text.partition(':')
    names = (*module.split('.'), *attribute.split('.'))
    return (module, attribute) if colon and all(name.isidentifier() for name in names) else None


def found(module: str, attribute: str, kind: type) -> Any:
    """The object of this kind that module:attribute names. Raises RegistrationError, saying where
    and what to mend."""
    target = f'{module}:{attribute}'
    home = foreign.guarded(import_module, module)       # importing runs foreign code
    if isinstance(home, foreign.Raised):
        raise RegistrationError(unimported(target, module, home.error)) from home.error
    value: Any = home
    for name in attribute.split('.'):
        value = foreign.guarded(getattr, value, name)
        if isinstance(value, foreign.Raised):
            raise RegistrationError(f'{target} cannot be imported: {module} has no '
                                    f'{attribute}{meant(home, attribute, kind)}')
    if not isinstance(value, kind):
        article = 'None' if value is None else f'{foreign.nameOf(value)}'
        raise RegistrationError(f'{target} is no {kind.__name__} but {article}; name the '
                                f'{kind.__name__} itself{meant(home, attribute, kind)}')
    return value


def unimported(target: str, module: str, error: BaseException) -> str:
    """Why a module cannot be imported."""
    if isinstance(error, ModuleNotFoundError) and error.name \
            and f'{module}.'.startswith(f'{error.name}.'):
        near = checks.nearest(module, (path.stem for path in Path('.').glob('*.py')))
        hint = 'give module:attribute, or an address such as sqlite:./jobs.'
        if near:
            hint = f'did you mean {near}:{target.partition(":")[2]}?'
        return (f'{target} cannot be imported: there is no module {error.name} in {folder()} or on '
                f'the path of Python; {hint}')
    if isinstance(error, FileNotFoundError) and folder() == '.':
        return (f'{target} cannot be imported: the current folder was removed; change to one that '
                'is there.')
    # its text has the place, as ours does
    what = f'it ends Python with {error.code!r}' if isinstance(error, SystemExit) \
        else f'{type(error).__name__}: {error.msg}' if isinstance(error, SyntaxError) \
        else foreign.reasonOf(error)
    what = ' '.join(what.split()).rstrip('.')
    return f'{target} cannot be imported: {placeOf(error)}{what}.'


def placeOf(error: BaseException) -> str:
    """The file and line of an application's module at which an error came up, as the beginning of a
    sentence."""
    if isinstance(error, SyntaxError) and error.filename:
        return f'{shortened(error.filename)}, line {error.lineno}: '
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)
              if not frame.filename.startswith(('<frozen', HERE))]
    own = [frame for frame in frames if not frame.filename.startswith(LIBRARIES)] or frames
    return f'{shortened(own[-1].filename)}, line {own[-1].lineno}: ' if own else ''


def shortened(path: str) -> str:
    """A path as seen from the current folder, where it is below."""
    return path.removeprefix(folder() + os.sep)


def folder() -> str:
    """The current folder; '.' when it was removed."""
    try:
        return os.getcwd()
    except OSError:
        return '.'


def meant(module: ModuleType, attribute: str, kind: type) -> str:
    """The attribute that was probably meant, as the end of a sentence."""
    names = [name for name, value in list(vars(module).items()) if isinstance(value, kind)]
    near = checks.nearest(attribute, names) or (names[0] if len(names) == 1 else '')
    if near:
        return f'; did you mean {module.__name__}:{near}?'
    return f'; it has {", ".join(sorted(names))}.' if names else '.'


def corrected(text: str) -> str:
    """A text that is neither module:attribute nor an address, in the form that was probably meant;
    '' when nobody knows."""
    if text.startswith(('/', '~')):
        return ''
    path, _, attribute = text.partition(':')
    attribute = re.sub(r'\(.*', '', attribute)
    module = re.sub(r'\.py$', '', path.removeprefix('./')).strip('/').replace('/', '.')
    if not attribute and '.' in module and not path.endswith('.py') and '/' not in path:
        module, _, attribute = module.rpartition('.')
    form = f'{module}:{attribute or "app"}'
    return form if split(form) else ''


def reachable() -> None:
    """Have the current folder on the path of Python, as a script has its own."""
    if folder() not in sys.path and folder() != '.':
        sys.path.insert(0, folder())
