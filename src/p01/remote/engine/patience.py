# SPDX-License-Identifier: ZPL-2.1
"""How long to wait for a storage that is away before the next try."""
from __future__ import annotations

import random

LONGEST = 10.0      # seconds between two tries


def pauseAfter(troubles: int) -> float:
    """Seconds to wait after so many failures in a row, from 1: twice as long each time, with jitter for those who come back."""
    return float(min(0.1 * 2.0 ** (min(troubles, 30) - 1), LONGEST) * (0.5 + random.random() / 2))
