# SPDX-License-Identifier: ZPL-2.1
"""Processes whose parents have died fall to the first process of their host or container. When that
is a supervisor, nobody else is there to take note of their ends, and they would stay as zombies."""
from __future__ import annotations

import os
from collections.abc import Collection


def reap(own: Collection[int]) -> None:
    """Take note of the ends of processes that fell to this one, if it is the first; own ones are
    left to who started them."""
    if os.getpid() != 1:
        return
    try:
        # looking does not take it away; one of ours that stands in front is taken by its owner soon
        while (found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if found.si_pid in own:
                return
            os.waitpid(found.si_pid, os.WNOHANG)
    except ChildProcessError:
        return
