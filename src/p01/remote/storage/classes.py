# SPDX-License-Identifier: ZPL-2.1
"""The classes of stored objects: to look for one may import a module, which is other people's
code."""
from __future__ import annotations

import logging
from typing import Any

from ZODB.broken import Broken, broken_cache, find_global
from ZODB.Connection import Connection

from p01.remote.ground.foreign import Raised, guarded, interrupts, reasonOf

logger = logging.getLogger('p01.remote')
_raised: set[str] = set()       # modules that raised, of which that has been told


def classOf(connection: Connection, module: str, name: str) -> Any:
    """The class of this name for a ZODB.DB; a broken one where it is gone, or where its module
    raises when it is imported.

    ZODB's own lets pass what a module raises, unless it is an ImportError: one object of such a
    class would take with it all that are named beside it, be it in the root of the database.
    """
    # guarded would be one more call for each object that is loaded
    try:
        return find_global(module, name)
    except BaseException as error:
        if interrupts(error):
            raise
        if module not in _raised:
            _raised.add(module)
            logger.error('Module %s raised when it was imported for objects in the database, which '
                         'cannot be loaded: %s',
                         module, reasonOf(error))
    return broken_cache.setdefault((module, name), type(name, (Broken,), {'__module__': module}))


def reasonFor(broken: object) -> str:
    """Why an object is broken: what importing its module raises, again."""
    kind = type(broken)
    found = guarded(__import__, kind.__module__)
    why = f': {reasonOf(found.error)}' if isinstance(found, Raised) else ''
    return f'its class {kind.__module__}.{kind.__name__} cannot be imported{why}'
