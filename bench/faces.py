# SPDX-License-Identifier: ZPL-2.1
"""Whether each page of the dashboard and each answer of the API is there within 100 ms, in a
database with many jobs, see bench/crammed.py, asked over the wire after a commit each time; what a
304 and a first look cost; and what ten open tabs cost a worker."""
from __future__ import annotations

import gzip
import http.client
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench import hands, tasks
from bench.crammed import fill
from bench.place import Place
from bench.plan import Plan, alternate
from bench.table import Row, millis, perSecond
from p01.remote.engine.loop import Loop
from p01.remote.engine.process import load
from p01.remote.options import WorkerOptions
from p01.remote.views.filters import Filter
from p01.remote.views.listing import find

MIDDLE, LAST = 0.1, 0.3         # seconds: the goals at the median, and at the 99th percentile
FIRSTPAINT = 60_000             # bytes over the wire
TABS, PACE = 10, 2.0            # seconds between two looks of a tab
TOKEN = 'a-token-of-the-bench'
QUEUE = 'bench'                 # of the jobs beside which tabs are open
AUTHORIZED = {'Authorization': f'Bearer {TOKEN}'}
PAGES = (('overview', '/'), ('overview of a day', '/?span=day'),
         ('overview of a month', '/?span=month'), ('jobs', '/jobs'),
         ('failed jobs', '/jobs?filter=status:error'),
         ('waiting jobs', '/jobs?filter=status:queued'),
         ('completed jobs of a queue', '/jobs?filter=status:completed+queue:queue-7'),
         ('jobs of a name', '/jobs?filter=job:shop.mod7.task'),
         ('jobs with an error', '/jobs?filter=error:ValueError'),
         ('a text that no job has', '/jobs?filter=nothing'),
         ('a failed job', '/jobs/{failed}'), ('a waiting job', '/jobs/{waits}'),
         ('errors', '/errors'), ('a kind of failure', '/errors/{kind}'), ('queues', '/queues'),
         ('queues by a part of their names', '/queues?find=99'), ('workers', '/workers'),
         ('schedules', '/schedules'), ('schedules by a part of their names', '/schedules?find=999'),
         ('a schedule', '/schedules/schedule-00007'), ('system', '/system'),
         ('API: jobs', '/api/v1/jobs'), ('API: failed jobs', '/api/v1/jobs?filter=status:error'),
         ('API: waiting jobs of a queue', '/api/v1/jobs?filter=status:queued+queue:queue-7'),
         ('API: a text that no job has', '/api/v1/jobs?filter=nothing'),
         ('API: a job', '/api/v1/jobs/{failed}'), ('API: a log', '/api/v1/jobs/{failed}/log'),
         ('API: queues', '/api/v1/queues'), ('API: schedules', '/api/v1/schedules'),
         ('API: a schedule', '/api/v1/schedules/schedule-00007'),
         ('API: workers', '/api/v1/workers'))
OPENTABS = ('/', '/', '/jobs', '/jobs?filter=status:error', '/jobs?filter=status:queued', '/errors',
            '/queues', '/workers', '/schedules', '/system')


def measure(plan: Plan) -> Iterator[Row]:
    """Of one database, on sqlite:, served by a process of its own."""
    with plan.place(objects=plan.few(8_000, 800)) as place:
        fill(place, plan.jobs)
        with served(place) as ask:
            yield from looks(place, ask, plan.jobs, plan.few(200, 5))
        yield from beside(plan, place)


def looks(place: Place, ask: Ask, jobs: int, turns: int) -> Iterator[Row]:
    """What pages and answers take."""
    there = known(place, ask)
    for what, path in PAGES:
        took = sorted(seconds(place, ask, path.format_map(there)) for _ in range(turns))
        middle, last = statistics.median(took), took[int(len(took) * 0.99)]
        yield Row(f'{what}, {jobs:,} jobs', millis(middle), '', middle / MIDDLE, '≤ 1')
        yield Row('', millis(last), '99 of 100', last / LAST, '≤ 1')
    again = ask('/')[1]['ETag']
    took = [timed(partial(ask, '/', {'If-None-Match': again}), 304) for _ in range(turns)]
    yield Row('a page that has not changed (304)', millis(statistics.median(took)))
    for path in ('/', '/jobs'):
        weight = firstPaint(ask, path)
        yield Row(f'first paint of {path}', f'{weight:,} bytes', '', weight / FIRSTPAINT, '≤ 1')


# what a server answers at a path, to these headers: status, headers, bytes of the body
Ask = Callable[..., tuple[int, Any, bytes]]


