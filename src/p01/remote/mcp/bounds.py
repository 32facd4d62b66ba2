# SPDX-License-Identifier: ZPL-2.1
"""Answers within bounds: whoever reads them has a small memory, and jobs say what they like.
Pure."""
from __future__ import annotations

import json
from typing import Any

from p01.remote.ground.values import Plain

MOSTANSWER = 60_000             # characters of an answer, as JSON
CUTS = (4_000, 1_000, 200)      # characters of a text; the next one where an answer is too large
MOSTENTRIES = 100               # entries of a list
UNCUT = 'next', 'token'         # what has to come back as it was


def bounded(answer: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """An answer of what JSON has, and its text. Where something is left out, it has cut: true."""
    plain = Plain().of(answer)
    for most in CUTS:
        cut = Cut(most)
        found = {key: value if key in UNCUT else cut.of(value) for key, value in plain.items()}
        found |= {'cut': True} if cut.any else {}
        text = json.dumps(found, allow_nan=False)
        if len(text) <= MOSTANSWER:
            break
    return found, text


class Cut:
    """Cuts texts and lists within a value; any: whether it had to."""

    def __init__(self, most: int) -> None:
        self.most, self.any = most, False

    def of(self, value: Any) -> Any:
        """A value within bounds."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            self.any |= len(value) > MOSTENTRIES
            return [self.of(each) for each in value[:MOSTENTRIES]]
        if isinstance(value, dict):
            self.any |= len(value) > MOSTENTRIES
            return {self.text(key): self.of(each)
                    for key, each in list(value.items())[:MOSTENTRIES]}
        return value

    def text(self, text: str) -> str:
        """A text: of a longer one its beginning and its end, of which tracebacks and logs have the
        more important one."""
        if len(text) <= self.most:
            return text
        self.any = True
        left = f' … {len(text) - self.most:,} characters are left out … '
        begin = self.most // 3
        return text[:begin] + left + text[begin - self.most:]
