# SPDX-License-Identifier: ZPL-2.1
"""What is answered to a call: what was asked for, within bounds, or a sentence why not; nothing of
the inside."""
from __future__ import annotations

import logging
from typing import Any, NamedTuple

from transaction.interfaces import TransientError

from p01.remote.exceptions import InputError, RemoteError
from p01.remote.ground import checks
from p01.remote.ground.foreign import Raised, guarded, short
from p01.remote.ground.words import shown
from p01.remote.mcp.bounds import bounded
from p01.remote.mcp.shapes import Action, Desk, Given, Look, Told
from p01.remote.mcp.table import ACTINGTOOLS, KNOWINGTOOLS, LOOKINGTOOLS, TOKEN
from p01.remote.mcp.tokens import TOKENLIVES
from p01.remote.wire.fields import DIGITSOFID, Field, accept

MEETINGS = 'The database was changed by others again and again; try once more.'
BROKENHERE = 'Something went wrong here; what the server writes to its error stream says what.'
ONLYLOOKS = 'This server only looks; whoever runs it may start it with --allow-actions.'
TOOLS: dict[str, Look | Action] = {
    tool.name: tool for tool in (*LOOKINGTOOLS, *KNOWINGTOOLS, *ACTINGTOOLS)}

logger = logging.getLogger('p01.remote')


class Reply(NamedTuple):
    """An answer, or why there is none: its text, and as a value."""

    text: str
    value: Told | None

    @property
    def failed(self) -> bool:
        """Whether it could not be done."""
        return self.value is None


def offered(desk: Desk) -> list[Look | Action]:
    """The tools that there are."""
    return [tool for tool in TOOLS.values() if desk.acts or tool in LOOKINGTOOLS]


def fieldsOf(tool: Look | Action) -> dict[str, Field]:
    """What a tool takes."""
    return {**tool.fields, **(TOKEN if isinstance(tool, Action) else {})}


def replied(desk: Desk, name: str, given: Given) -> Reply:
    """What is answered to a call of a tool; what nobody expected goes to the log."""
    found = guarded(called, desk, name, given)      # schedules and the like may be foreign code
    if not isinstance(found, Raised):
        value, text = bounded(found)
        return Reply(text, value)
    error = found.error
    if isinstance(error, TransientError):
        return Reply(MEETINGS, None)
    if isinstance(error, RemoteError):
        return Reply(shown(error, None), None)
    logger.error('The tool %s could not answer', short(name), exc_info=error)
    return Reply(BROKENHERE, None)


def called(desk: Desk, name: str, given: Given) -> Told:
    """What a tool answers. Raises what it does."""
    tool = TOOLS.get(name)
    if tool is None:
        known = [each.name for each in offered(desk)]
        near = checks.nearest(name, known)
        raise InputError(f'There is no tool {short(name)}; '
                         + (f'did you mean {near}?' if near else f'there are {", ".join(known)}.'))
    if tool not in offered(desk):
        raise InputError(ONLYLOOKS)
    accept(given, fieldsOf(tool), name)
    for jobid in (given.get('id', 1), *given.get('ids', ())):
        checks.wholeOf(jobid, 'The id of a job', 1, 10 ** DIGITSOFID - 1)
    if isinstance(tool, Look):
        return tool.do(desk, given)
    return acted(desk, tool, given)


def acted(desk: Desk, tool: Action, given: Given) -> Told:
    """Say what an action would do, or do it, where its token is given."""
    rest: dict[str, Any] = {key: value for key, value in given.items() if key != 'token'}
    if 'token' in given:
        plan = desk.tokens.take(given['token'], tool.name, rest)
        return {'done': True, 'text': f'Done: {plan.what}.', 'token': None, 'seconds': None,
                'facts': tool.act(desk, rest, plan)}
    plan = tool.plan(desk, rest)
    return {'done': False, 'text': f'{plan.would} Nothing is done yet.',
            'token': desk.tokens.give(tool.name, rest, plan), 'seconds': TOKENLIVES,
            'facts': plan.facts}
