# SPDX-License-Identifier: ZPL-2.1
"""RelStorage's cache loses count of what it forgets, and in the end keeps hardly any object.

The weight of an object's older revisions is not subtracted when they go: after enough changes the
cache believes to be full, and throws out what was just put in.

Exit status 1 when the fault is there, 0 when it is not.
"""
import sys

from relstorage.cache.local_client import LocalClient
from relstorage.options import Options

OBJECTS = range(1, 101)


def main():
    cache = LocalClient(Options(cache_local_mb=1))
    kept = 0
    for tid in range(1, 201):
        cache.set_all_for_tid(tid, [(b'x' * 100, oid, None) for oid in OBJECTS])
        cache.freeze(dict.fromkeys(OBJECTS, tid))
        kept = sum((oid, None) in cache for oid in OBJECTS)
        if tid in (1, 50, 100, 200):
            print(f'after {tid} revisions of {len(OBJECTS)} objects of 100 bytes, a cache of 1 MB '
                  f'has {kept} of them')
    return kept < len(OBJECTS) / 2


if __name__ == '__main__':
    sys.exit(main())
