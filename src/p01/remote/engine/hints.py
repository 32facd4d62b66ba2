# SPDX-License-Identifier: ZPL-2.1
"""What to add to errors of Python and of storages that say what went wrong, but not what to do."""
from __future__ import annotations

from ZODB.POSException import Unsupported

from p01.remote.ground.foreign import described

THREADHINT = 'main thread'      # as Python says it of signal.signal
HINT = ('; workers run jobs in other threads, and signals belong to the main one: use timeout=, or '
        'a process of its own')
BLOBHINT = ('; this database has no folder for blobs: keep data in files and store their paths, or '
         'name one in its address, as in postgresql://host/jobs?blobstorage_dir=/srv/blobs')


def hintFor(error: BaseException) -> str:
    """What to do about an error, as the end of a sentence; '' for most."""
    if type(error) is ValueError and 'signal' in described(error) \
            and THREADHINT in described(error):
        return HINT
    return BLOBHINT if isBlobless(error) else ''


def isBlobless(error: BaseException) -> bool:
    """Whether a storage refused a blob, as it will again."""
    return isinstance(error, Unsupported) and 'Blob' in described(error)
