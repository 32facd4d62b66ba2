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

    An interaction that the thread already has stays as it is.
    """

    __slots__ = ('begun', 'interacts', 'manager', 'old', 'own', 'site')

    def __init__(self, processor: Any, manager: transaction.TransactionManager) -> None:
        self.manager = manager
        self.site = siteOf(processor) if hooks is not None else None
        self.interacts = management is not None and processor is not None

    def __enter__(self) -> None:
        self.own = transaction.manager.manager
        transaction.manager.manager = self.manager
        self.begun = self.interacts
        if self.interacts:
            try:
                management.newInteraction()
            except management.ExistingInteraction:
                self.begun = False
        if self.site is not None:
            self.old = hooks.getSite()
            hooks.setSite(self.site)

    def __exit__(self, *error: object) -> None:
        if self.site is not None:
            hooks.setSite(self.old)
        if self.begun:
            management.endInteraction()     # if the job has not done so
        transaction.manager.manager = self.own


def siteOf(processor: Any) -> Any:
    """The nearest site that a processor is in, or None."""
    while processor is not None:
        if hasattr(processor, 'getSiteManager'):
            return processor
        processor = getattr(processor, '__parent__', None)
    return None
