# SPDX-License-Identifier: ZPL-2.1
"""What failed, by kind: the same job, the same error, raised in the same place. Of very many
failures the newest are looked at."""
from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from p01.remote.store.records import ERROR
from p01.remote.store.store import Store
from p01.remote.store.views import View
from p01.remote.views.figures import tallied
from p01.remote.views.filters import EVERYJOB, Filter, instantOf
from p01.remote.views.listing import Search
from p01.remote.views.traces import parsed

NEWESTFAILED = 1_000          # failed jobs that are looked at, unless one asks for others
ERRORCLASS = re.compile(r'[A-Za-z_][\w.]*')
DIGITRUNS = re.compile(r'\d+')
MESSAGE = 300           # characters of a message that are shown


class Failure(NamedTuple):
    """A kind of failure. Instants are POSIX seconds, of the ends of its jobs."""

    key: str                    # short, the same wherever it is asked for
    job: str                    # the job's name
    error: str                  # the class of the error; '' where only a sentence is kept
    message: str                # of the newest
    place: str                  # where it was raised; '' when nobody knows
    jobids: tuple[int, ...]     # the newest first
    ends: tuple[float, ...]     # of each

    @property
    def title(self) -> str:
        """The class of the error, or its sentence."""
        return self.error or self.message


class Failures(NamedTuple):
    """Kinds of failure, the most frequent first. looked: how many failed jobs were looked at;
    total: how many there are."""

    kinds: tuple[Failure, ...]
    looked: int
    total: int
    whole: bool             # whether all of the filter were looked at


def failuresOf(store: Store, which: Filter = EVERYJOB, most: int = NEWESTFAILED,
               total: int | None = None, sought: int | None = None) -> Failures:
    """The kinds of failure among the newest failed jobs of a filter. total: how many failed jobs
    there are, where somebody has counted already; sought: for those of the filter so many are
    looked at, None for all."""
    search = Search(sought)
    found: dict[str, Failure] = {}
    looked = 0
    for view in failed(store, which, most, search):
        looked += 1
        kind = kindOf(view)
        known = found.get(kind.key)
        found[kind.key] = kind if known is None else known._replace(
            jobids=known.jobids + kind.jobids, ends=known.ends + kind.ends)
    kinds = sorted(found.values(), key=lambda kind: (-len(kind.jobids), -kind.jobids[0]))
    if total is None:
        total = sum(count for (_, status), count in tallied(store).items() if status == ERROR)
    return Failures(tuple(kinds), looked, total,
                    not search.over and (looked < most or looked >= total))


def failed(store: Store, which: Filter, most: int, search: Search) -> Iterator[View]:
    """The newest failed jobs of a filter."""
    return islice(search.find(store, which._replace(stati=(ERROR,))), most)


def kindOf(view: View) -> Failure:
    """The kind of failure of one failed job."""
    reason = view.error
    trace = parsed(view.attempts[-1].trace) if view.attempts else None
    error, colon, message = reason.partition(':')
    if not (ERRORCLASS.fullmatch(error) and (colon or error == reason)):
        error, message = '', reason
    raised = trace.raised if trace is not None else None
    place = raised.place if raised is not None else ''
    # what has no class is told apart by its sentence, without the numbers in it
    told = error or DIGITRUNS.sub('0', message)
    key = hashlib.blake2b('\0'.join((view.record.name, told,
                                     place)).encode('utf-8', 'surrogatepass'),
                          digest_size=6)
    return Failure(key.hexdigest(), view.record.name, error, message.strip()[:MESSAGE], place,
                   (view.id,), (instantOf(view),))
