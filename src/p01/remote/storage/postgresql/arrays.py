# SPDX-License-Identifier: ZPL-2.1
"""Values as PostgreSQL sends and takes them in binary."""
from __future__ import annotations

from collections.abc import Sequence
from struct import Struct, pack, unpack

INT8FORMAT = Struct('>q')
long = INT8FORMAT.pack                        # a bigint
INT8, BYTEA = 20, 17                    # of pg_type
NOLONGS = pack('>3i', 0, 0, INT8)       # a bigint[] without elements
NOBYTES = pack('>3i', 0, 0, BYTEA)      # such a bytea[]
ARRAYHEAD = 20                               # bytes before the elements, of one dimension


def longs(numbers: Sequence[int]) -> bytes:
    """A bigint[]."""
    count = len(numbers)
    if not count:
        return NOLONGS
    if count == 1:
        return pack('>6iq', 1, 0, INT8, 1, 1, 8, numbers[0])
    elements = [8] * (2 * count)
    elements[1::2] = numbers
    return pack(f'>5i{"iq" * count}', 1, 0, INT8, count, 1, *elements)


def numbers(value: bytes) -> Sequence[int]:
    """What is in a bigint[]."""
    count = (len(value) - ARRAYHEAD) // 12
    return unpack(f'>{"iq" * count}', value[ARRAYHEAD:])[1::2] if count > 0 else ()


def strings(values: Sequence[bytes]) -> bytes:
    """A bytea[]."""
    if not values:
        return NOBYTES
    parts = [pack('>5i', 1, 0, BYTEA, len(values), 1)]
    for value in values:
        parts += pack('>i', len(value)), value
    return b''.join(parts)
