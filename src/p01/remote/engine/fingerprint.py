# SPDX-License-Identifier: ZPL-2.1
"""Which code an application has: so that a worker which goes on with what it has loaded long ago
can be told of."""
from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from p01.remote.engine.seams import Application

# of the application that this process serves, as it was loaded; '' when nobody knows
serving = ''


def serve(app: Application) -> None:
    """Keep the fingerprint of the application that this process serves; it was loaded just now."""
    global serving
    serving = fingerprintOf(app)


def fingerprintOf(app: Application) -> str:
    """A checksum of the modules that have this App's jobs, as they stand on disk; '' when there is
    none to be read.

    Taken just after an application was loaded: what is imported later is not in it.
    """
    names = {job.function.__module__ for job in app.jobs.values()}
    found = hashlib.sha256()
    read = 0
    for name in sorted(names):
        try:
            data = Path(sys.modules[name].__file__ or '').read_bytes()
        except (KeyError, AttributeError, OSError):     # gone, of no file, or of a zip
            continue
        found.update(f'{name}\0{len(data)}\0'.encode() + data)
        read += 1
    return found.hexdigest()[:16] if read else ''
