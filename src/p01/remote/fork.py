# SPDX-License-Identifier: ZPL-2.1
"""Which process this is: a forked child is another one, and must touch nothing that its parent has open."""
from __future__ import annotations

import os


class Mark:
    """One for each process; to be compared by identity, which costs nothing."""


mark = Mark()


def _forked() -> None:
    global mark
    mark = Mark()


os.register_at_fork(after_in_child=_forked)
