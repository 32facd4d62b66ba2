# SPDX-License-Identifier: ZPL-2.1
"""The parts of what programs say, and of which kinds they are: from one table come what is checked,
and how it is described."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from p01.remote.exceptions import InputError
from p01.remote.ground import checks
from p01.remote.ground.foreign import short

DIGITSOFID = 18         # of the id of a job, at most
FIELDKINDS = {'string': (str, 'a text'), 'integer': (int, 'a whole number'),
         'number': (int | float, 'a number'), 'boolean': (bool, 'true or false'),
         'array': (list, 'a list'), 'object': (dict, 'an object')}


class Field(NamedTuple):
    """A part: what it means, of which kinds of JSON it is, whether it must be there, and what else
    its schema says."""

    words: str
    kinds: tuple[str, ...] = ('string',)
    needed: bool = False
    more: Mapping[str, Any] = {}

    @property
    def schema(self) -> dict[str, Any]:
        """As JSON Schema has it."""
        kinds: Any = self.kinds[0] if len(self.kinds) == 1 else list(self.kinds)
        return {'type': kinds, 'description': self.words, **self.more}


TIME = 'number', 'string'       # how long something takes
PRIORITY = Field('A higher one runs sooner.', ('integer',), False,
                 {'minimum': checks.LOWEST, 'maximum': checks.HIGHEST})
# which job is to be enqueued, and how; see wire.deeds.optionsOf
ORDERPARTS = {
    'job': Field('The name of the job, one of those that may be enqueued here.', needed=True),
    'args': Field('Its arguments.', ('array',)), 'kwargs': Field('Arguments by name.', ('object',)),
    'queue': Field("The queue; without it the job's own.", ('string',), False,
                   {'minLength': 1}),
    'priority': PRIORITY,
    'delay': Field('Not before this has passed: seconds, or a text such as 10m.', TIME),
    'at': Field('Not before this instant, as 2026-01-31T08:30Z.'),
    'expires': Field('Cancelled when it has not started within this.', TIME),
    'unique': Field('Enqueue nothing while a job with this key waits or runs.', ('string',), False,
                    {'minLength': 1})}

# what is to be another one of a job that waits; see wire.deeds.wantedOf
EDITPARTS = {
    'args': Field('A list that it is called with instead.', ('array',)),
    'kwargs': Field('Arguments by name that it is called with instead; without args nothing else.',
                    ('object',)),
    'queue': Field('Its queue.', ('string',), False, {'minLength': 1}),
    **{name: ORDERPARTS[name] for name in ('priority', 'delay', 'at')},
    'now': Field('Whether it need not wait for its time any more.', ('boolean',), False,
                 {'default': False})}
# and of a new one like a job that has ended
ANEWPARTS = {name: field for name, field in EDITPARTS.items() if name != 'now'}


def schemaOf(fields: Mapping[str, Field]) -> dict[str, Any]:
    """An object of these fields, as JSON Schema has it."""
    needed = [name for name, field in fields.items() if field.needed]
    return {'type': 'object', 'additionalProperties': False,
            'properties': {name: field.schema for name, field in fields.items()},
            **({'required': needed} if needed else {})}


def accept(value: Mapping[str, Any], fields: Mapping[str, Field], what: str) -> None:
    """Raises InputError for an object that has not these fields, of these kinds."""
    checks.known(value, fields, what)
    for name, field in fields.items():
        if name in value:
            check(name, value[name], field)
        elif field.needed:
            raise InputError(f'{what} lacks {name}; add it.')


def check(name: str, value: Any, field: Field) -> None:
    """Raises InputError for a value of another kind."""
    kinds = [FIELDKINDS[kind] for kind in field.kinds]
    # True is a whole number to Python
    if not any(isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
               for kind, _ in kinds):
        raise InputError(f'{name} must be {" or ".join(words for _, words in kinds)}, not '
                         f'{short(value)}.')
