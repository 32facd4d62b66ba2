# SPDX-License-Identifier: ZPL-2.1
"""What a process of a pool does: one job after the other, until its worker is gone.

The board and the box of its worker are mapped here as well: what a job says is there for all who
look, as if it ran in the worker, and stays when this process dies; that it is to end, it sees at
its next look.
"""
from __future__ import annotations

import mmap
import os
import select
import signal
import socket
import struct
import sys
import threading
from contextlib import suppress

from p01.remote.engine import stacks
from p01.remote.engine.executors.remote import call
from p01.remote.ground import notes
from p01.remote.ground.boards import Area
from p01.remote.ground.foreign import guarded

FRAMELENGTH = struct.Struct('<Q')        # how much is sent, in front of it
PARENTLOOK = 1.0                    # seconds between two looks at whether the worker lives


class Mapped:
    """What is mapped of the worker's board and box, see seams.Contact. Board and number of the area
    that is ours there: the number is 0 for none."""

    def __init__(self, board: int, number: int, box: int) -> None:
        self.board = mmap.mmap(board, 0) if number else None
        self.box = mmap.mmap(box, 0, access=mmap.ACCESS_READ)
        self.number = number

    def area(self, jobid: int) -> Area | None:
        """See seams.Contact."""
        return None if self.board is None else Area(self.board, self.number, jobid)

    def asked(self, slot: int, jobid: int, began: float) -> bool:
        """See seams.Contact."""
        return notes.asked(self.box, slot, jobid, began) > 0.0


def main(link: int, heard: int, board: int, number: int, box: int, asks: int) -> None:
    """Run the jobs that come over a socket, and answer each; say over another one where they
    stand."""
    # terminals and service managers send these to all, and the worker acts on them; what a job
    # starts shall not ignore them
    for each in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(each, lambda each, frame: None)
    asked = socket.socket(fileno=asks)
    threading.Thread(target=watch, args=(heard, asked, os.getppid()), daemon=True).start()
    asked.send(f'{threading.get_ident():#x}'.encode())
    contact = Mapped(board, number, box)
    with socket.socket(fileno=link) as sock:
        while True:
            head = receive(sock, FRAMELENGTH.size)
            answer = call(receive(sock, *FRAMELENGTH.unpack(head)), contact)
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


def watch(heard: int, asks: socket.socket, parent: int) -> None:
    """Say where the job stands when that is asked for; end with the worker, whatever it is at."""
    found: list[int] = []
    while heard not in found and os.getppid() == parent:
        if asks.fileno() in found:
            guarded(answer, asks)
        found = select.select([heard, asks.fileno()], [], [], PARENTLOOK)[0]
    end()


def answer(asks: socket.socket) -> None:
    """Say where all threads stand but this one. Raises OSError where nobody hears it."""
    asks.recv(1)
    asks.send(stacks.threads(threading.get_ident()), socket.MSG_DONTWAIT)


def end() -> None:
    """End, whatever threads a job has left."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(0)
