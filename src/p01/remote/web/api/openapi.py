# SPDX-License-Identifier: ZPL-2.1
"""The description of the API as OpenAPI 3.1 has it, made of the table of routes."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from p01.remote.web.api.door import SCOPES
from p01.remote.web.api.problems import KIND
from p01.remote.web.api.shapes import Route
from p01.remote.wire.fields import DIGITSOFID, Field, schemaOf
from p01.remote.wire.schemas import SCHEMAS

ID = {'name': 'id', 'in': 'path', 'required': True, 'description': 'The id of a job.',
      'schema': {'type': 'integer', 'minimum': 0, 'maximum': 10 ** DIGITSOFID - 1}}
NAMEPART = {'name': 'name', 'in': 'path', 'required': True, 'description': 'A name, with its '
            'slashes written as %2F.', 'schema': {'type': 'string', 'minLength': 1}}
# what any route answers when it does not do what was asked
PROBLEMS = {400: 'Something of the request makes no sense.', 401: 'The token is not known.',
            403: 'The token lacks the scope.', 413: 'The body is too large.',
            429: 'There are too many requests.', 500: 'Something went wrong.',
            503: 'The database cannot be used now.'}
MISSING = {404: 'There is no such job or schedule.'}
CHANGING = {409: 'It stands otherwise.'}
BODYLESS = {415: 'The body is no JSON.'}
KEYUSED = {422: 'The Idempotency-Key was used for something else.'}


def document(routes: Iterable[Route], address: str) -> dict[str, Any]:
    """The description. address: the path that the API is below."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = operation(route)
    return {
        'openapi': '3.1.0',
        'info': {'title': 'p01.remote', 'version': version('p01.remote'),
                 'description': 'Background jobs on ZODB, over HTTP.'},
        'servers': [{'url': address}], 'security': [{'token': []}], 'paths': paths,
        'components': {'schemas': SCHEMAS, 'securitySchemes': {
            'token': {'type': 'http', 'scheme': 'bearer', 'description': ' '.join(
                f'{scope}: {words}' for scope, words in SCOPES.items())}}}}


def operation(route: Route) -> dict[str, Any]:
    """A method of a path."""
    parts = [part for text, part in (('{id}', ID), ('{name}', NAMEPART)) if text in route.path]
    found: dict[str, Any] = {
        'operationId': route.name, 'summary': route.words,
        'description': f'Needs the scope {route.scope}.',
        'parameters': [*parts, *given(route.query, 'query'), *given(route.headers, 'header')],
        'responses': {str(status): answer(f'#/components/schemas/{name}', 'application/json',
                                          route.words)
                      for status, name in route.gives.items()} | refusals(route)}
    if route.body is not None:
        schema = schemaOf(route.body)
        found['requestBody'] = {'required': 'required' in schema,
                                'content': {'application/json': {'schema': schema}}}
    return found


def given(fields: Mapping[str, Field], where: str) -> list[dict[str, Any]]:
    """Parameters of a query, or headers."""
    return [{'name': name, 'in': where, 'required': field.needed, 'description': field.words,
             'schema': {key: value for key, value in field.schema.items() if key != 'description'}}
            for name, field in fields.items()]


def refusals(route: Route) -> dict[str, Any]:
    """What a route answers when it does not do what was asked."""
    found = PROBLEMS | (MISSING if '{' in route.path else {}) \
        | (BODYLESS if route.body is not None else {}) | (KEYUSED if route.headers else {}) \
        | (CHANGING if '{id}' in route.path and route.method == 'POST' else {})
    return {str(status): answer('#/components/schemas/Problem', KIND, words)
            for status, words in sorted(found.items())}


def answer(schema: str, mimetype: str, words: str) -> dict[str, Any]:
    """A kind of answer."""
    return {'description': words, 'content': {mimetype: {'schema': {'$ref': schema}}}}
