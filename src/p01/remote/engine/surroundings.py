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

    __slots__ = ('entered', 'here', 'interaction', 'interacts', 'made', 'manager', 'old', 'own', 'site')

    def __init__(self, processor: Any, manager: transaction.TransactionManager) -> None:
        self.manager = manager
        self.site = siteOf(processor)
        self.interacts = management is not None and processor is not None
        self.entered = False

    def enter(self) -> None:
        """Have them."""
        self.entered = True
        self.own = transaction.manager.manager
        transaction.manager.manager = self.manager
        if self.interacts:
            self.made = management.queryInteraction() is None
            if self.made:
                management.newInteraction()
            self.interaction = management.queryInteraction()
        if hooks is not None:
            self.old = hooks.getSite()
            self.here = self.old if self.site is None else self.site
            hooks.setSite(self.here)

    def intact(self) -> bool:
        """Whether they are as they were entered: no job has put others in their place, or taken part in our interaction."""
        return (transaction.manager.manager is self.manager and (hooks is None or hooks.getSite() is self.here)
                and (not self.interacts or management.queryInteraction() is self.interaction
                     and not (self.made and self.interaction.participations)))

    def leave(self) -> None:
        """Have what the thread had before."""
        if not self.entered:
            return
        self.entered = False
        transaction.manager.manager = self.own
        if self.interacts and self.made:
            management.endInteraction()     # if no job has done so
        if hooks is not None:
            hooks.setSite(self.old)


def siteOf(processor: Any) -> Any:
    """The nearest site that a processor is in, or None."""
    while processor is not None:
        if hasattr(processor, 'getSiteManager'):
            return processor
        processor = getattr(processor, '__parent__', None)
    return None
