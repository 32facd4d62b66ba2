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


NONE: dict[str, Any] = {}       # of what is not there
hooks = optional('zope.component.hooks')
management = optional('zope.security.management')


class Surroundings:
    """Makes a manager the thread's own, the nearest site of a processor the site, and has an interaction.

    An interaction that the thread already has stays as it is. Jobs may share surroundings that none of them has changed:
    this is asked after each job, straight from the dicts in which the thread has its own, see threading.local, since what
    lies between must come from memory after each fsync.
    """

    __slots__ = ('entered', 'here', 'interaction', 'interactions', 'interacts', 'made', 'manager', 'managers', 'old', 'own',
                 'site', 'sites')

    def __init__(self, processor: Any, manager: transaction.TransactionManager) -> None:
        self.manager = manager
        self.site = siteOf(processor)
        self.interacts = management is not None and processor is not None
        self.entered = False
        self.interaction: Any = None
        self.here: Any = None

    def enter(self) -> None:
        """Have them."""
        self.entered = True
        self.own = transaction.manager.manager
        transaction.manager.manager = self.manager
        self.managers = transaction.manager.__dict__
        self.made = False
        self.interactions = self.sites = NONE
        if self.interacts:
            self.made = management.queryInteraction() is None
            if self.made:
                management.newInteraction()
            self.interaction = management.queryInteraction()
            self.interactions = management.thread_local.__dict__
        if hooks is not None:
            self.old = hooks.getSite()
            self.here = self.old if self.site is None else self.site
            hooks.setSite(self.here)
            self.sites = hooks.siteinfo.__dict__

    def intact(self) -> bool:
        """Whether they are as they were entered: no job has put others in their place, or taken part in our interaction."""
        return (self.managers['manager'] is self.manager and self.sites.get('site') is self.here
                and not (self.made and self.interaction.participations)
                and self.interactions.get('interaction') is self.interaction)

    def leave(self) -> None:
        """Have what the thread had before."""
        if not self.entered:
            return
        self.entered = False
        transaction.manager.manager = self.own
        if self.made:
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
