# SPDX-License-Identifier: ZPL-2.1
"""The jobs that are measured, and the objects that they change."""
from __future__ import annotations

import asyncio
import time

from persistent import Persistent

from p01.remote import current

OBJECTS = 'objects'     # where the objects are in the root of the database


class Counter(Persistent):
    """An object of the application."""

    value = 0


def nothing(number: int) -> None:
    """A job without effects."""


def echo(number: int) -> int:
    """A job without effects that has a result."""
    return number


def bump(number: int) -> None:
    """A job that changes one object."""
    current.root[OBJECTS][number].value += 1


async def nap(seconds: float) -> None:
    """A job that awaits."""
    await asyncio.sleep(seconds)


async def rest(gate: str) -> None:
    """A job that awaits what its process tells it, in a dict that others of it share."""
    gates.setdefault(gate, 0)
    gates[gate] += 1
    while gates[gate] > 0:
        await asyncio.sleep(0.5)


gates: dict[str, int] = {}      # how many jobs await it; 0 lets them go


def doze(seconds: float) -> None:
    """A job that takes long and does nothing."""
    time.sleep(seconds)


def fail() -> None:
    """A job that fails."""
    raise ValueError('not today')
