# SPDX-License-Identifier: ZPL-2.1
"""An hour of the shop: jobs that ended, failed and were repeated, written as workers would have
written them; then some that run and wait."""
import os
import pickle
import random
import subprocess
import sys
import time
from pathlib import Path

import shop

from p01.remote import verbs
from p01.remote.engine.declaring import Declaring
from p01.remote.front.schedules import declaringOf
from p01.remote.ground.foreign import reasonOf, traced
from p01.remote.store.outcomes import success
from p01.remote.store.payload import pack
from p01.remote.store.records import CANCELLED, ERROR, Attempt, Outcome, Progress, Record, Said
from p01.remote.store.seats import Seat
from p01.remote.testing import waitFor
from p01.remote.verbs import recording
from p01.remote.views import figures
from p01.remote.views.filters import Filter, Part
from p01.remote.views.listing import find

ROOT = Path(__file__).resolve().parents[2]
ORDER = 88_000
# name, keyword or positional arguments, queue, how many a minute, seconds that it runs
KINDS = [('shop.mail.receipt', 'mail', 9, 0.24), ('shop.stock.reserve', 'index', 6, 0.08),
         ('shop.image.resize', 'image', 3, 0.9), ('shop.stock.sync', 'index', 1, 1.7)]


def raised(function, *args, **kwargs):
    """The reason and the traceback of what a function raises."""
    try:
        function(*args, **kwargs)
    except Exception as error:
        error.__traceback__ = error.__traceback__.tb_next
        return reasonOf(error), traced(error)
    raise AssertionError('it was to fail')


class Hour:
    """The hour before an instant."""

    def __init__(self, app, now, seed=7):
        self.app, self.now = app, now
        self.random = random.Random(seed)
        self.order = ORDER

    def play(self, minutes=60):
        """All of it, in a few transactions."""
        seats = [Seat(f'worker-{number}:{number}:past', 'shop-1', 0, '', '', 60.0,
                      self.now - 3700) for number in (1, 2, 3)]
        for seat in seats:
            seat.round = 0
        for minute in range(minutes, 0, -1):
            with self.app.transaction():
                store = self.app.processor.store
                if minute == minutes:
                    for seat in seats:
                        verbs.sit(store, seat)
                seats = [store.seats[seat.name] for seat in seats]
                self.minute(store, seats, self.now - 60 * minute, minute)
                recording.looked(seats[0], figures.exact(store), self.now - 60 * minute + 59)
                seats[0].touch()
        with self.app.transaction():
            store = self.app.processor.store
            for seat in seats:
                verbs.rise(store, store.seats[seat.name], {})

    def minute(self, store, seats, begin, minute):
        """One minute: what comes, and what becomes of it."""
        for name, queue, pace, _ in KINDS:
            for _ in range(max(0, round(self.random.gauss(pace, 1)))):
                verbs.add(store, Record(name, pack(self.given(name, minute), name),
                                        begin - 60 - self.random.random() * 20, queue))
        for seat in seats:
            now = begin + 2 + self.random.random() * 50
            known = {}
            # of late nobody works for mail
            queues = None if minute > 6 else ('index', 'image')
            for jobid in verbs.claim(store, seat, 8, now, queues):
                known[jobid] = self.end(store, seat, jobid, now, minute)
            verbs.settle(store, seat, known)

    def given(self, name, minute):
        """The arguments of a job."""
        self.order += 1
        if 'receipt' in name:
            # from some minute on, the mail server hangs up
            fails = minute < 23 and self.random.random() < 0.25
            order = self.order // 10 * 10 + 7 if fails else self.order // 10 * 10 + 1
            return (f'order-{order}',), {'copies': 1, 'address': 'ann@example.com',
                                         'token': 'f3a9-secret'}
        if 'resize' in name:
            return (f'{"K" if self.random.random() < 0.02 else "L"}-{self.order}',), {}
        if 'sync' in name:
            return (), {'depot': 'south' if self.random.random() < 0.03 else 'north'}
        return (f'order-{self.order}',), {}

    def end(self, store, seat, jobid, now, minute):
        """How one job ends."""
        _, record = store.entry(jobid)
        lasts = max(0.01, self.random.gauss(next((each[3] for each in KINDS
                                                  if each[0] == record.name), 1.0), 0.1))
        args, kwargs = pickle.loads(record.input) if record.input else ((), {})
        function = shop.app.jobs[record.name].function
        started, runs, attempts = now, 1, ()
        ended = now + lasts
        fails = 'order-' in str(args) and str(args[0]).endswith('7') and 'receipt' in record.name \
            or str(args).startswith("('K") or kwargs.get('depot') == 'south'
        if fails:
            reason, trace = raised(function, *args, **kwargs)
            said = Said(None, '', 0)
            if 'receipt' in record.name:
                said = Said(Progress(2, 3, 'sending'), f'render receipt.txt for {args[0]}\n'
                            'part 1 of 3 sent, 12 kB\npart 2 of 3 sent, 48 kB\n'
                            'no reply for 5 s, waiting\n', 100)
            each, at = [], now - 70
            for run in (1, 2, 3):
                each.append(Attempt(run, at, at + lasts, seat.name, reason, trace, said))
                at += lasts + 15 * run
            attempts, runs = tuple(each), 3
            for _ in attempts[:-1]:
                recording.retried(seat, seat.claims[jobid], record, now, now + lasts)
            started, ended = each[-1].started, each[-1].ended
            outcome = Outcome(ERROR, None, reason, runs, started, ended, seat.name, attempts,
                              said=said)
        elif self.random.random() < 0.004:
            outcome = Outcome(CANCELLED, None, 'Cancelled by ann@shop-1.', 1, started, ended,
                              seat.name)
        else:
            outcome = success(None, runs, started, ended, attempts)
        return outcome


