# SPDX-License-Identifier: ZPL-2.1
"""RelStorage's cache leaks each revision of an object that another one replaces, until the process
ends.

LocalClient.freeze and delitems, and set_all_for_tid, take an entry out of the native cache; what it
held is not freed, unless Python refers to the entry meanwhile.

Exit status 1 when the fault is there, 0 when it is not.
"""
import gc
import sys

from relstorage.cache.local_client import LocalClient
from relstorage.options import Options

MANY = 10_000


def blocks():
    """How many small pieces of memory the process has."""
    gc.collect()
    return sys.getallocatedblocks()


def revised(cache, after):
    """Many revisions of one object, each seen by all."""
    for tid in range(after + 1, after + MANY + 1):
        cache.set_all_for_tid(tid, [(b'x' * 100, 1, None)])
        cache.freeze({1: tid})


def dropped(cache, after):
    """Many objects, each of which has changed elsewhere."""
    for tid in range(after + 1, after + MANY + 1):
        cache.set_all_for_tid(tid, [(b'x' * 100, tid, None)])
        cache.delitems({tid: tid})


def main():
    faulty = False
    for use in (revised, dropped):
        cache = LocalClient(Options(cache_local_mb=10))
        use(cache, 0)
        before = blocks()
        use(cache, MANY)
        more = blocks() - before
        print(f'{use.__doc__} {MANY:,} times: {more:,} more pieces of memory, {len(cache)} objects '
              'in the cache')
        faulty |= more > MANY / 10
    return faulty


if __name__ == '__main__':
    sys.exit(main())
