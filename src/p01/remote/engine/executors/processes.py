# SPDX-License-Identifier: ZPL-2.1
"""Jobs in processes of the worker's own, one job at a time in each: when one dies, everybody knows
which job it was at, and no other one is touched. concurrent.futures.ProcessPoolExecutor loses all
of them, and blames nobody.

What a job says it writes into an area of the worker's board, which its process maps as well.
"""
from __future__ import annotations

import asyncio
import marshal
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Collection
from contextlib import ExitStack, suppress

from p01.remote.engine import progress
from p01.remote.engine.channel import flags
from p01.remote.engine.executors import remote
from p01.remote.engine.executors.child import FRAMELENGTH
from p01.remote.engine.executors.ends import heard
from p01.remote.engine.executors.inquiry import Inquiry, answers
from p01.remote.engine.seams import Attempted, Hearing
from p01.remote.exceptions import WorkerDied
from p01.remote.ground.blackbox import howOf
from p01.remote.ground.boards import Area

# nothing is imported before the paths are those of the worker but what is within Python
POOLCODE = """import marshal, sys
sys.path[:], sys.argv[:] = marshal.load(open({heard}, 'rb', closefd=False))
from p01.remote.engine.executors.child import main
main({link}, {heard}, {board}, {number}, {box}, {asks})"""


class Child:
    """A process of the pool, on this event loop, for a job and those behind it. Started anew:
    nobody may fork with an open database. Raises OSError."""

    def __init__(self, job: Attempted) -> None:
        # plain texts: an application may have put paths there
        data = marshal.dumps(([str(each) for each in sys.path], [str(each) for each in sys.argv]))
        self.events = asyncio.get_running_loop()
        self.answer: asyncio.Future[bytes] = self.events.create_future()
        self.data = bytearray()
        self.users, self.lock = 1, threading.Lock()
        with ExitStack() as ours, ExitStack() as theirs:        # what cannot begin leaves nothing
            box = job.home.post.box.handle()
            theirs.callback(os.close, box)
            # its area is its own until it has ended, as it may be amidst writing when it is killed,
            # and what its job has said is read
            self.board = progress.boardOf(job.db) if job.db is not None else None
            self.number = self.board.lend() if self.board is not None else 0
            ours.callback(self.leave)
            self.link, link = socket.socketpair()
            ours.enter_context(self.link)
            theirs.enter_context(link)
            self.link.setblocking(False)
            heard, self.lifeline = os.pipe()        # ends with this process
            ours.callback(os.close, self.lifeline)
            theirs.callback(os.close, heard)
            self.inquiry = Inquiry()
            ours.callback(self.inquiry.close)
            asks = theirs.enter_context(self.inquiry.theirs)
            handles = [link.fileno(), heard, box, asks.fileno(),
                       *([] if self.board is None else [self.board.file.fileno()])]
            code = POOLCODE.format(link=handles[0], heard=heard, box=box, number=self.number,
                                   board=handles[-1], asks=handles[3])
            self.process = subprocess.Popen(
                [sys.executable, *flags(sys.orig_argv), '-c', code],
                stdin=subprocess.DEVNULL, pass_fds=handles)
            self.inquiry.pid = self.process.pid
            threading.Thread(target=self.watch, daemon=True,
                             name=f'p01.remote.child.{self.process.pid}').start()
            ours.pop_all()
        with suppress(BrokenPipeError), open(self.lifeline, 'wb', closefd=False) as file:
            file.write(data)
        self.events.add_reader(self.link, self.read)

    def leave(self, number: int = 0) -> None:
        """Its process has ended, or a job has that was heard; its area is free when both have."""
        if self.board is None or not self.number:
            return
        with self.lock:
            self.users -= 1
            last = not self.users
        if last:
            self.board.give(self.number)
        elif number:
            self.board.clear(number)

    async def ask(self, job: Attempted) -> bytes:
        """What it answers. Raises WorkerDied when it dies instead."""
        data, self.inquiry.job = remote.pack(job), job
        if self.board is not None and self.number:
            with self.lock:
                lives = self.users > 0      # else its area may be somebody else's by now
                self.users += lives
            if lives:
                job.area = Area(self.board.map, self.number, job.task.id, self.leave)
        self.answer, self.data = self.events.create_future(), bytearray()
        if self.process.poll() is not None:
            self.died(self.process.returncode)
        with suppress(OSError):                     # it dies, which is seen elsewhere
            await self.events.sock_sendall(self.link, FRAMELENGTH.pack(len(data)) + data)
        return await heard(self.answer, job)

    def read(self) -> None:
        """Something has come."""
        try:
            found = self.link.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            found = b''
        if not found:
            self.events.remove_reader(self.link)
            return
        self.data += found
        head = FRAMELENGTH.size
        if len(self.data) < head or self.answer.done():
            return
        if len(self.data) >= head + FRAMELENGTH.unpack_from(self.data)[0]:
            self.answer.set_result(bytes(self.data[head:]))

    def watch(self) -> None:
        """Wait for its end, in a thread."""
        code = self.process.wait()
        self.leave()
        with suppress(RuntimeError):                # the event loop has ended
            self.events.call_soon_threadsafe(self.died, code)

    def died(self, code: int) -> None:
        """It has ended; what it had answered counts."""
        if self.link.fileno() >= 0 and not self.answer.done():
            self.read()
        if not self.answer.done():
            self.answer.set_exception(WorkerDied(howOf(code)))
            self.answer.exception()                 # seen, should nobody wait for it
        self.close()

    def close(self) -> None:
        """End it; on its event loop, or when that has ended."""
        self.process.kill()
        if self.link.fileno() >= 0:
            with suppress(RuntimeError):
                self.events.remove_reader(self.link)
            self.link.close()
            os.close(self.lifeline)
            self.inquiry.close()


class Processes:
    """So many of them at most, started when they are needed."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.idle: list[Child] = []
        self.children: set[Child] = set()

    async def run(self, job: Attempted) -> object:
        """What a job returns. Raises what it does, and WorkerDied. One that is cancelled is
        killed, unless it ends by itself within its grace."""
        child = self.free(job)
        try:
            answer = await child.ask(job)
        except BaseException:
            self.children.discard(child)
            child.close()
            raise
        job.silence()       # what it has said is read before the next one says anything there
        child.inquiry.job = None
        self.idle.append(child)
        return remote.result(answer)

    def free(self, job: Attempted) -> Child:
        """A process that runs nothing, for a job."""
        while self.idle:
            child = self.idle.pop()
            if child.process.poll() is None:
                return child
            self.children.discard(child)
        child = Child(job)
        self.children.add(child)
        return child

    def standing(self, jobs: Collection[Attempted]) -> Hearing:
        """See seams.Executor."""
        asked = [child.inquiry for child in list(self.children) if child.inquiry.job in jobs]
        for each in asked:
            each.ask()
        return lambda until: answers(asked, until)

    def close(self) -> None:
        """End all."""
        for child in self.children:
            child.close()
