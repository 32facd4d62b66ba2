# SPDX-License-Identifier: ZPL-2.1
"""What code of an application expects around it: the thread's transaction, a site, an interaction,
a user, a request."""
from __future__ import annotations

import operator
import sys
from importlib import import_module
from typing import Any, Protocol

import transaction

from p01.remote.engine.seams import Processor
from p01.remote.storage.insides import interactionsOf, proveZope, setInteraction, sitesOf
from p01.remote.storage.places import parentOf


def optional(name: str) -> Any:
    """A module, or None where its package is not installed."""
    try:
        return import_module(name)
    except ImportError:
        return None


NOTTHERE: dict[str, Any] = {}       # of what is not there
hooks = optional('zope.component.hooks')
management = optional('zope.security.management')
proveZope(management, hooks)
ISite = getattr(optional('zope.component.interfaces'), 'ISite', None)


class Ambient(Protocol):
    """What a package keeps for each thread, found when jobs begin to run; they see it, and may put
    another in its place."""

    def __init__(self, module: Any) -> None: ...

    def intact(self) -> bool:
        """Whether it is as it was found."""

    def leave(self) -> None:
        """Have what was found."""

    @staticmethod
    def clear(module: Any) -> None:
        """Have none: there was none before a job imported the module."""


class Security:
    """AccessControl's security manager: jobs have one of their own, for the user who was found."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.old = module.getSecurityManager()
        module.newSecurityManager(None, self.old.getUser())
        self.ours = module.getSecurityManager()

    def intact(self) -> bool:
        """Whether it is in place, and no executable is left on its stack."""
        return self.module.getSecurityManager() is self.ours and not self.ours.calledByExecutable()

    def leave(self) -> None:
        """Have the manager that was found."""
        self.module.setSecurityManager(self.old)

    @staticmethod
    def clear(module: Any) -> None:
        """Have nobody."""
        module.noSecurityManager()


class Request:
    """The request that zope.globalrequest gives, in Zope and Plone."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.old = module.getRequest()

    def intact(self) -> bool:
        """Whether it is the one that was found."""
        return self.module.getRequest() is self.old

    def leave(self) -> None:
        """Have the request that was found."""
        self.module.setRequest(self.old)

    @staticmethod
    def clear(module: Any) -> None:
        """Have none."""
        module.clearRequest()


class Stack:
    """Pyramid's stack of requests and registries."""

    def __init__(self, module: Any) -> None:
        self.stack = module.manager.stack
        self.old = list(self.stack)

    def intact(self) -> bool:
        """Whether nothing was pushed or popped."""
        return len(self.stack) == len(self.old) and all(map(operator.is_, self.stack, self.old))

    def leave(self) -> None:
        """Have the stack that was found."""
        self.stack[:] = self.old

    @staticmethod
    def clear(module: Any) -> None:
        """Have an empty one."""
        module.manager.clear()


# Looked at only where somebody has imported the module: else nobody can have changed anything.
AMBIENTS: dict[str, type[Ambient]] = {
    'AccessControl.SecurityManagement': Security, 'zope.globalrequest': Request,
    'pyramid.threadlocal': Stack}


class Surroundings:
    """Makes a manager the thread's own, the nearest site of a processor the site, and has an
    interaction; takes back what jobs change of these, and of each Ambient.

    An interaction, a user, a request that the thread has already are the jobs' too. Jobs may share
    surroundings that none of them has changed: this is asked after each job, straight from the
    dicts in which the thread has its own, see threading.local, since what lies between must come
    from memory after each fsync.
    """

    __slots__ = ('ambients', 'entered', 'here', 'imported', 'interaction', 'interactions',
                 'located', 'made', 'manager',
                 'managers', 'old', 'own', 'parts', 'site', 'sites')

    ambients: dict[str, Ambient]
    interaction: Any

    def __init__(self, processor: Processor | None, manager: Any) -> None:
        self.manager = manager
        self.site = siteOf(processor)
        # else the job is detached, and has no interaction
        self.located = processor is not None
        self.entered = False

    def enter(self) -> None:
        """Have them."""
        self.entered, self.ambients = True, {}
        self.own = transaction.manager.manager
        if self.manager is not transaction.manager:     # else the thread's own are wanted
            transaction.manager.manager = self.manager
        self.managers = transaction.manager.__dict__
        self.made = False
        self.here = self.old = None
        self.interactions = self.sites = NOTTHERE
        if management is not None:
            self.made = management.queryInteraction() is None and self.located
            if self.made:
                management.newInteraction()
            self.interaction = management.queryInteraction()
            self.parts = list(getattr(self.interaction, 'participations', ()))
            self.interactions = interactionsOf(management)
        else:
            self.interaction = None
        if hooks is not None:
            self.old = hooks.getSite()
            self.here = self.old if self.site is None else self.site
            hooks.setSite(self.here)
            self.sites = sitesOf(hooks)
        self.manager = transaction.manager.manager
        self.ambients = {name: make(sys.modules[name]) for name, make in AMBIENTS.items()
                         if name in sys.modules}
        self.imported = len(sys.modules)

    def intact(self) -> bool:
        """Whether they are as they were entered: no job has put others in their place, or taken
        part in our interaction.

        Not after a job that has imported anything: that may be what nobody had looked at before.
        """
        if self.ambients and not all(ambient.intact() for ambient in self.ambients.values()):
            return False
        return (self.managers['manager'] is self.manager and self.sites.get('site') is self.here
                and not (self.made and self.interaction.participations)
                and self.interactions.get('interaction') is self.interaction
                and len(sys.modules) == self.imported)

    def leave(self) -> None:
        """Have what the thread had before."""
        if not self.entered:
            return
        self.entered = False
        transaction.manager.manager = self.own
        if management is not None:
            management.endInteraction()     # if no job has done so
            if self.interaction is not None and not self.made:
                setInteraction(management, self.interaction)
                for part in [part for part in self.interaction.participations
                             if part not in self.parts]:
                    self.interaction.remove(part)
        if hooks is not None:
            hooks.setSite(self.old)
        for name, ambient in AMBIENTS.items():
            if name in self.ambients:
                self.ambients[name].leave()
            elif name in sys.modules:
                ambient.clear(sys.modules[name])


def clear() -> None:
    """Have a thread that has just begun have nothing: AccessControl keeps users by the thread's
    number, which is used again."""
    for name, ambient in AMBIENTS.items():
        if name in sys.modules:
            ambient.clear(sys.modules[name])


def siteOf(processor: Processor | None) -> Any:
    """The nearest site that a processor is in, or None."""
    if processor is None or ISite is None:
        return None
    here: Any = processor
    while here is not None:
        if ISite.providedBy(here):
            return here
        here = parentOf(here) if here is processor else getattr(here, '__parent__', None)
    return None
