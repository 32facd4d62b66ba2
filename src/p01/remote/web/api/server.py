# SPDX-License-Identifier: ZPL-2.1
"""The API as a WSGI application: who may come in, what a request has to say, what answers carry."""
from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from flask import Flask, Response, g, request
from werkzeug.routing import BaseConverter

from p01.remote.app import App
from p01.remote.exceptions import InputError
from p01.remote.ground import checks
from p01.remote.ground.foreign import short
from p01.remote.ground.upstream import over
from p01.remote.ground.values import jsonOf
from p01.remote.web.api import openapi
from p01.remote.web.api.bodies import bodyOf
from p01.remote.web.api.door import Caller, Tokens, callerOf, checked
from p01.remote.web.api.limits import BODYBYTES, Rates
from p01.remote.web.api.problems import Problem, answered, problemOf
from p01.remote.web.api.shapes import Answer, Route
from p01.remote.wire.fields import DIGITSOFID, Field

EVERYWHERE = {'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'no-store',
           'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'"}
REFUSED = ''            # the name that those without a token share


class JobId(BaseConverter):
    """The id of a job in a path."""

    regex = f'[0-9]{{1,{DIGITSOFID}}}'

    @over(BaseConverter)
    def to_python(self, value: str) -> int:
        """See BaseConverter."""
        return int(value)


class Named(BaseConverter):
    """A name in a path: any text, slashes too."""

    regex = r'(?s:.+?)'
    part_isolating = False


class Call(NamedTuple):
    """A request: whose, to what, and what it says: parts of the path, arguments, body; key: its
    Idempotency-Key."""

    server: Server
    caller: Caller
    path: Mapping[str, Any]
    query: Mapping[str, str]
    body: Mapping[str, Any]
    key: str | None

    @property
    def app(self) -> App:
        """Whose jobs these are."""
        return self.server.app


class Server:
    """The API of an App, see wsgi."""

    def __init__(self, app: App, tokens: Tokens, jobs: Collection[str], rate: float, burst: int,
                 routes: Iterable[Route]) -> None:
        if isinstance(jobs, str):
            raise InputError(f'jobs must be a list of names, not {short(jobs)}.')
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < math.inf:
            raise InputError(f'rate must be a number of requests a second, not {short(rate)}.')
        self.app, self.tokens, self.jobs = app, checked(tokens), frozenset(jobs)
        self.rates = Rates(rate, checks.wholeOf(burst, 'burst', 1))
        self.guard = threading.Lock()       # of those with a key of their own
        self.routes = tuple(routes)
        self.flask = Flask('p01.remote.web.api', static_folder=None)
        self.flask.config.update(MAX_CONTENT_LENGTH=BODYBYTES)
        self.flask.url_map.merge_slashes = False
        self.flask.url_map.converters.update(jobid=JobId, named=Named)
        self.flask.before_request(self.admit)
        self.flask.after_request(finish)
        self.flask.register_error_handler(Exception, failed)
        self.flask.add_url_rule('/openapi.json', 'openapi', self.tell)
        for route in self.routes:
            self.flask.add_url_rule(route.rule, route.name, self.answering(route),
                                    methods=[route.method])

    def admit(self) -> None:
        """Look at a request before anything else. Raises Problem."""
        if request.endpoint == 'openapi':
            return
        caller = callerOf(self.tokens, request.headers.get('Authorization', ''))
        wait = self.rates.wait(REFUSED if caller is None else caller.name)
        if wait:
            raise Problem(429, f'There are too many requests; come again in {math.ceil(wait)} s.',
                          {'Retry-After': str(math.ceil(wait))})
        if caller is None:
            raise Problem(401, 'This needs a token that is known here; send it as Authorization: '
                          'Bearer TOKEN.', {'WWW-Authenticate': 'Bearer'})
        g.caller = caller

    def answering(self, route: Route) -> Callable[..., Response]:
        """What answers a route."""
        def answer(**given: Any) -> Response:
            if route.scope not in g.caller.scopes:
                raise Problem(403, f'The token of {g.caller.name} lacks the scope {route.scope}; '
                                   'ask for one that has it.')
            found: Answer = route.do(Call(self, g.caller, given, queryOf(route.query),
                                          bodyOf(route.body), request.headers.get(
                                              'Idempotency-Key')))
            return Response(jsonOf(found.value), found.status, found.headers,
                            mimetype='application/json')

        return answer

    def tell(self) -> Response:
        """The description of all this."""
        return Response(jsonOf(openapi.document(self.routes, request.script_root or '/')),
                        mimetype='application/json')


def queryOf(fields: Mapping[str, Field]) -> dict[str, str]:
    """The arguments of an address. Raises InputError."""
    checks.known(request.args, fields, 'This path')
    for name, values in request.args.lists():
        if len(values) > 1:
            raise InputError(f'{name} is given {len(values)} times; give it once.')
    return request.args.to_dict()


def failed(error: Exception) -> Response:
    """The answer to a request that failed."""
    return answered(problemOf(error))


def finish(answer: Response) -> Response:
    """What all answers carry."""
    answer.headers.update(EVERYWHERE)
    return answer
