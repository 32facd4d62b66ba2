# SPDX-License-Identifier: ZPL-2.1
"""PgQueuer and Procrastinate on the same PostgreSQL server, each in a fresh database, as their
manuals recommend.

All jobs are in the database, and its statistics are up to date, before a worker starts. The clock
runs from the end of the first job to the end of the last one; what they still have to write then is
not counted.
"""
from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any

from bench.hands import together

BATCH = 100         # jobs in one query of PgQueuer
BULK = 1_000        # jobs in one statement, when they are enqueued
NEEDED = {'pgqueuer': ('pgqueuer', 'asyncpg', 'uvloop'),
          'procrastinate': ('procrastinate', 'psycopg')}
# of jobs: their number, and the instants of the first and the last end
Ends = tuple[int, float, float]


def lack(name: str) -> str:
    """What is to be installed before this one can be measured; '' for nothing."""
    missing = [package for package in NEEDED[name] if find_spec(package) is None]
    return f'not installed: pip install {" ".join(missing)}' if missing else ''


def pgqueuerRate(server: Any, count: int, processes: int) -> float:
    """Jobs per second of so many processes; the jobs do nothing."""
    import uvloop
    parts = {**server.parts, 'dbname': server.create()}
    uvloop.run(_fillPgqueuer(parts, count))
    return _rate(_pgqueuer, parts, processes, count)


def procrastinateRate(server: Any, count: int, update: bool) -> float:
    """Jobs per second of one process that does one job after the other, which do nothing, or update
    and commit one row."""
    parts = {**server.parts, 'dbname': server.create()}
    asyncio.run(_fillProcrastinate(parts, count, update))
    return _rate(_procrastinate, parts, 1, count)


def _rate(serve: Callable[[dict[str, str], Connection], None], parts: dict[str, str],
          processes: int, count: int) -> float:
    """Jobs per second of so many processes, which begin together."""
    told: list[Ends] = [ends for ends in together(serve, (parts,), processes) if ends[0]]
    done = sum(number for number, _, _ in told)
    if done != count:
        raise RuntimeError(f'{done} jobs of {count} have run.')
    return (count - 1) / (max(last for _, _, last in told) - min(first for _, first, _ in told))


def _ends(instants: list[float]) -> Ends:
    return (len(instants), instants[0], instants[-1]) if instants else (0, 0.0, 0.0)


# -- PgQueuer: asyncpg and uvloop, as its own command and its own benchmark

def _asyncpg(parts: dict[str, str]) -> Any:
    import asyncpg
    return asyncpg.connect(host=parts['host'], port=int(parts['port']), user=parts['user'],
                           database=parts['dbname'])


async def _fillPgqueuer(parts: dict[str, str], count: int) -> None:
    from pgqueuer import AsyncpgDriver, Queries
    connection = await _asyncpg(parts)
    queries = Queries(AsyncpgDriver(connection))
    await queries.install()
    for first in range(0, count, BULK):
        numbers = range(first, min(first + BULK, count))
        await queries.enqueue(['nothing'] * len(numbers), [str(number).encode()
                                                           for number
                                                           in numbers], [0] * len(numbers))
    await connection.execute('VACUUM ANALYZE')
    await connection.close()


def _pgqueuer(parts: dict[str, str], line: Connection) -> None:
    import uvloop
    uvloop.run(_drainPgqueuer(parts, line))


async def _drainPgqueuer(parts: dict[str, str], line: Connection) -> None:
    from pgqueuer import Job, PgQueuer
    from pgqueuer.types import QueueExecutionMode
    connection = await _asyncpg(parts)
    worker, instants = PgQueuer.from_asyncpg_connection(connection), []

    @worker.entrypoint('nothing')
    async def nothing(job: Job) -> None:
        instants.append(time.monotonic())

    line.send('ready')
    line.recv()
    await worker.run(batch_size=BATCH, mode=QueueExecutionMode.drain)
    line.send(_ends(instants))
    await connection.close()


# -- Procrastinate: coroutines on psycopg's pool, one at a time, the defaults of its worker

def _app(parts: dict[str, str], instants: list[float]) -> Any:
    import psycopg
    from procrastinate import App, PsycopgConnector
    where = psycopg.conninfo.make_conninfo(**parts)
    app = App(connector=PsycopgConnector(conninfo=where))
    kept: list[Any] = []

    @app.task(name='nothing')
    async def nothing(number: int) -> None:
        instants.append(time.monotonic())

    @app.task(name='update')
    async def update(number: int) -> None:
        if not kept:            # a connection that all jobs share, as an application would have it
            kept.append(await psycopg.AsyncConnection.connect(where, autocommit=True))
        await kept[0].execute('UPDATE counters SET value = value + 1 WHERE id = %s', [number])
        instants.append(time.monotonic())

    return app


async def _fillProcrastinate(parts: dict[str, str], count: int, update: bool) -> None:
    import psycopg
    app = _app(parts, [])
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        task = app.tasks['update' if update else 'nothing']
        for first in range(0, count, BULK):
            await task.batch_defer_async(*({'number': number}
                                           for number in range(first, min(first + BULK, count))))
    async with await psycopg.AsyncConnection.connect(psycopg.conninfo.make_conninfo(**parts),
                                                     autocommit=True) as connection:
        await connection.execute('CREATE TABLE counters (id integer PRIMARY KEY, value integer NOT '
                                 'NULL)')
        await connection.execute('INSERT INTO counters SELECT number, 0 FROM generate_series(0, '
                                 '%s) AS number', [count])
        await connection.execute('VACUUM ANALYZE')


def _procrastinate(parts: dict[str, str], line: Connection) -> None:
    asyncio.run(_drainProcrastinate(parts, line))


async def _drainProcrastinate(parts: dict[str, str], line: Connection) -> None:
    instants: list[float] = []
    app = _app(parts, instants)
    async with app.open_async():
        line.send('ready')
        line.recv()
        await app.run_worker_async(wait=False)
    line.send(_ends(instants))
