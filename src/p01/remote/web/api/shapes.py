# SPDX-License-Identifier: ZPL-2.1
"""What a route of the API is: from this table come the paths, what is checked, and the
description."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from p01.remote.wire.fields import Field


class Answer(NamedTuple):
    """What a route answers."""

    value: Any
    status: int = 200
    headers: Mapping[str, str] = {}


class Route(NamedTuple):
    """A path and a method. path: with {id} of a job or {name}; gives: the status and the name of
    the schema that it answers with; body: None where there is none."""

    method: str
    path: str
    name: str
    scope: str
    words: str
    do: Callable[[Any], Answer]
    gives: Mapping[int, str]
    query: Mapping[str, Field] = {}
    body: Mapping[str, Field] | None = None
    headers: Mapping[str, Field] = {}

    @property
    def rule(self) -> str:
        """The path as Flask writes it."""
        return self.path.replace('{id}', '<jobid:id>').replace('{name}', '<named:name>')
