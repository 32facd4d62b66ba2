# SPDX-License-Identifier: ZPL-2.1
"""What the body of a request says: a JSON object of known fields."""
from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from flask import request

from p01.remote.exceptions import InputError
from p01.remote.ground.foreign import short
from p01.remote.web.api.problems import Problem
from p01.remote.wire.fields import Field, accept


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
    accept(value, fields, 'The body')
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
