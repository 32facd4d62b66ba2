# SPDX-License-Identifier: ZPL-2.1
"""What a tool is: from the table of them comes what clients are told, what is checked, and what is
done."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from p01.remote.app import App
from p01.remote.mcp.tokens import Plan, Tokens
from p01.remote.wire.fields import Field

Given = Mapping[str, Any]
Told = dict[str, Any]


class Desk(NamedTuple):
    """What a server stands for. target: how commands name the application; who: whose changes they
    are; acts: whether anything may be changed; jobs: the names of those that may be enqueued."""

    app: App
    target: str
    who: str
    acts: bool
    jobs: frozenset[str]
    tokens: Tokens


class Look(NamedTuple):
    """A tool that only looks. gives: the JSON Schema of what it answers."""

    name: str
    title: str
    words: str
    do: Callable[[Desk, Given], Told]
    gives: Mapping[str, Any]
    fields: Mapping[str, Field] = {}


class Action(NamedTuple):
    """A tool that changes something: plan says what it would do, act does what a plan says.
    undone: whether nothing brings back what it does; again: whether twice is the same as once."""

    name: str
    title: str
    words: str
    plan: Callable[[Desk, Given], Plan]
    act: Callable[[Desk, Given, Plan], Told]
    fields: Mapping[str, Field]
    undone: bool = False
    again: bool = False
