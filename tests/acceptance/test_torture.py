# SPDX-License-Identifier: ZPL-2.1
"""Our own storages under contention, kills and packs for some seconds; tests/long does it for
longer."""
import random

import pytest

from tests import servers
from tests.acceptance.torture import torture

SECONDS = 6


@pytest.mark.parametrize('kind', ['sqlite', 'postgresql'])
def test_what_was_acknowledged_is_there(kind, tmp_path):
    print(tortured(kind, tmp_path, SECONDS))


def tortured(kind, folder, seconds):
    """So many seconds of it."""
    if kind == 'sqlite':
        return torture(f'sqlite:{folder / "jobs"}', folder, seconds)
    with servers.needed(servers.PostgreSQL) as server:
        return torture(server.database(), folder, seconds, lambda: strike(server))


def strike(server):
    """All connections go, or one, or the server."""
    match random.randrange(3):
        case 0:
            server.cut(server.made[-1])
        case 1:
            server.execute('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '
                           f"'{server.made[-1]}' ORDER BY random() LIMIT 1")
        case 2:
            server.restart()
