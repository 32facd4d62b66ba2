# SPDX-License-Identifier: ZPL-2.1
"""What a service manager is told: systemd's protocol of NOTIFY_SOCKET, a datagram of lines, and its
watchdog."""
from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

SHARE = 2           # signs of life within the time that the watchdog gives


class Notices:
    """Tells whoever started this process how it stands, where he wants to know."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self.place = environ.get('NOTIFY_SOCKET', '')
        self.every = 0.0                # seconds between two signs of life; 0 for none
        self.told = 0.0                 # when the last one was given, on the monotonic clock
        if environ.get('WATCHDOG_PID', str(os.getpid())) == str(os.getpid()):
            with suppress(ValueError):
                self.every = int(environ.get('WATCHDOG_USEC', '0')) / 1e6 / SHARE

    def tell(self, *lines: str) -> None:
        """Tell lines such as READY=1; nobody is waited for."""
        if not self.place:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX,
                                              socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as way:
            way.setblocking(False)
            way.sendto('\n'.join(lines).encode(),
                       '\0' + self.place[1:] if self.place[0] == '@' else self.place)

    def beat(self, now: float) -> float:
        """Give a sign of life when it is time for one, now on the monotonic clock; returns the
        seconds until the next one is due, infinite for never."""
        if not self.every:
            return float('inf')
        if now - self.told >= self.every:
            self.told = now
            self.tell('WATCHDOG=1')
        return max(0.0, self.told + self.every - now)
