# SPDX-License-Identifier: ZPL-2.1
"""What a process of a pool does: one job after the other, until its worker is gone."""
from __future__ import annotations

import os
import select
import signal
import socket
import struct
import sys
import threading
from contextlib import suppress

from p01.remote.engine.executors.remote import call

FRAMELENGTH = struct.Struct('<Q')        # how much is sent, in front of it
PARENTLOOK = 1.0                    # seconds between two looks at whether the worker lives


def main(link: int, heard: int) -> None:
    """Run the jobs that come over a socket, and answer each."""
    # terminals and service managers send these to all, and the worker acts on them; what a job
    # starts shall not ignore them
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: None)
    threading.Thread(target=watch, args=(heard, os.getppid()), daemon=True).start()
    with socket.socket(fileno=link) as sock:
        while True:
            head = receive(sock, FRAMELENGTH.size)
            answer = call(receive(sock, *FRAMELENGTH.unpack(head)))
            sock.sendall(FRAMELENGTH.pack(len(answer)) + answer)


def receive(sock: socket.socket, count: int) -> bytes:
    """So many bytes; this process ends when there are no more."""
    data = bytearray()
    while len(data) < count:
        found = sock.recv(min(count - len(data), 1 << 20))
        if not found:
            end()
        data += found
    return bytes(data)


def watch(heard: int, parent: int) -> None:
    """End with the worker, whatever the job is at."""
    while os.getppid() == parent and not select.select([heard], [], [], PARENTLOOK)[0]:
        pass
    end()


def end() -> None:
    """End, whatever threads a job has left."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(0)
