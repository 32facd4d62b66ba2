# SPDX-License-Identifier: ZPL-2.1
"""How objects that hold many values keep them: pickled for themselves, or appended piece by
piece."""
from __future__ import annotations

import pickle
from collections.abc import Iterable
from itertools import islice
from typing import Any

from persistent import Persistent

from p01.remote.ground.door import Closed

PROTOCOL, LIST, APPEND, APPENDEND = b'\x80\x03', pickle.EMPTY_LIST, pickle.APPEND, pickle.STOP
LISTHEAD = PROTOCOL + LIST


class Packed(Closed, Persistent):
    """Keeps one dict as a pickle of its own within its state.

    The database's pickler asks of each value whether it is persistent, which took half of the time
    of a commit; and one value that fails to load would take all others with it. The named tuples in
    it are stored as plain ones, which takes a third of the time.
    """

    _packed: str        # which attribute

    def __getstate__(self) -> Any:
        state = super().__getstate__()
        if state is not None:
            state[self._packed] = pickle.dumps(self.toStored(state[self._packed]), 4)
        return state

    def __setstate__(self, state: Any) -> None:
        super().__setstate__({**state,
                              self._packed: self.fromStored(pickle.loads(state[self._packed]))})

    def toStored(self, values: dict[int, Any]) -> dict[int, Any]:
        """The dict as it is stored."""
        return values

    def fromStored(self, stored: dict[int, Any]) -> dict[int, Any]:
        """The dict of what is stored."""
        return stored


def piece(value: Any) -> bytes:
    """A value as an item of the pickle of a list, which is HEAD, such pieces and END.

    Of protocol 3: in later ones, what a piece memorizes would have other numbers behind other
    pieces.
    """
    return pickle.dumps(value, 3)[len(PROTOCOL):-len(APPENDEND)] + APPEND


class Appended(Closed, Persistent):
    """Entries that are only appended: each is pickled once, however often the journal is written.

    The pickles of all entries since the last writing make one piece; the pieces together are the
    pickle of a list. A journal with Payloads in it is left to the database's pickler, which makes
    references of them.
    """

    entries: dict[int, Any]
    references = False
    # of which entries the first so many are in these pieces
    _v_kept: tuple[dict[int, Any], int, bytes] | None = None

    def __getstate__(self) -> Any:
        state = super().__getstate__()
        if state is not None and not self.references:
            state['entries'] = self.kept()
        return state

    def __setstate__(self, state: Any) -> None:
        entries = state['entries']
        if isinstance(entries, bytes):
            super().__setstate__({**state, 'entries': {}})
            for piece in pickle.loads(LISTHEAD + entries + APPENDEND):
                self.entries.update(self.fromStored(piece))
        else:
            super().__setstate__(state)

    def kept(self) -> bytes:
        """All entries, in pieces."""
        of, count, pieces = self._v_kept or (None, 0, b'')
        if of is not self.entries or count > len(self.entries):
            count, pieces = 0, b''
        new = self.toStored(islice(self.entries.items(), count, None))
        if new:
            pieces += piece(new)
            self._v_kept = self.entries, len(self.entries), pieces
        return pieces

    def toStored(self, entries: Iterable[tuple[int, Any]]) -> list[tuple[int, Any]]:
        """The entries as they are stored."""
        return list(entries)

    def fromStored(self, stored: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
        """The entries of what is stored."""
        return stored
