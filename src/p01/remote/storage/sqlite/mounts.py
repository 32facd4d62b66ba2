# SPDX-License-Identifier: ZPL-2.1
"""Which file systems can have a database: processes share memory by way of a file, and locks, which
a network's do not keep."""
from __future__ import annotations

import re
from pathlib import Path

from p01.remote.storage.sqlite.schema import Unfit

TABLE = Path('/proc/mounts')        # Linux; elsewhere nobody is asked
REMOTE = ('nfs', 'cifs', 'smb', 'ncpfs', 'afs', 'fuse.sshfs', 'fuse.gvfs', 'fuse.rclone',
          'fuse.s3fs')


def check(folder: Path) -> None:
    """Raises Unfit for a folder of another host."""
    kind = kindOf(folder)
    if kind.startswith(REMOTE):
        raise Unfit(f'{folder} is on another host ({kind}), where neither the locks nor the shared '
                    'memory of SQLite are safe; choose a folder on a local disk, or postgresql: or '
                    'zeo: for several hosts.')


def kindOf(folder: Path) -> str:
    """The kind of file system in which a folder is; '' where nobody knows."""
    try:
        lines = TABLE.read_text(errors='surrogateescape').splitlines()
    except OSError:
        return ''
    found, kind = Path(), ''
    place = folder.resolve()
    for line in lines:
        fields = line.split(' ')
        point = Path(re.sub(r'\\([0-7]{3})', lambda octal: chr(int(octal[1], 8)), fields[1]))
        # the last one mounted there
        if place.is_relative_to(point) and len(point.parts) >= len(found.parts):
            found, kind = point, fields[2]
    return kind
