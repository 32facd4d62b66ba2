# SPDX-License-Identifier: ZPL-2.1
"""The jobs that are measured, and the objects that they change."""
from __future__ import annotations

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


def doze(seconds: float) -> None:
    """A job that takes long and does nothing."""
    time.sleep(seconds)


def fail() -> None:
    """A job that fails."""
    raise ValueError('not today')