def fill(app, now=None):
    """The past hour, schedules, and what waits: returns the ids of some jobs to look at."""
    now = time.time() if now is None else now
    Hour(app, now).play()
    with app.transaction():
        processor = app.processor
        declared: Declaring = declaringOf(app)
        declared.keep(processor)
        store = processor.store
        waiting = [view.id for view in find(store, Filter(('queued',), Part(('mail',))))]
        delayed = shop.mail.receipt.using(delay='53m').enqueue('order-20391')
        shop.stock.sync.using(delay='20m').enqueue('west')
        exports = [shop.feed.export.enqueue(market) for market in ('north', 'south', 'east')]
    with app.transaction():
        verbs.pause(app.processor.store, 'sync', now + 3600)
    return {'waiting': waiting[0], 'delayed': delayed.id, 'unserved': exports[0].id}


class Workers:
    """Worker processes of the shop, for as long as somebody looks."""

    def __init__(self, address, app):
        self.app = app
        self.environ = {**os.environ, 'SHOP': address, 'PYTHONPATH': str(ROOT / 'tests' / 'web')}
        self.running = []

    def __enter__(self):
        """Start them, and some jobs that last."""
        with self.app.transaction():
            jobs = [shop.index.reindex.using(priority=9).enqueue('spring'),
                    shop.report.nightly.using(priority=9).enqueue('2026-11-25'),
                    shop.mail.receipt.using(priority=9).enqueue('order-slow', token='x')]
        for queues in (['index', 'report', 'image', 'clock'], ['mail']):
            options = [word for queue in queues for word in ('--queue', queue)]
            self.running.append(subprocess.Popen(
                [sys.executable, '-m', 'p01.remote.cli', 'worker', 'shop:app',
                 '--threads', '3' if len(queues) > 1 else '1', '--grace', '1', *options],
                cwd=ROOT, env=self.environ, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL))
        waitFor(lambda: all(handle.running() and handle.progress for handle in jobs), 30)
        self.jobs = [handle.id for handle in jobs]
        return self

    def __exit__(self, *error):
        """End them."""
        for process in self.running:
            process.terminate()
        for process in self.running:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(15)
