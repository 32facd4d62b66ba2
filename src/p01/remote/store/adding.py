# SPDX-License-Identifier: ZPL-2.1
"""How a job gets into the database: edge a of its life."""
from __future__ import annotations

from typing import Any

from p01.remote.store import uniques, writer
from p01.remote.store.records import Record


def put(store: Any, record: Record) -> tuple[int, int]:
    """Enqueue; returns the job's id, and how many jobs this transaction has enqueued here by now.

    When another job holds its unique key, it is that one's id, and 0. Raises TransactionOver when the transaction can take
    no more; nothing is changed then.
    """
    mine = None if writer.isLocal(store) else writer.writerOf(store)
    if mine is not None:
        mine.admit(store._p_jar)
    unique = (record.extras or {}).get('unique')
    if unique is not None:
        holder = uniques.holder(store, unique[0], record.created)
        if holder is not None:
            return holder, 0
    if mine is None:
        jobid, here = writer.local(store, record), 1
    else:
        jobid = mine.add(store._p_jar, record)
        here = mine.here
    if unique is not None:
        uniques.note(store, unique[0], jobid)
    return jobid, here
