# SPDX-License-Identifier: ZPL-2.1
"""What a pickle says, read like a text: nothing is loaded, imported or called, so that who looks at
other people's values runs none of their code."""
from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any, NamedTuple, TypeAlias

from p01.remote.ground.values import DIGITS, integer

LARGESTREAD = 1 << 16       # bytes of a pickle that are looked at
DEEPESTSHOWN = 20            # levels that are shown
CUT, DOTS = '…', '••••••'
BRACKETS = {'tuple': ('(', ')'), 'list': ('[', ']'), 'dict': ('{', '}'), 'set': ('{', '}')}
# opcodes that begin a container, with its kind
EMPTIES = {'EMPTY_TUPLE': 'tuple', 'EMPTY_LIST': 'list', 'EMPTY_DICT': 'dict', 'EMPTY_SET': 'set'}
# opcodes that make one of the last values, or of all behind the mark
TUPLES = {'TUPLE1': 1, 'TUPLE2': 2, 'TUPLE3': 3}
MARKED = {'TUPLE': 'tuple', 'LIST': 'list', 'DICT': 'dict', 'FROZENSET': 'frozenset'}
ADDING = {'APPEND': 1, 'SETITEM': 2, 'APPENDS': 0, 'SETITEMS': 0, 'ADDITEMS': 0}
CONSTANTS = {'NONE': None, 'NEWTRUE': True, 'NEWFALSE': False}
STORING = {'MEMOIZE', 'PUT', 'BINPUT', 'LONG_BINPUT'}
FETCHING = {'GET', 'BINGET', 'LONG_BINGET'}

Hides: TypeAlias = Callable[[str], bool]


class Unreadable(ValueError):
    """It is no pickle, or one of a kind that is not read."""


class Atom(NamedTuple):
    """A value without parts."""

    value: Any


class Node:
    """A value with parts: a container, or something made by a call, of which kind is the name."""

    __slots__ = ('calls', 'items', 'kind')

    def __init__(self, kind: str, items: Iterable[Value] = (), calls: bool = False) -> None:
        self.kind = kind
        self.items = list(items)        # of a dict keys and values in turn
        self.calls = calls


class Name(NamedTuple):
    """A class or function, by its name."""

    name: str


Value: TypeAlias = Atom | Node | Name
BEGUN = Name('mark')        # where what follows belongs together


def read(data: bytes | BytesIO) -> Value:
    """What a pickle is of, or the next one in a stream: Atom, Node or Name. Raises Unreadable."""
    if isinstance(data, bytes) and len(data) > LARGESTREAD:
        raise Unreadable(f'{len(data):,} bytes')
    try:
        return Reader().of(pickletools.genops(data))
    except Unreadable:
        raise
    except Exception as error:      # pickletools raises ValueError, and what its parts raise
        raise Unreadable(str(error)) from error


class Reader:
    """Does with names what the machine of a pickle does with values."""

    def __init__(self) -> None:
        self.stack: list[Value] = []
        self.memo: dict[int, Value] = {}

    def of(self, steps: Iterable[tuple[Any, Any, int | None]]) -> Value:
        """The one value that is left at the end."""
        for opcode, given, _ in steps:
            self.step(opcode.name, given)
        if len(self.stack) != 1:
            raise Unreadable('it does not end')
        return self.stack[0]

    def step(self, code: str, given: Any) -> None:
        """One opcode."""
        stack = self.stack
        if code in CONSTANTS:
            stack.append(Atom(CONSTANTS[code]))
        elif code in EMPTIES:
            stack.append(Node(EMPTIES[code]))
        elif code in TUPLES:
            self.gather('tuple', self.pop(TUPLES[code]))
        elif code in MARKED:
            self.gather(MARKED[code], self.marked())
        elif code in ADDING:
            parts = self.pop(ADDING[code]) if ADDING[code] else self.marked()
            self.open().items.extend(parts)
        elif code in STORING:
            self.memo[len(self.memo) if code == 'MEMOIZE' else int(given)] = stack[-1]
        elif code in FETCHING:
            stack.append(self.memo[int(given)])
        elif code == 'MARK':
            stack.append(BEGUN)
        elif code in MAKING:
            MAKING[code](self, given)
        elif code not in ('PROTO', 'FRAME', 'STOP'):
            if given is None:
                raise Unreadable(code)
            stack.append(Atom(given))

    def open(self) -> Node:
        """The container that is filled."""
        last = self.stack[-1]
        if not isinstance(last, Node):
            raise Unreadable('it fills what is no container')
        return last

    def gather(self, kind: str, parts: list[Value]) -> None:
        """A container of these."""
        self.stack.append(Node(kind, parts))

    def pop(self, number: int) -> list[Value]:
        """The last values."""
        if len(self.stack) < number:
            raise Unreadable('it lacks values')
        parts = self.stack[-number:]
        del self.stack[-number:]
        return parts

    def marked(self) -> list[Value]:
        """The values behind the mark, which goes."""
        at = len(self.stack) - 1            # from above: it is near, and there may be many
        while at >= 0 and self.stack[at] is not BEGUN:
            at -= 1
        if at < 0:
            raise Unreadable('it lacks a mark')
        parts = self.stack[at + 1:]
        del self.stack[at:]
        return parts

    def named(self, given: Any) -> None:
        """GLOBAL: a module and a name in one text."""
        self.stack.append(Name(str(given).replace(' ', '.')))

    def stacked(self, given: Any) -> None:
        """STACK_GLOBAL: the same, as two values."""
        module, name = self.pop(2)
        self.stack.append(Name(f'{textOf(module)}.{textOf(name)}'))

    def call(self, given: Any) -> None:
        """REDUCE, NEWOBJ: a class and its arguments."""
        made, arguments = self.pop(2)
        self.stack.append(Node(nameOf(made), getattr(arguments, 'items', ()), True))

    def keywords(self, given: Any) -> None:
        """NEWOBJ_EX: with keyword arguments."""
        made, arguments, more = self.pop(3)
        self.stack.append(Node(nameOf(made), [*getattr(arguments, 'items', ()), more], True))

    def build(self, given: Any) -> None:
        """BUILD: the state of what was made."""
        [state] = self.pop(1)
        made = self.stack[-1]
        if isinstance(made, Node):
            made.items.append(state)

    def referred(self, given: Any) -> None:
        """BINPERSID: an object of the database."""
        self.pop(1)
        self.stack.append(Name('<object>'))

    def drop(self, given: Any) -> None:
        """POP."""
        self.pop(1)

    def dropAll(self, given: Any) -> None:
        """POP_MARK."""
        self.marked()

    def twice(self, given: Any) -> None:
        """DUP."""
        self.stack.append(self.stack[-1])


