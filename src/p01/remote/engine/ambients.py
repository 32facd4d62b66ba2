# SPDX-License-Identifier: ZPL-2.1
"""What of the context of who enqueues travels with a job, and is there again around it."""
from __future__ import annotations

from abc import ABC, abstractmethod
from contextvars import ContextVar, Token
from typing import Any, Generic, TypeVar

from ZODB.Connection import Connection

from p01.remote.exceptions import RemoteError
from p01.remote.storage.places import pathOf, split, traverse

Value = TypeVar('Value')


class Ambient(ABC):
    """One of app.ambients; frameworks add their own. The same object serves all threads.

    name is under which its values are stored; never change it. title is what errors say of it.
    """

    name = ''

    @property
    def title(self) -> str:
        """What errors call its values."""
        return f'The {self.name}'

    @abstractmethod
    def capture(self) -> Any:
        """What is to travel from here, a value that can be an input of a job; None for nothing."""

    @abstractmethod
    def enter(self, value: Any, connection: Connection | None) -> Any:
        """Have a value that has travelled around the job that runs here, in a transaction of this
        connection, None for a detached job; returns what leave needs. Raises what fails the run."""

    @abstractmethod
    def leave(self, before: Any) -> None:
        """The job is over: have what enter has found."""


class Variable(Ambient, Generic[Value]):
    """A context variable; one that is not set does not travel, nor does None."""

    def __init__(self, variable: ContextVar[Value]) -> None:
        self.variable = variable
        self.name = f'variable {variable.name}'

    @property
    def title(self) -> str:
        """See Ambient."""
        return f'The value of the context variable {self.variable.name!r}'

    def capture(self) -> Value | None:
        """See Ambient."""
        return self.variable.get(None)

    def enter(self, value: Any, connection: Connection | None) -> Token[Value]:
        """See Ambient."""
        return self.variable.set(value)

    def leave(self, before: Any) -> None:
        """See Ambient."""
        self.variable.reset(before)


class Participation:
    """A principal's part in an interaction."""

    interaction: Any = None

    def __init__(self, principal: Any) -> None:
        self.principal = principal


class Principal(Ambient):
    """The principal of zope.security's interaction, by its id, as the IAuthentication of the
    processor's site knows it. For jobs with a transaction: others have no interaction."""

    name = 'principal'

    def capture(self) -> str | None:
        """See Ambient."""
        from zope.security.management import queryInteraction
        for part in getattr(queryInteraction(), 'participations', ()):
            if part.principal is not None:
                found: str = part.principal.id
                return found
        return None

    def enter(self, value: Any, connection: Connection | None) -> Participation | None:
        """See Ambient. Raises RemoteError for a principal that is gone."""
        from zope.authentication.interfaces import IAuthentication, PrincipalLookupError
        from zope.component import queryUtility
        from zope.security.management import queryInteraction
        if connection is None:
            return None
        authentication = queryUtility(IAuthentication)
        try:
            if authentication is None:
                raise PrincipalLookupError(value)
            part = Participation(authentication.getPrincipal(value))
        except PrincipalLookupError:
            raise RemoteError(f'The job was enqueued by {value!r}, whom the site does not know any '
                              'more; add them again, or cancel the job.') from None
        queryInteraction().add(part)
        return part

    def leave(self, before: Participation | None) -> None:
        """See Ambient."""
        if before is not None and before.interaction is not None:
            before.interaction.remove(before)


class Site(Ambient):
    """The site of zope.component, by its path in the job's database; without it jobs have the
    nearest one of their processor. For jobs with a transaction."""

    name = 'site'

    def capture(self) -> str | None:
        """See Ambient."""
        from zope.component.hooks import getSite
        site = getSite()
        if getattr(site, '_p_jar', None) is None:
            return None
        return '/' + '/'.join(pathOf(site))

    def enter(self, value: Any, connection: Connection | None) -> tuple[Any, bool]:
        """See Ambient. Raises RemoteError for a site that is gone."""
        from zope.component.hooks import getSite, setSite
        before = getSite()
        if connection is not None:
            setSite(traverse(connection, split(value)))
        return before, connection is not None

    def leave(self, before: tuple[Any, bool]) -> None:
        """See Ambient."""
        from zope.component.hooks import setSite
        if before[1]:
            setSite(before[0])
