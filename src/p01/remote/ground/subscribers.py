# SPDX-License-Identifier: ZPL-2.1
"""How events reach the subscribers of zope.event: each is told, whatever the others raise."""
from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

import zope.event
from zope.interface import providedBy

from p01.remote.ground.foreign import Raised, guarded, reasonOf, shown, traced

logger = logging.getLogger('p01.remote')
# subscribers to whom the ordinary life of a job says nothing: our log
silent: list[Callable[[Any], None]] = []
# names of subscribers that have raised, of which that has been told
faulty: set[str] = set()


def heard() -> bool:
    """Whether anybody but our log listens; the log has no line for the ordinary life of a job."""
    for subscriber in zope.event.subscribers:       # noqa: SIM110 - asked for each job, and this is the fastest
        if subscriber not in silent:
            return True
    return False


def notify(event: object) -> None:
    """Tell each subscriber, whatever the others raise; what one raises is logged once, with its
    name."""
    for subscriber in list(zope.event.subscribers):
        found = guarded(handlers, subscriber, event)
        for each in [subscriber] if isinstance(found, Raised) else found:
            told = guarded(each, event)
            if isinstance(told, Raised):
                guarded(complain, each, event, told.error)


def handlers(subscriber: Any, event: object) -> list[Any]:
    """Who is told by a subscriber: those of zope.component, which calls one after the other, are
    told each on its own."""
    if subscriber is not getattr(sys.modules.get('zope.component.event'), 'dispatch', None):
        return [subscriber]
    return list(
        sys.modules['zope.component'].getSiteManager().adapters.subscriptions([providedBy(event)],
                                                                              None))


def notifyAfter(current: Any, event: object) -> None:
    """Tell each subscriber when this transaction has committed, if it does."""
    current.addAfterCommitHook(_committed, (event,))


def _committed(done: bool, event: object) -> None:
    if done:
        notify(event)


def complain(subscriber: Any, event: object, error: BaseException) -> None:
    """Say once of a subscriber that it raises."""
    called = getattr(subscriber, '__qualname__', '') or shown(subscriber)
    name = f'{getattr(subscriber, "__module__", "")}.{called}'
    if name not in faulty:
        faulty.add(name)
        logger.error('Subscriber %s raised at %s, which changes nothing for jobs; its further '
                     'errors are not logged: %s\n%s', name, type(event).__name__, reasonOf(error),
                     traced(error))
