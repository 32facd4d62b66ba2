# SPDX-License-Identifier: ZPL-2.1
"""The application whose workers of every kind are measured, see workers: what its jobs do, plain
and as an async def."""
from __future__ import annotations

import asyncio
import os
import time

from p01.remote import App

NAP = 0.01              # seconds that a job sleeps, or computes
LONGNAP = 0.25          # seconds that one takes on another machine
PAYLOAD = 1_000_000     # bytes

app = App(os.environ.get('P01_BENCH', 'memory:'))


@app.job
def nothing(data: bytes) -> None:
    """A no-op."""


@app.job
def sleep(data: bytes) -> None:
    """One that waits, as for an answer."""
    time.sleep(NAP)


@app.job
def compute(data: bytes) -> None:
    """One that holds the interpreter, for so much of the processor's time."""
    until = time.thread_time() + NAP
    while time.thread_time() < until:
        pass


@app.job
def payload(data: bytes) -> int:
    """One with a large argument."""
    return len(data)


@app.job(name='bench.crew.nothing, async')
async def nothingAsync(data: bytes) -> None:
    """A no-op."""


@app.job(name='bench.crew.sleep, async')
async def sleepAsync(data: bytes) -> None:
    """One that waits."""
    await asyncio.sleep(NAP)


@app.job(name='bench.crew.payload, async')
async def payloadAsync(data: bytes) -> int:
    """One with a large argument."""
    return len(data)


@app.job(name='bench.crew.nothing, detached', detached=True)
def nothingDetached(data: bytes) -> None:
    """A no-op, for an executor."""


@app.job(name='bench.crew.sleep, detached', detached=True)
def sleepDetached(data: bytes) -> None:
    """One that waits."""
    time.sleep(NAP)


@app.job(name='bench.crew.elsewhere, detached', detached=True)
def elsewhereDetached(data: bytes) -> None:
    """One that computes for long, elsewhere: here it only takes its time."""
    time.sleep(LONGNAP)


@app.job(name='bench.crew.compute, detached', detached=True)
def computeDetached(data: bytes) -> None:
    """One that holds the interpreter of its process."""
    until = time.thread_time() + NAP
    while time.thread_time() < until:
        pass


@app.job(name='bench.crew.payload, detached', detached=True)
def payloadDetached(data: bytes) -> int:
    """One with a large argument."""
    return len(data)
