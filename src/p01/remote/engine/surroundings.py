# SPDX-License-Identifier: ZPL-2.1
"""What code of an application expects around it: the thread's transaction, a site, an interaction."""
from __future__ import annotations

import importlib
from typing import Any

import transaction


def optional(name: str) -> Any:
    """A module, or None where its package is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


hooks = optional('zope.component.hooks')
management = optional('zope.security.management')


class Surroundings:
    """Makes a manager the thread's own, the nearest site of a processor the site, and has an interaction.

    An interaction that the thread already has stays as it is. Jobs may share surroundings that none of them has changed.
    """

    __slots__ = ('entered', 'interaction', 'interacts', 'manager', 'old', 'own', 'site')

    def __init__(self, processor: Any, manager: transaction.TransactionManager) -> None:
        self.manager = manager
        self.site = siteOf(processor) if hooks is not None else None
        self.interacts = management is not None and processor is not None
        self.entered = False

    def enter(self) -> None:
        """Have them, unless they are there already."""
        if self.entered:
            return
        self.entered = True
        self.own = transaction.manager.manager
        transaction.manager.manager = self.manager
        self.interaction = None
        if self.interacts and management.queryInteraction() is None:
            management.newInteraction()
            self.interaction = management.queryInteraction()
        if self.site is not None:
            self.old = hooks.getSite()
            hooks.setSite(self.site)

    def intact(self) -> bool:
        """Whether they are as they were entered: no job has put others in their place, or taken part in the interaction."""
        return (transaction.manager.manager is self.manager and (self.site is None or hooks.getSite() is self.site)
                and (self.interaction is None
                     or management.queryInteraction() is self.interaction and not self.interaction.participations))

    def leave(self) -> None:
        """Have what the thread had before."""
        if not self.entered:
            return
        self.entered = False
        if self.site is not None:
            hooks.setSite(self.old)
        if self.interaction is not None:
            management.endInteraction()     # if no job has done so
        transaction.manager.manager = self.own


def siteOf(processor: Any) -> Any:
    """The nearest site that a processor is in, or None."""
    while processor is not None:
        if hasattr(processor, 'getSiteManager'):
            return processor
        processor = getattr(processor, '__parent__', None)
    return None
