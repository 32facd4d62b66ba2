# SPDX-License-Identifier: ZPL-2.1
"""What the API answers where it cannot do what was asked: RFC 9457, one sentence, nothing of the
inside."""
from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus

from flask import Response, request
from transaction.interfaces import TransientError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from p01.remote.exceptions import (
    InputError,
    JobNotFound,
    RemoteError,
    UnknownJob,
    UnknownSchedule,
)
from p01.remote.ground.values import jsonOf
from p01.remote.web.api.limits import BODYBYTES
from p01.remote.wire.deeds import Refused

KIND = 'application/problem+json'
SENTENCES = {
    404: 'There is nothing at this path; /openapi.json of this API tells of all paths.',
    413: f'The body has more than {BODYBYTES:,} bytes; keep the data elsewhere, and pass its id.'}
INSIDE = 'Something went wrong here; the log of the server says what.'
UNREACHABLE = 'The database cannot be used now; try again later, the log of the server says why.'
CROWDED = 'The database was changed by others again and again; try once more.'

logger = logging.getLogger('p01.remote')


class Problem(Exception):
    """What was asked cannot be done: a status of HTTP, a sentence, and headers that go with it."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.code, self.detail, self.headers = status, detail, dict(headers or {})


def problemOf(error: Exception) -> Problem:
    """The problem that stands for an error; what nobody expected goes to the log."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, MethodNotAllowed):
        takes = ', '.join(sorted(error.valid_methods or ()))
        return Problem(405, f'{request.method[:20]} is not for this path; it takes {takes}.',
                       {'Allow': takes})
    if isinstance(error, HTTPException) and error.code is not None:
        return Problem(error.code, SENTENCES.get(error.code, f'{error.name}.'))
    if isinstance(error, JobNotFound | UnknownSchedule):
        return Problem(404, str(error))
    if isinstance(error, InputError | UnknownJob):
        return Problem(400, str(error))
    if isinstance(error, Refused):
        return Problem(409, str(error))
    if isinstance(error, TransientError):
        return Problem(503, CROWDED, {'Retry-After': '1'})
    if isinstance(error, RemoteError):
        logger.warning('The API could not answer %s: %s', request.path, error)
        return Problem(503, UNREACHABLE, {'Retry-After': '10'})
    logger.error('The API could not answer %s', request.path, exc_info=error)
    return Problem(500, INSIDE)


def answered(problem: Problem) -> Response:
    """The answer that tells of a problem."""
    body = {'type': 'about:blank', 'title': HTTPStatus(problem.code).phrase,
            'status': problem.code, 'detail': problem.detail}
    return Response(jsonOf(body), problem.code, problem.headers, mimetype=KIND)
