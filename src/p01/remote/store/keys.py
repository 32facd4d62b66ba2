# SPDX-License-Identifier: ZPL-2.1
"""One integer that sorts jobs and holds their id. Pure."""

from p01.remote.ground.checks import HIGHEST, LOWEST  # noqa: F401 - both ends of what a key can hold

ORIGIN = 1_577_836_800          # 2020-01-01 UTC, in POSIX seconds
SHARDS = 8
LANES = 8                       # of a shard, at most
_ID, _RANK, _TIME = 40, 8, 51   # bits; 51 bits of microseconds reach to the year 2091
_IDS, _RANKS, _TIMES = (1 << _ID) - 1, (1 << _RANK) - 1, (1 << _TIME) - 1


def micros(instant: float) -> int:
    """Microseconds since ORIGIN of an instant in POSIX seconds, clipped to what a key can hold.

    Never rounded up beyond what a datetime shows of the instant: who waits until then must find the
    job due.
    """
    value = int((instant - ORIGIN) * 1_000_000 + 0.4)
    return value if 0 <= value <= _TIMES else min(max(value, 0), _TIMES)


def waitingKey(priority: int, instant: float, jobid: int) -> int:
    """Where a job stands in line: higher priority first, then the older one, then the smaller
    id."""
    return ((HIGHEST - priority) << _TIME | micros(instant)) << _ID | jobid


def dueKey(priority: int, instant: float, jobid: int) -> int:
    """Where a delayed job stands: the earlier due first, then higher priority, then the smaller
    id."""
    return (micros(instant) << _RANK | HIGHEST - priority) << _ID | jobid


def ripened(key: int) -> int:
    """The waiting key of a due key: a delayed job stands in line since the instant it was due."""
    rank, instant = key >> _ID & _RANKS, key >> _ID + _RANK
    return (rank << _TIME | instant) << _ID | key & _IDS


def idOf(key: int) -> int:
    """The job's id, of a key of either kind."""
    return key & _IDS


def rankOf(key: int) -> int:
    """What is compared before age: 0 for the highest priority; of a waiting key."""
    return key >> _ID + _TIME


def behind(key: int) -> int:
    """The waiting keys of all lower priorities are at least this."""
    return rankOf(key) + 1 << _ID + _TIME


def sinceOf(key: int) -> float:
    """Since when a job waits, of a waiting key, in POSIX seconds."""
    return (key >> _ID & _TIMES) / 1_000_000 + ORIGIN


def dueOf(key: int) -> float:
    """When a job is due, of a due key, in POSIX seconds."""
    return (key >> _ID + _RANK) / 1_000_000 + ORIGIN


def dueLimit(now: float) -> int:
    """The due keys of everything due now are at most this."""
    return (micros(now) << _RANK | _RANKS) << _ID | _IDS


def shardOf(first: int) -> int:
    """The shard of the segment that begins with this id.

    Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4): segments are of several
    sizes, so that the plain remainder would put a bulk's segments all into one shard.
    """
    return scattered(first) % SHARDS


def laneOf(first: int, lanes: int) -> int:
    """Which of so many lanes of its shard a segment belongs to."""
    return scattered(first) // SHARDS % lanes


def scattered(first: int) -> int:
    """A hash of the first id of a segment."""
    return first * 2_654_435_761 >> 13


def partsOf(shard: int, workers: int) -> int:
    """How many of so many workers share a shard: the r-th worker has the shard r modulo SHARDS."""
    return max(1, (workers - 1 - shard) // SHARDS + 1)


def ownerOf(shard: int, lane: int, workers: int) -> int:
    """Which of so many workers a lane is for; with fewer workers than shards, each has several
    shards."""
    return shard % workers + SHARDS * (lane % partsOf(shard, workers))
