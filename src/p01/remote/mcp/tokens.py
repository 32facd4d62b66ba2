# SPDX-License-Identifier: ZPL-2.1
"""What was asked for and is not done yet: each token stands for one action, with its arguments and
what was found for it, and is good once, for a while."""
from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from p01.remote.exceptions import InputError

TOKENLIVES = 300.0      # seconds
TOKENSKEPT = 100        # the one that was given first goes


class Plan(NamedTuple):
    """What an action would do: in a sentence; in a few words for the record of transactions; what
    it rests on, which must be the same when it is done; and what there is to show of it."""

    would: str
    what: str
    found: Any
    facts: dict[str, Any]


class Asked(NamedTuple):
    """An action that waits for its token."""

    action: str
    arguments: str
    plan: Plan
    until: float        # on the monotonic clock


class Tokens:
    """The tokens of one server, in its memory alone: they end with it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.asked: dict[str, Asked] = {}
        self.guard = threading.Lock()

    def give(self, action: str, given: Mapping[str, Any], plan: Plan) -> str:
        """A token for an action as it is planned."""
        token = secrets.token_urlsafe(12)
        with self.guard:
            while len(self.asked) >= TOKENSKEPT:
                del self.asked[next(iter(self.asked))]
            self.asked[token] = Asked(action, written(given), plan, self.clock() + TOKENLIVES)
        return token

    def take(self, token: str, action: str, given: Mapping[str, Any]) -> Plan:
        """The plan that a token stands for, which is used up by this whatever comes of it. Raises
        InputError."""
        with self.guard:
            asked = self.asked.pop(token, None)
        if asked is None:
            raise InputError(f'This token is not known here, or was used; {ASKANEW}.')
        if asked.action != action:
            raise InputError(f'This token is for {asked.action}, not for {action}; {ASKANEW}.')
        if asked.arguments != written(given):
            raise InputError(f'This token is for other arguments; {ASKANEW}.')
        if self.clock() > asked.until:
            raise InputError(f'This token is older than {TOKENLIVES / 60:.0f} minutes; {ASKANEW}.')
        return asked.plan


ASKANEW = 'call it again without a token, and see what it would do now'


def written(given: Mapping[str, Any]) -> str:
    """Arguments, the same text for the same ones."""
    return json.dumps(given, sort_keys=True)
