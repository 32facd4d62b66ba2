# SPDX-License-Identifier: ZPL-2.1
"""Signatures of jobs' functions, kept, since each enqueue asks whether its arguments fit."""
from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

KNOWNFUNCTIONS = 1_000       # functions whose signature is kept
Signed = tuple[inspect.Signature | None, float, float]
_signatures: dict[Any, Signed] = {}


def signatureOf(function: Callable[..., Any]) -> Signed:
    """The function's signature, None for builtins that have none; of positional arguments alone, so
    many at least and at most fit, which spares most calls the binding."""
    found = _signatures.get(function)
    if found is None:
        # whoever makes functions anew, or imports them again, has left the old ones
        if len(_signatures) >= KNOWNFUNCTIONS:
            _signatures.clear()
        try:
            signature = inspect.signature(function)
            found = signature, *arity(signature)
        except (TypeError, ValueError):
            found = None, 0, 0
        _signatures[function] = found
    return found


def arity(signature: inspect.Signature) -> tuple[float, float]:
    """How many positional arguments alone fit: at least, at most; none do where a keyword is
    needed."""
    parameters = signature.parameters.values()
    positional = [each for each in parameters
                  if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    needed = [each for each in parameters if each.default is each.empty
              and each.kind is each.KEYWORD_ONLY]
    most = math.inf if any(each.kind is each.VAR_POSITIONAL
                           for each in parameters) else len(positional)
    return math.inf if needed else sum(each.default is each.empty for each in positional), most
