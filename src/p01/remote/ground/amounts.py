# SPDX-License-Identifier: ZPL-2.1
"""Amounts of memory as people write them: 300MB, 1.5GB, 512MiB; and how much this process takes."""
from __future__ import annotations

import os
import re
import resource
import sys
from contextlib import suppress
from typing import Any

from p01.remote.exceptions import InputError
from p01.remote.ground.foreign import short

SCALES = {'': 1, 'k': 10**3, 'm': 10**6, 'g': 10**9, 't': 10**12,
          'ki': 2**10, 'mi': 2**20, 'gi': 2**30, 'ti': 2**40}
AMOUNT = re.compile(r'([0-9]+(?:\.[0-9]+)?)\s*([kmgt]i?)?(b?)')
MOSTBYTES = 2**60


def bytesOf(value: Any, what: str) -> int:
    """Bytes of a whole number of them, or of a text such as '300MB' (10⁶ each) or '300MiB' (2²⁰
    each); else InputError. A number without a unit in a text is refused: nobody means bytes."""
    if isinstance(value, str):
        found = AMOUNT.fullmatch(value.strip().lower())
        if found is None or not (found[2] or found[3]) and float(found[1]):
            raise InputError(f"{what} must be an amount such as '300MB' or '2GiB', not "
                             f"{short(value)}.")
        value = int(min(float(found[1]) * SCALES[found[2] or ''], MOSTBYTES))
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOSTBYTES:
        raise InputError(f"{what} must be a number of bytes, or an amount such as '300MB', not "
                         f"{short(value)}.")
    return value


def taken(pid: int | None = None) -> int:
    """The bytes of memory that a process takes, this one if none is named; 0 where nobody knows.

    Where the system does not tell of now, the most that this process ever took.
    """
    with suppress(OSError, ValueError, IndexError):
        with open(f'/proc/{pid or "self"}/statm', encoding='ascii') as file:
            return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')
    if pid is not None:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == 'darwin' else most * 1024