@contextmanager
def served(place: Place) -> Iterator[Ask]:
    """Serve the dashboard with its API from a process of its own."""
    with subprocess.Popen([sys.executable, '-m', 'bench.faces', place.address], text=True,
                          cwd=Path(__file__).resolve().parents[1],
                          stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield partial(asked, int(process.stdout.readline()))
        finally:
            process.terminate()


def asked(port: int, path: str, headers: dict[str, str] | None = None) -> tuple[int, Any, bytes]:
    """Ask for a path, on a connection of its own."""
    link = http.client.HTTPConnection('127.0.0.1', port, timeout=60)
    try:
        link.request('GET', path, headers={'Accept-Encoding': 'gzip', **AUTHORIZED,
                                           **(headers or {})})
        answer = link.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        link.close()


def known(place: Place, ask: Ask) -> dict[str, Any]:
    """What paths are about."""
    with place.app.reading() as processor:
        failed = next(find(processor.store, Filter(('error',)))).id
        waits = next(find(processor.store, Filter(('queued',)))).id
    kind = re.search(rb'/errors/(\w+)"', gzip.decompress(ask('/errors')[2]))
    assert kind is not None
    return {'failed': failed, 'waits': waits, 'kind': kind[1].decode()}


def seconds(place: Place, ask: Ask, path: str) -> float:
    """Seconds until a page is there, after somebody has changed something."""
    with place.app.transaction() as root:
        root[tasks.OBJECTS][0].value += 1
    return timed(partial(ask, path), 200)


def timed(ask: Callable[[], tuple[int, Any, bytes]], status: int) -> float:
    """Seconds until an answer with this status is there."""
    began = time.perf_counter()
    found = ask()[0]
    assert found == status, found
    return time.perf_counter() - began


def firstPaint(ask: Ask, path: str) -> int:
    """The bytes of a page and of all that it names, with their headers, as they are sent."""
    page = ask(path)
    named = re.findall(r'(?:href|src)="(/static/[^"]+)"', gzip.decompress(page[2]).decode())
    return sum(len(str(headers)) + len(body) for _, headers, body in
               (page, *(ask(each) for each in sorted(set(named)))))


# -- ten tabs

def beside(plan: Plan, place: Place) -> Iterator[Row]:
    """What a worker loses by ten open tabs, in turn with none; the pages are served by another
    process."""
    for what, job, number in (('jobs without effects', place.nothing, plan.few(200_000, 20_000)),
                              ('jobs that change an object', place.bump, plan.few(8_000, 800))):
        with served(place) as ask:
            def alone(job: Any = job, number: int = number) -> float:
                return worked(place, job, number)

            def watched(ask: Ask = ask, alone: Callable[[], float] = alone) -> float:
                with tabs(ask):
                    return alone()

            watched()           # until all that is asked for is at hand
            open_, closed = alternate(plan.few(9, 1), watched, alone)
        yield Row(f'{what}, {TABS} tabs open', perSecond(open_), f'none: {perSecond(closed)}',
                  open_ / closed, '≥ 0.98')


def worked(place: Place, job: Any, number: int) -> float:
    """Jobs a second of one worker process that has so many to do."""
    place.enqueue(number, job=job.using(queue=QUEUE))
    return hands.pace(hands.together(toil, (place.address,), 1))


def toil(address: str, line: Connection) -> None:
    """One worker process, that does all that waits in our queue and no more."""
    app = load(address)
    loop = Loop(app.db, app.locate, 'bench', WorkerOptions(drain=True, queues=(QUEUE,)))
    try:
        loop.ready()
        line.send('ready')
        line.recv()
        samples = [hands.sample(loop)]
        while not (loop.poll(time.time()) and loop.idle):
            if len(samples) == 1:
                samples.append(hands.sample(loop))
        line.send([*samples, hands.sample(loop)])
    finally:
        loop.close()
        app.close()


@contextmanager
def tabs(ask: Ask) -> Iterator[None]:
    """Have tabs open, that look again and again."""
    over = threading.Event()

    def look(number: int, path: str) -> None:
        headers: dict[str, str] = {}
        over.wait(PACE * number / TABS)
        while not over.is_set():
            _, answer, _ = ask(path, headers)
            headers = {'If-None-Match': answer['ETag']}
            over.wait(PACE)

    crowd = [threading.Thread(target=look, args=each) for each in enumerate(OPENTABS)]
    for each in crowd:
        each.start()
    try:
        yield
    finally:
        over.set()
        for each in crowd:
            each.join()


def serve(address: str) -> None:
    """Serve as p01-remote dash does, to whoever asks."""
    from waitress import create_server

    from p01.remote import App
    from p01.remote.cli.dash import BYTESHELD, OBJECTSHELD, SERVING
    from p01.remote.web import ALL, Visitor, wsgi
    from p01.remote.web.api import Caller
    from p01.remote.web.api import wsgi as apiOf
    app = App(address)
    app.db.setCacheSize(OBJECTSHELD)
    app.db.setCacheSizeBytes(BYTESHELD)
    site = wsgi(app, target='bench:app', access=lambda environ: Visitor('ann', ALL),
                api=apiOf(app, {TOKEN: Caller('bench')}, rate=1e6, burst=10 ** 6))
    server = create_server(site, host='127.0.0.1', port=0, threads=SERVING, ident=None)
    print(server.effective_port, flush=True)
    server.run()


if __name__ == '__main__':
    serve(sys.argv[1])