MAKING: dict[str, Callable[[Reader, Any], None]] = {
    'GLOBAL': Reader.named, 'STACK_GLOBAL': Reader.stacked, 'REDUCE': Reader.call,
    'NEWOBJ': Reader.call, 'NEWOBJ_EX': Reader.keywords, 'BUILD': Reader.build,
    'BINPERSID': Reader.referred, 'PERSID': Reader.drop, 'POP': Reader.drop,
    'POP_MARK': Reader.dropAll, 'DUP': Reader.twice}


def plain(value: Any) -> str:
    """A value without parts as Python would write it."""
    return integer(value) if type(value) is int and value.bit_length() >= 3 * DIGITS \
        else repr(value)


def textOf(value: Value) -> str:
    """The text of a plain value."""
    if not isinstance(value, Atom):
        return '?'
    return value.value if isinstance(value.value, str) else plain(value.value)


def nameOf(value: Value) -> str:
    """The name of what is called."""
    return value.name if isinstance(value, Name) else '?'


def called(value: Value) -> tuple[list[Value], list[tuple[str, Value]]] | None:
    """The arguments and keyword arguments of what was read, where it is such a pair."""
    if not (isinstance(value, Node) and value.kind == 'tuple' and len(value.items) == 2):
        return None
    some, more = value.items
    if isinstance(some, Node) and some.kind == 'tuple' and isinstance(more, Node) \
            and more.kind == 'dict' and not (some.calls or more.calls):
        keys = map(textOf, more.items[::2])
        return some.items, list(zip(keys, more.items[1::2], strict=True))
    return None


def never(name: str) -> bool:
    """Hide nothing."""
    return False


def written(value: Value, most: int, hides: Hides = never) -> str:
    """What was read as Python would write it, in at most so many characters; in place of what
    stands under a key that hides holds for, dots."""
    writer = Writer(most, hides)
    try:
        writer.put(value, 0)
    except OverflowError:       # there is no room left
        pass
    text = ''.join(writer.parts)
    return text if len(text) <= most else text[:most - 1] + CUT


class Writer:
    """Writes until there is enough. A value may hold itself: so levels are counted, and letters."""

    def __init__(self, most: int, hides: Hides) -> None:
        self.parts: list[str] = []
        self.room = most
        self.hides = hides

    def add(self, text: str) -> None:
        """Write a text. Raises OverflowError when there is enough."""
        self.parts.append(text)
        self.room -= len(text)
        if self.room < 0:
            raise OverflowError

    def put(self, value: Value, depth: int) -> None:
        """Write a value."""
        if isinstance(value, Atom):
            self.add(plain(value.value))
        elif isinstance(value, Name):
            self.add(value.name)
        elif depth > DEEPESTSHOWN:
            self.add(CUT)
        else:
            opening, closing = brackets(value)
            self.add(opening)
            if value.kind == 'dict' and not value.calls:
                self.pairs(value.items, depth)
            else:
                self.row(value.items, depth)
            single = value.kind == 'tuple' and len(value.items) == 1
            self.add(',' + closing if single else closing)

    def row(self, items: list[Value], depth: int) -> None:
        """Write values, with commas."""
        for number, each in enumerate(items):
            self.add(', ' if number else '')
            self.put(each, depth + 1)

    def pairs(self, items: list[Value], depth: int) -> None:
        """Write keys with their values."""
        for number in range(0, len(items) - 1, 2):
            key, value = items[number:number + 2]
            self.add(', ' if number else '')
            self.put(key, depth + 1)
            self.add(': ')
            self.put(Name(DOTS) if self.hides(textOf(key)) else value, depth + 1)


def brackets(node: Node) -> tuple[str, str]:
    """What stands around the parts of a value."""
    if node.calls:
        return f'{node.kind}(', ')'
    if node.kind == 'frozenset' or node.kind == 'set' and not node.items:
        return f'{node.kind}([' if node.items else f'{node.kind}(', '])' if node.items else ')'
    return BRACKETS[node.kind]
