# SPDX-License-Identifier: ZPL-2.1
"""What a job was given, as text within bounds, secrets hidden: read from its pickle like a text, so
that nothing of the application is loaded or run."""
from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from p01.remote.ground import pickled
from p01.remote.storage.insides import storageOf
from p01.remote.store.payload import Payload

ONE, BRIEFLY = 400, 60      # characters of one argument; of all in a list
SECRETS = re.compile(r'pass(word|wd|phrase)?$|passw|secret|token|api_?key|credential|auth(?!or)|'
                     r'cookie|session|private|signature|iban|card_?n', re.I)


class Given(NamedTuple):
    """What a job was given: arguments by name, or by number from 0; hidden: how many of them are;
    or a note why it cannot be shown; positional: how many of the first were given by their
    place."""

    arguments: tuple[tuple[str, str], ...] = ()
    hidden: int = 0
    note: str = ''
    positional: int = 0

    @property
    def briefly(self) -> str:
        """In one short line; of what cannot be shown why."""
        parts = [text if name.isdecimal() else f'{name}={text}' for name, text in self.arguments]
        line = ', '.join(parts) or self.note
        return line if len(line) <= BRIEFLY else line[:BRIEFLY - 1] + pickled.CUT

    @property
    def call(self) -> str:
        """As arguments of a call in Python; '' where some are hidden or cut."""
        if self.hidden or self.note or any(pickled.CUT in text for _, text in self.arguments):
            return ''
        return ', '.join(text if at < self.positional else f'{name}={text}'
                         for at, (name, text) in enumerate(self.arguments))


def isSecret(name: str) -> bool:
    """Whether a name is one of a secret."""
    return bool(SECRETS.search(name))


def givenOf(kept: Any, names: Sequence[str] = (),
            hides: Callable[[str], bool] = isSecret, most: int = ONE) -> Given:
    """What was kept of an input, see payload.pack. names: those of the function's parameters;
    hides: which names are those of secrets; most: characters of one argument."""
    if kept is None:
        return Given()
    try:
        value = read(kept)
    except pickled.Unreadable as error:
        return Given(note=f'not shown ({error})')
    call = pickled.called(value)
    if call is None:
        return Given((('0', pickled.written(value, most, hides)),), positional=1)
    some, more = call
    named = [(names[at] if at < len(names) else str(at), each) for at, each in enumerate(some)]
    found, hidden = [], 0
    for name, each in [*named, *more]:
        hide = hides(name)
        hidden += hide
        text = pickled.DOTS if hide else pickled.written(each, most, hides)
        hidden += pickled.DOTS in text and not hide
        found.append((name, text))
    return Given(tuple(found), hidden, positional=len(some))


def read(kept: Any) -> pickled.Value:
    """What a stored input says. Raises pickled.Unreadable."""
    if not isinstance(kept, Payload):
        return pickled.read(kept)
    data: bytes = storageOf(kept._p_jar).load(kept._p_oid)[0]
    if len(data) > pickled.LARGESTREAD:
        raise pickled.Unreadable(f'it has {len(data):,} bytes')
    stream = io.BytesIO(data)
    pickled.read(stream)                    # the class; behind it the state
    state = pickled.read(stream)
    items = state.items if isinstance(state, pickled.Node) else []
    fields = dict(zip(map(pickled.textOf, items[::2]), items[1::2]))
    value = fields.get('value')
    if isinstance(value, pickled.Atom) and isinstance(value.value, bytes) \
            and isTrue(fields.get('packed')):
        return pickled.read(value.value)
    if value is None:
        raise pickled.Unreadable('it is of another kind')
    return value


def isTrue(value: pickled.Value | None) -> bool:
    """Whether what was read is True."""
    return isinstance(value, pickled.Atom) and value.value is True
