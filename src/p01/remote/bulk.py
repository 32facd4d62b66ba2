# SPDX-License-Identifier: ZPL-2.1
"""What is done with all jobs of a filter: with few at once, with more by the job `p01.remote.bulk`,
in commits of a hundred, with progress. Any worker knows it by its name; nobody has to declare it.

Each commit says what was done and how far it is, so that another run goes on where one ended, also
when its worker died.
"""
from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import count
from typing import Any, NamedTuple

from transaction.interfaces import TransientError

from p01.remote.app import App
from p01.remote.engine.context import current
from p01.remote.engine.enqueuing import enqueue
from p01.remote.ground import clocks, words
from p01.remote.ground.checks import HIGHEST
from p01.remote.job import Job
from p01.remote.options import DEFAULTQUEUE, Policy
from p01.remote.processor import RemoteProcessor
from p01.remote.storage.transactions import pause
from p01.remote.store.plans import Plan
from p01.remote.store.store import Store
from p01.remote.store.views import View
from p01.remote.views import grammar
from p01.remote.views.filters import Filter
from p01.remote.views.listing import Search
from p01.remote.views.workers import workersOf
from p01.remote.wire.commits import change
from p01.remote.wire.deeds import BATCHJOBS, BULKNAME, Verb, each, proveWritten, some, verbOf

FEW = 500               # jobs that are done at once
FEWSOUGHT = 20_000      # jobs that are looked at for those, while somebody waits
LOOKEDFOR = 2_000       # jobs that are looked at for a commit


class Bulk(Job):
    """Its input is ((), {'do': a word of wire.deeds, 'filter': which jobs, 'who': whose order it
    is, 'at': when it was given, in POSIX seconds, 'last': the last id that was given out then,
    'options': of the word, 'plan': a Plan}), its output with how many jobs it was done, and with
    how many it could not be."""

    policy = Policy(retries=10, backoff=1.0)

    def prepare(self, input: Any) -> Any:
        """Raises InputError for what is no order, see ordered."""
        given = input[1] if isinstance(input, tuple) and len(input) == 2 else None
        if not isinstance(given, dict) or not isinstance(given.get('plan'), Plan):
            proveWritten(BULKNAME)
        return input

    def __call__(self, remoteProcessor: RemoteProcessor) -> dict[str, int]:
        given = self.input[1]
        jobid, plan, verb = self.id or 0, given['plan'], verbOf(given['do'], given['options'])
        which, end = whichOf(given['filter'], given['at'], verb), given['last'] + 1
        which = which._replace(ids=which.ids._replace(none=(*which.ids.none, jobid)))
        plan.begin(jobid, end)
        while plan.below:
            left = f', {plan.left:,} could not be' if plan.left else ''
            current.progress(end - plan.below, end, f'{plan.done:,} done{left}')
            step(remoteProcessor, jobid, which, verb, given)
        return {'done': plan.done, 'left': plan.left}


prototype = Bulk()


def whichOf(text: str, at: float, verb: Verb) -> Filter:
    """The jobs of a filter that something can be done with. Raises InputError."""
    which = grammar.parse(text, at)
    return which._replace(stati=verb.takes(which.stati))


def step(processor: RemoteProcessor, jobid: int, which: Filter, verb: Verb,
         given: Mapping[str, Any]) -> None:
    """Do it with the next jobs, in a commit of their own, again when it meets the workers. given:
    of the input of the job of that id. Raises ClaimLost."""
    manager, plan = processor._p_jar.transaction_manager, given['plan']
    for tried in count():
        try:
            plan.begin(jobid, given['last'] + 1)        # it may have met them at once
            jobids, below = ahead(processor.store, which, plan.below, given['at'])
            found = some(processor, jobids, verb, given['who'])
            plan.below, plan.done = below, plan.done + sum(found)
            plan.left += len(found) - sum(found)
            part = manager.get()
            part.user = given['who']
            part.note(f'p01-remote bulk: {verb.word} {words.count(sum(found), "job")}')
            manager.commit()
            return
        except TransientError:
            manager.abort()
            current.check()
            pause(tried)


def ahead(store: Store, which: Filter, below: int, at: float) -> tuple[list[int], int]:
    """The next jobs of a filter below an id, but for those enqueued since an instant, whose ids may
    be any; and below which one to look on, 0 where these are the last."""
    search = Search(LOOKEDFOR)
    views = list(search.find(store, which._replace(below=below, limit=BATCHJOBS)))
    if search.over:
        below = search.last
    else:
        below = views[-1].id if len(views) == BATCHJOBS else 0
    return [view.id for view in views if view.record.created <= at], below


# -- who gives the order

class Done(NamedTuple):
    """What came of an order: with how many jobs it was done, with how many it could not be; or the
    job that does it."""

    done: int = 0
    left: int = 0
    job: int | None = None


class Order(NamedTuple):
    """What is to be done with all jobs of a filter. who: whose order it is; at: when it was given,
    in POSIX seconds."""

    word: str
    options: Mapping[str, Any]
    text: str
    who: str
    at: float

    @property
    def verb(self) -> Verb:
        """What is to be done. Raises InputError."""
        return verbOf(self.word, self.options)

    @property
    def which(self) -> Filter:
        """The jobs that it can be done with. Raises InputError."""
        return whichOf(self.text, self.at, self.verb)

    def newest(self, store: Store) -> tuple[list[View], bool]:
        """The newest of the jobs, and whether there may be more than these: else they are few, and
        were soon found. Raises InputError."""
        search = Search(FEWSOUGHT)
        found = list(search.find(store, self.which._replace(limit=FEW + 1)))
        return found[:FEW], len(found) > FEW or search.over

    def give(self, app: App, face: str) -> Done:
        """Have it done. Raises InputError."""
        with app.reading() as processor:
            views, more = self.newest(processor.store)
        if more:
            return Done(job=self.leave(app, face))
        number = sum(each(app, self.who, [view.id for view in views], self.verb, face))
        return Done(number, len(views) - number)

    def leave(self, app: App, face: str) -> int:
        """Leave it to a job of its own; returns its id. Raises InputError."""
        return change(app, self.who, f'{self.verb.word} all jobs of {self.text!r}',
                      partial(ordered, order=self), face)


def ordered(processor: RemoteProcessor, order: Order) -> int:
    """Enqueue the job that does it, before all others; returns its id."""
    given = {'do': order.word, 'filter': order.text, 'who': order.who, 'at': order.at,
             'last': processor.store.counter.last, 'options': dict(order.options), 'plan': Plan()}
    [jobid] = enqueue(processor, BULKNAME, prototype, [((), given)],
                      queue=servedQueue(processor.store, clocks.now()), priority=HIGHEST)
    return jobid


def servedQueue(store: Store, now: float) -> str:
    """A queue that somebody works on: the usual one, where anybody does."""
    paused = store.settings.pausedAt(now)
    alive = [worker for worker in workersOf(store, now) if worker.alive]
    served = [queue for worker in alive for queue in worker.queues or (DEFAULTQUEUE,)
              if queue not in paused]
    return DEFAULTQUEUE if DEFAULTQUEUE in served or not served else served[0]
