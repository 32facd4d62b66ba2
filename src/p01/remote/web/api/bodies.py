# SPDX-License-Identifier: ZPL-2.1
"""What the body of a request says: a JSON object of known fields."""
from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from flask import request

from p01.remote.exceptions import InputError
from p01.remote.ground import checks
from p01.remote.ground.foreign import short
from p01.remote.web.api.problems import Problem
from p01.remote.web.api.shapes import Field

BODYKINDS = {'string': (str, 'a text'), 'integer': (int, 'a whole number'),
         'number': (int | float, 'a number'), 'boolean': (bool, 'true or false'),
         'array': (list, 'a list'), 'object': (dict, 'an object')}


def bodyOf(fields: Mapping[str, Field] | None) -> dict[str, Any]:
    """The fields of a body; None: the route takes none. Raises Problem, InputError."""
    data = request.get_data(cache=False)
    if not data and not any(field.needed for field in (fields or {}).values()):
        return {}
    if fields is None:
        raise InputError('This path takes no body; leave it out.')
    if request.mimetype != 'application/json':
        raise Problem(415, 'The body must be JSON; send it with Content-Type: application/json.')
    value = parsed(data)
    if not isinstance(value, dict):
        raise InputError(f'The body must be a JSON object, not {short(value)}.')
    checks.known(value, fields, 'The body')
    for name, field in fields.items():
        if name in value:
            check(name, value[name], field)
        elif field.needed:
            raise InputError(f'The body lacks {name}; add it.')
    return value


def parsed(data: bytes) -> Any:
    """The value of a JSON text. Raises InputError."""
    try:
        return json.loads(data.decode(), parse_constant=refuse, parse_float=finite)
    except RecursionError:
        raise InputError('The body is nested too deeply; make it flatter.') from None
    except InputError:
        raise
    except ValueError as error:         # UnicodeDecodeError too
        raise InputError(f'The body is not JSON ({error}).') from None


def finite(text: str) -> float:
    """A number. Raises InputError for one that is larger than all of them."""
    value = float(text)
    if not math.isfinite(value):
        refuse(text)
    return value


def refuse(word: str) -> None:
    """Raises InputError: JSON has no such number."""
    raise InputError(f'The body is not JSON: it has {word}, which is none of its numbers.')


def check(name: str, value: Any, field: Field) -> None:
    """Raises InputError for a value of another kind."""
    kinds = [BODYKINDS[kind] for kind in field.kinds]
    # True is a whole number to Python
    if not any(isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
               for kind, _ in kinds):
        raise InputError(f'{name} must be {" or ".join(words for _, words in kinds)}, not '
                         f'{short(value)}.')
