# SPDX-License-Identifier: ZPL-2.1
"""Outcomes of all kinds, as journals and slips of the worker 'me' keep them."""
from p01.remote.store.records import COMPLETED, ERROR, Attempt, Outcome

ATTEMPT = Attempt(1, 1.0, 2.0, 'other', 'ValueError: no', 'trace')
OUTCOMES = {
    1: Outcome(COMPLETED, None, '', 1, 3.0, 4.0, 'me'),
    2: Outcome(COMPLETED, b'kept', '', 2, 3.0, 4.0, 'me'),
    3: Outcome(COMPLETED, None, '', 1, 3.0, 4.0, 'other'),
    4: Outcome(ERROR, None, 'no', 1, None, 4.0, 'me', (ATTEMPT,)),
    5: Outcome(COMPLETED, None, '', 1, 3.0, 4.0),
}
