# SPDX-License-Identifier: ZPL-2.1
"""Which process this is: a forked child is another one, and must touch nothing that its parent has open."""
from __future__ import annotations

import ctypes
import os
import time
from typing import Any


class Mark:
    """One for each process; to be compared by identity, which costs nothing."""


mark = Mark()
since = 0.0         # when this process was forked, in POSIX seconds; 0 for one that was not


def leave(parents: Any) -> None:
    """Let something of the parent's be, for ever: to close it, or to have it collected, would be felt by the parent."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(parents))       # also when the interpreter ends


def _forked() -> None:
    global mark, since
    mark, since = Mark(), time.time()


os.register_at_fork(after_in_child=_forked)
