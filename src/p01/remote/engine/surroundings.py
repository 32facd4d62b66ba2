# SPDX-License-Identifier: ZPL-2.1
"""What code of an application expects around it: the thread's transaction, a site, an interaction."""
from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def surroundings(processor: Any, manager: transaction.TransactionManager) -> Iterator[None]:
    """Make a manager the thread's own, the nearest site of a processor the site, and have an interaction.

    An interaction that the thread already has stays as it is.
    """
    own = transaction.manager.manager
    transaction.manager.manager = manager
    begun = management is not None and processor is not None and management.queryInteraction() is None
    site = siteOf(processor) if hooks is not None else None
    old = hooks.getSite() if site is not None else None
    try:
        if begun:
            management.newInteraction()
        if site is not None:
            hooks.setSite(site)
        yield
    finally:
        if site is not None:
            hooks.setSite(old)
        if begun:
            management.endInteraction()
        transaction.manager.manager = own


def siteOf(processor: Any) -> Any:
    """The nearest site that a processor is in, or None."""
    while processor is not None:
        if hasattr(processor, 'getSiteManager'):
            return processor
        processor = getattr(processor, '__parent__', None)
    return None
