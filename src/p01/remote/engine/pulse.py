# SPDX-License-Identifier: ZPL-2.1
"""The health file of `p01-remote worker`: touched as long as its processes live and work, and gone
when it has ended. For the probes of containers, see cli.health."""
from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

from p01.remote.engine.channel import Child
from p01.remote.engine.crew import Crew
from p01.remote.exceptions import InputError
from p01.remote.ground import blackbox
from p01.remote.ground.words import count
from p01.remote.options import SIGN

EVERY = 2.0         # seconds between two touches

logger = logging.getLogger('p01.remote')


class Pulse:
    """Touches a file at a path, '' for none. Raises InputError where that cannot be written."""

    def __init__(self, path: str, crew: Crew) -> None:
        self.path = Path(path) if path else None
        self.crew = crew
        self.looked = -EVERY            # on the monotonic clock
        self.failed = False
        if self.path is not None:
            try:
                old = self.path.read_text(errors='replace').strip() if self.path.is_file() else ''
                if old and not SIGN.fullmatch(old):
                    raise InputError(f'{path} is there, and no health file; name one that is not '
                                     'there, since it is written anew and removed.')
                self.write('starts')
                self.path.unlink()      # nothing lives yet
            except OSError as error:
                raise InputError(f'The health file {path} cannot be written ({error.strerror}); '
                                 'name one in a folder that is there.') from error

    def beat(self, now: float) -> float:
        """Touch the file when it is time for that and all is well, now on the monotonic clock;
        returns the seconds until the next look, infinite for never."""
        if self.path is None:
            return float('inf')
        if now - self.looked >= EVERY:
            self.looked = now
            if self.well(now):
                try:
                    self.write(count(len(self.crew.children), 'worker process', 'es'))
                except OSError as error:
                    if not self.failed:
                        logger.warning('The health file %s cannot be written: %s', self.path, error)
                    self.failed = True
        return max(0.0, self.looked + EVERY - now)

    def well(self, now: float) -> bool:
        """Whether all processes live, and work: each gives signs of life within its lease."""
        children = [child for child, _ in self.crew.children.values()]
        return bool(children) and not self.crew.due and all(
            child.works and child.alive() and self.lives(child, now) for child in children)

    def lives(self, child: Child, now: float) -> bool:
        """Whether a process has given a sign of life; one that has found no place for its black box
        gives none that could be read."""
        if not child.box:
            return True
        for box in self.crew.boxes(child.pid):
            with suppress(OSError, ValueError):
                if blackbox.read(box).head.beat > now - self.crew.options.lease:
                    return True
        return False

    def write(self, text: str) -> None:
        """Write the file anew. Raises OSError."""
        assert self.path is not None
        fresh = self.path.with_name(f'{self.path.name}.{os.getpid()}')
        fresh.write_text(f'{text}\n')
        fresh.replace(self.path)

    def end(self) -> None:
        """There is nothing any more that could live."""
        if self.path is not None:
            with suppress(OSError):
                self.path.unlink()
