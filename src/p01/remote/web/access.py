# SPDX-License-Identifier: ZPL-2.1
"""Who looks, and what he may do: a token that is swapped for a cookie, or the host's own users; and
whether a request comes from one of our pages."""
from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Collection
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from werkzeug.datastructures import Headers

from p01.remote.exceptions import InputError

ALL, READ, DENIED = 'all', 'read', 'denied'
COOKIE = 'p01-remote'
SHORTEST = 16           # characters of a token that somebody has chosen
SESSIONS = 100          # browsers that are remembered; the one that came first goes


class Visitor(NamedTuple):
    """Somebody who looks at the dashboard: his name, for the record of what he does, and what he
    may: ALL, READ or DENIED."""

    name: str
    may: str = READ


STRANGER = Visitor('nobody', DENIED)
Environ: TypeAlias = dict[str, Any]             # of WSGI
Access: TypeAlias = Callable[[Environ], Visitor | None]


class Sessions:
    """Browsers that came with a token. Each token lets one in, and the next one is told to whom it
    concerns."""

    def __init__(self, told: Callable[[str], object], name: str = 'you') -> None:
        self.told = told
        self.visitor = Visitor(name, ALL)
        self.guard = threading.Lock()
        self.known: list[str] = []
        self.token = secrets.token_urlsafe(18)

    def enter(self, token: str) -> str | None:
        """The cookie for a token, which is used up by it; None for a wrong one."""
        with self.guard:
            if not same(token, self.token):
                return None
            self.token = secrets.token_urlsafe(18)
            cookie = secrets.token_urlsafe(24)
            self.known = [*self.known[-SESSIONS + 1:], cookie]
        self.told(self.token)
        return cookie

    def visitorOf(self, cookie: str) -> Visitor | None:
        """Who has this cookie; None for nobody."""
        with self.guard:
            return self.visitor if isOne(cookie, self.known) else None


def bearerOf(header: str) -> str:
    """The token of an Authorization header; '' without one."""
    scheme, _, token = header.partition(' ')
    return token.strip() if scheme.casefold() == 'bearer' else ''


def checkedToken(token: str, whose: str) -> str:
    """A token that nobody guesses. Raises InputError."""
    if not isinstance(token, str) or len(token) < SHORTEST or not token.isascii() \
            or any(map(str.isspace, token)):
        raise InputError(f'The token of {whose} must be at least {SHORTEST} characters of ASCII '
                         'without spaces; secrets.token_urlsafe() makes one.')
    return token


def isOne(given: str, secrets: Collection[str]) -> bool:
    """Whether a text is one of some secrets; all are looked at."""
    return sum(same(given, secret) for secret in secrets) > 0


def same(given: str, secret: str) -> bool:
    """Whether two texts are the same, in a time that does not tell how much of it is."""
    return secrets.compare_digest(given.encode('utf-8', 'replace'), secret.encode())


def isHost(host: str, known: Collection[str]) -> bool:
    """Whether a Host header names one of these hosts: else a name that somebody has made to point
    here."""
    name = urlsplit(f'//{host}').hostname if host else None
    return name in known


def isOurs(headers: Headers, host: str, scheme: str) -> bool:
    """Whether a request that changes something comes from one of our own pages, as browsers tell:
    Sec-Fetch-Site, or in older ones Origin."""
    site = headers.get('Sec-Fetch-Site')
    origin = headers.get('Origin')
    if site is not None:
        return bool(site == 'same-origin')
    return bool(origin == f'{scheme}://{host}')
