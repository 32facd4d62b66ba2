# SPDX-License-Identifier: ZPL-2.1
"""Jobs over HTTP: `wsgi(app, tokens, jobs)` is a JSON API, alone or below /api/v1 of the dashboard.
Needs the extra p01.remote[dash]."""
from __future__ import annotations

from collections.abc import Collection

from flask import Flask

from p01.remote.app import App
from p01.remote.web.api.door import Caller, Tokens
from p01.remote.web.api.limits import BURST, PERSECOND
from p01.remote.web.api.routes import TABLEOFROUTES
from p01.remote.web.api.server import Server

__all__ = ['Caller', 'Tokens', 'wsgi']


def wsgi(app: App, tokens: Tokens, jobs: Collection[str] = (), *, rate: float = PERSECOND,
         burst: int = BURST) -> Flask:
    """The API of an App, for any server of WSGI, below any path.

    tokens: token → Caller, as {token: Caller('billing', ['enqueue'])}, or a function that gives the
    Caller of a token, None for nobody. jobs: the names of the jobs that may be enqueued, () for
    none. rate: requests a second of one caller, burst: how many at once, both for each process.
    Raises InputError.
    """
    return Server(app, tokens, jobs, rate, burst, TABLEOFROUTES).flask
