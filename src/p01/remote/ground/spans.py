# SPDX-License-Identifier: ZPL-2.1
"""Durations as people write them: 90s, 10m, 1.5h, 2d, 1h30m."""
import re

UNITS = {'ms': 0.001, 's': 1.0, 'sec': 1.0, 'm': 60.0, 'min': 60.0, 'h': 3600.0, 'd': 86400.0,
         'w': 604800.0}
SPANUNITS = (('week', 604800.0), ('day', 86400.0), ('hour', 3600.0), ('minute', 60.0))
NUMBER = r'(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)'
PART = re.compile(rf'({NUMBER})\s*([a-z]+)\s*')
BARE = re.compile(NUMBER)


def parsed(text: str, bare: bool = False) -> float | None:
    """The seconds of a text; None when it is no duration. A number without a unit is one, of
    seconds, only when bare.

    May be infinite, never negative.
    """
    text = text.strip().lower()
    if bare and BARE.fullmatch(text):
        return float(text)
    total, at = 0.0, 0
    while at < len(text):
        found = PART.match(text, at)
        if found is None or found[2] not in UNITS:
            return None
        total, at = total + float(found[1]) * UNITS[found[2]], found.end()
    return total if at else None


def worded(seconds: float) -> str:
    """A duration of more than 0 s in words: 15 minutes, 1 hour 30 minutes, 2.5 seconds."""
    if seconds < 1:
        return f'{seconds * 1000:g} ms'
    parts = []
    rest = seconds
    for word, length in SPANUNITS:
        number, rest = divmod(rest, length)
        if number:
            parts.append(f'{number:.0f} {word}{"" if number == 1 else "s"}')
    if rest:
        parts.append(f'{rest:g} second{"" if rest == 1 else "s"}')
    return ' '.join(parts)
