# SPDX-License-Identifier: ZPL-2.1
"""Where the black boxes of a database lie, and who may write there."""
from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path


def folderFor(place: Path | None) -> Path:
    """Where the boxes of a database lie: beside it, or, when it is elsewhere, in a folder of this
    user on this host. Raises FileNotFoundError where no file can be temporary."""
    if place is not None:
        return place / 'workers'
    import tempfile  # here, since a supervisor needs none of what comes with it
    try:
        return Path(tempfile.gettempdir()) / f'p01.remote-{os.getuid()}'
    except FileNotFoundError:
        raise FileNotFoundError('this user can write temporary files nowhere; mount a folder for '
                                'them at /tmp, or name one in TMPDIR') from None


def listed(folder: Path, suffix: str, prefix: str = '') -> list[Path]:
    """The files of a folder whose names end and begin so; none where it is gone or cannot be read.
    Each may vanish at any time, as others tidy up."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [folder / name for name in names if name.startswith(prefix) and name.endswith(suffix)]


def prove(folder: Path) -> None:
    """Raises PermissionError for a folder among temporary files that others made, or may write to:
    they could have this process taken for dead."""
    try:
        others = folder != folderFor(None)
    except FileNotFoundError:
        others = True
    if not others:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
            raise PermissionError(errno.EPERM, 'is not of this user alone', str(folder))


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Look after the dead of a folder, one after the other; should one of us die amidst it, it is
    the next one's turn. Their own locks stay free, so that janitors see that they are dead."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
