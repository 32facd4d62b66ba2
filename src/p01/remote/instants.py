# SPDX-License-Identifier: ZPL-2.1
"""Instants and durations at the door: checked once, then plain floats of seconds everywhere."""
import math
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from p01.remote.exceptions import InputError, NoZone
from p01.remote.ground import spans
from p01.remote.ground.foreign import short

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRSTINSTANT = -62135596800.0          # the first second of year 1 and the end of year 9999: what a
# datetime can show, so that a due time can always be displayed
LASTINSTANT = 253402300800.0
# seconds, some 285 years: what is longer is a mistake, and Python cannot wait for it
LONGESTSPAN = 9e9


def seconds(instant: float | datetime, name: str = 'now') -> float:
    """POSIX seconds of an instant given as such or as an aware datetime; else InputError."""
    if isinstance(instant, datetime):
        if instant.utcoffset() is None:
            raise InputError(f'{name} must be a timezone-aware datetime, not the naive '
                             f'{instant!r}; give it a zone, as its astimezone() does.')
        value = instant.timestamp()
    else:
        value = _number(instant, name, 'POSIX seconds or a timezone-aware datetime')
    if not FIRSTINSTANT <= value < LASTINSTANT:
        raise InputError(f'{name} must lie within the years 1 to 9999: {short(instant)}')
    return value


def utc(instant: float) -> datetime:
    """The aware UTC datetime of POSIX seconds; InputError outside the years 1 to 9999."""
    # not fromtimestamp: that one asks the platform, and some platforms refuse years before 1970
    return EPOCH + timedelta(seconds=seconds(instant, 'The instant'))


def duration(value: float | timedelta | str, name: str = 'delay', bare: bool = False,
             most: float = LONGESTSPAN) -> float:
    """Seconds, 0 or more and finite, of a number of them, a timedelta, or a text such as '90s',
    '10m'; else InputError.

    A text without a unit is seconds only when bare: on a command line, where all is text.
    """
    if isinstance(value, timedelta):
        length = value.total_seconds()
    elif isinstance(value, str):
        length = _lengthOf(str.__str__(value), name, bare)
    else:
        length = _number(value, name, "seconds, a timedelta, or a text such as '10m'")
    if length < 0:
        raise InputError(f'{name} must not be negative: {short(value)}')
    if length > most:
        raise InputError(f'{name} must be below 280 years, not {short(value)}.')
    return length


def dated(text: str, name: str = 'The date') -> float:
    """POSIX seconds of 2026-01-31 or 2026-01-31T08:30, of UTC unless it says otherwise; else
    InputError."""
    try:
        found = datetime.fromisoformat(text)
        return seconds(found if found.tzinfo else found.replace(tzinfo=UTC), name)
    except (ValueError, OverflowError):
        raise InputError(
            f'{short(text)} is no date; write one as 2026-01-31 or 2026-01-31T08:30.') from None


def instantOf(text: str, now: float, name: str = 'The instant') -> float:
    """POSIX seconds of how long ago, as 10m, 2h, 1d, or of a date; else InputError."""
    length = spans.parsed(text, bare=True)
    if length is not None and length <= LONGESTSPAN:
        return now - length
    try:
        return dated(text, name)
    except InputError:
        raise InputError(f'{short(text)} is no instant; write how long ago, as 10m, 2h or 1d, or a '
                         'date as 2026-01-31T08:30.') from None


def zone(name: str) -> tzinfo:
    """The time zone of an IANA name such as 'Europe/Zurich'. Raises NoZone."""
    if name == 'UTC':
        return UTC         # needs no time zone files
    try:
        if isinstance(name, str):
            return ZoneInfo(name)
    except (LookupError, ValueError, OSError):      # 'Europe' is a folder
        pass
    raise NoZone(f'No time zone is named {short(name)}; write one like Europe/Zurich, or UTC (and '
                     'install tzdata where the system has no time zones).')


def offset(tz: tzinfo, instant: float) -> int:
    """What a zone's clock is ahead of UTC at an instant, in seconds."""
    ahead = utc(instant).astimezone(tz).utcoffset()
    return round(ahead.total_seconds()) if ahead else 0


def clockChange(tz: tzinfo, start: int, end: int, shift: int) -> int | None:
    """The first whole second after start, up to end, at which the zone's offset is not shift; or
    None."""
    low = start
    while low < end:
        # half a day at a time: no zone has changed its clock twice within that
        high = min(low + 43200, end)
        if offset(tz, high) != shift:
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if offset(tz, middle) != shift else (middle, high)
            return high
        low = high
    return None


def _number(value: object, name: str, wanted: str) -> float:
    # bool is an int to Python; here True is always a mistake
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f'{name} must be {wanted}, not {short(value)}.')
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError(f'{name} must be a finite number of seconds, not {short(value)}.')
    return number


def _lengthOf(text: str, name: str, bare: bool) -> float:
    length = spans.parsed(text, bare)
    if length is not None:
        return length
    # right but for its sign, or for a unit
    if spans.parsed(text.strip().removeprefix('-'), True) is not None:
        if text.strip().startswith('-'):
            raise InputError(f'{name} must not be negative: {short(text)}.')
        raise InputError(f'{name} needs a unit in a text, as 90s or 10m; {short(text)} has none.')
    raise InputError(f"{name} must be seconds, a timedelta, or a text such as '90s', '10m', '2h', "
                     f"'1d', not {short(text)}.")
