# SPDX-License-Identifier: ZPL-2.1
"""What assistants may do with many jobs: those that were found when they asked, as far as these
stand as they did, and never another one; where a filter has more than a few, a job of its own does
it, with all that were of the filter when they asked."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from p01.remote.bulk import FEW, Order
from p01.remote.engine.bell import bellOf
from p01.remote.exceptions import InputError, JobNotFound
from p01.remote.ground import clocks
from p01.remote.ground.foreign import listed
from p01.remote.ground.words import count, shown
from p01.remote.mcp.looks import IDSSHOWN, TOPFEW
from p01.remote.mcp.shapes import Desk, Given, Told
from p01.remote.mcp.tokens import ASKANEW, Plan
from p01.remote.processor import RemoteProcessor
from p01.remote.store.records import ERROR
from p01.remote.store.views import View
from p01.remote.views import grammar
from p01.remote.views.errors import NEWESTFAILED, failuresOf
from p01.remote.views.filters import STATI
from p01.remote.views.queues import queuesOf, totalOf
from p01.remote.wire.deeds import ATONCE, BULKNAME, MOVE, Verb, each, verbOf

WAYS = 'ids', 'filter', 'kind'

Mark = tuple[str, int, str]     # status, runs, queue: the same for a job that stands as it did


class Selection(NamedTuple):
    """Which jobs are meant, the newest first, as far as they were looked at, and whether there are
    more; order: what has a job of its own do it with all of them, where they are not few."""

    views: list[View]
    more: bool = False
    order: Order | None = None
    total: int | None = None        # how many they are, where the counts say so


class Bulk(NamedTuple):
    """What is done with many jobs. word: of wire.deeds; sentence: what would become of them; past:
    what has; usual: of which stati they are where a filter names none, () for all that it can be
    done with; options: those that are not given; unless: why one may stay that stands as it did."""

    word: str
    sentence: Callable[[Given], str]
    past: str
    usual: tuple[str, ...] = ()
    options: Mapping[str, Any] = {}
    unless: str = ''

    def optionsOf(self, given: Given) -> dict[str, Any]:
        """The options of the word."""
        return {**self.options, **{name: each for name, each in given.items() if name not in WAYS}}

    def plan(self, desk: Desk, given: Given) -> Plan:
        """What it would do. Raises InputError, JobNotFound."""
        verb = verbOf(self.word, self.optionsOf(given))
        found = self.meant(desk, given, verb)
        left = [view for view in found.views if view.status not in verb.stati]
        views = [view for view in found.views if view.status in verb.stati]
        if not views and found.order is None:
            where = 'Among the newest jobs, which were looked at, is none' if found.more \
                else 'There is no job'
            raise InputError(f'{where} that could be {self.past}; only those can be that are '
                             f'{" or ".join(verb.stati)}.')
        names = Counter(view.record.name for view in views)
        some = listed(f'{number:,} {shown(name)}' for name, number in names.most_common())
        facts = {
            'number': len(views) if found.order is None else found.total, 'more': found.more,
            'stati': dict(Counter(view.status for view in views)),
            'names': dict(names.most_common(TOPFEW)),
            'queues': dict(Counter(view.record.queue for view in views).most_common(TOPFEW)),
            'ids': [view.id for view in views[:IDSSHOWN]],
            'left': [view.id for view in left[:IDSSHOWN]]}
        if found.order is not None:
            return self.planOfJob(given, found, verb, some, facts)
        would = f'{count(len(views), "job")} would be {self.sentence(given)}: {some}.'
        if found.more:
            would += f' There are more; this is about the newest {len(views):,} alone.'
        if left:
            would += f' {count(len(left), "other")} cannot be.'
        return Plan(would, f'{verb.word} {count(len(views), "job")}',
                    {view.id: markOf(view) for view in views}, facts)

    def planOfJob(self, given: Given, found: Selection, verb: Verb, some: str,
                  facts: Told) -> Plan:
        """That a job of its own does it. some: the newest jobs by their names."""
        order, seen = found.order, len(found.views)
        assert order is not None
        number = f'{found.total:,} jobs' if found.total is not None else \
            f'More than {FEW:,} jobs' if seen == FEW else 'Jobs that nobody has counted'
        newest = f'Of the newest {seen} are {some}.' if seen else \
            'Among the newest, which were looked at, is none.'
        would = (f'{number} would be {self.sentence(given)}, all that are of this filter now: by a '
                 f'job of its own, {BULKNAME}, which shows how far it is and can be cancelled. '
                 f'{newest}')
        return Plan(would, f'have a job {verb.word} all jobs of {order.text!r}', order,
                    {**facts, 'filter': order.text})

    def meant(self, desk: Desk, given: Given, verb: Verb) -> Selection:
        """The jobs that are meant. Raises InputError, JobNotFound."""
        if len(ways := [way for way in WAYS if given.get(way)]) != 1:
            raise InputError('Say which jobs: give ids, or a filter, or the key of a kind of '
                             'failure as kind, and one of them alone.')
        with desk.app.reading() as processor:
            store = processor.store
            if ways != ['filter']:
                ids, more = (given['ids'], False) if ways == ['ids'] \
                    else kindOf(processor, given['kind'])
                if len(ids) > ATONCE:
                    raise InputError(f'At most {ATONCE:,} ids can be given at once.')
                return Selection([store.view(jobid) for jobid in dict.fromkeys(ids)], more)
            now = clocks.now()
            which = grammar.parse(given['filter'], now)
            which = which._replace(stati=verb.takes(
                self.usual if self.usual and set(which.stati) == set(STATI) else which.stati))
            order = Order(self.word, self.optionsOf(given), grammar.written(which), desk.who, now)
            views, more = order.newest(store) if which.stati else ([], False)
            if not more:
                return Selection(views)
            # none that ends, or is enqueued, later
            text = grammar.written(which._replace(before=min(now, which.before or now)))
            return Selection(views, True, order._replace(text=text),
                             totalOf(which, queuesOf(store, now)))

    def act(self, desk: Desk, given: Given, before: Plan) -> Told:
        """Do it with the jobs of a plan that stand as they did, or have a job do it. Raises
        InputError where none does."""
        if isinstance(before.found, Order):
            jobid = before.found.leave(desk.app, 'mcp')
            bellOf(desk.app.db).tell()
            return {'job': jobid}
        found: dict[int, Mark] = before.found
        verb = verbOf(self.word, self.optionsOf(given))

        def do(processor: RemoteProcessor, jobid: int, who: str) -> bool:
            return markOf(processor.store.view(jobid)) == found[jobid] \
                and verb.do(processor, jobid, who)

        answers = dict(zip(found, each(desk.app, desk.who, list(found), verb._replace(do=do),
                                       'mcp'), strict=True))
        bellOf(desk.app.db).tell()
        left = [jobid for jobid, was in answers.items() if not was]
        why = f'stands otherwise than when you asked{self.unless}'
        if len(left) == len(found):
            raise InputError(f'Nothing was done: each of {count(len(left), "job")} {why}; '
                             f'{ASKANEW}.')
        return {'number': len(found) - len(left), 'leftNumber': len(left),
                'ids': [jobid for jobid, was in answers.items() if was][:IDSSHOWN],
                'left': left[:IDSSHOWN], 'why': f'Each of those left {why}.' if left else ''}


def markOf(view: View) -> Mark:
    """What is the same for a job that stands as it did."""
    return view.status, view.runs, view.record.queue


def kindOf(processor: RemoteProcessor, key: str) -> tuple[Sequence[int], bool]:
    """The jobs of a kind of failure, and whether there may be more. Raises JobNotFound."""
    found = failuresOf(processor.store)
    for kind in found.kinds:
        if kind.key == key:
            return kind.jobids, not found.whole
    raise JobNotFound(f'None of the newest {NEWESTFAILED:,} failed jobs is of this kind; say which '
                      'jobs by a filter.')


def moved(given: Given) -> str:
    """Where jobs would go."""
    where = [f'to queue {shown(given["queue"])}'] if 'queue' in given else []
    where += [f'to priority {given["priority"]:+d}'] if 'priority' in given else []
    return f'moved {" and ".join(where)}'


RETRYING = Bulk('retry', lambda given: 'run again', 'run again', (ERROR,),
                unless=', or another job has its unique key')
HASTENING = Bulk('now', lambda given: 'run now, without a wait for their time', 'run now')
CANCELLING = Bulk('cancel', lambda given: 'cancelled', 'cancelled', options={'running': False})
MOVING = Bulk(MOVE, moved, 'moved')
REMOVING = Bulk('remove', lambda given: 'deleted for good, with all that is known of them',
                'deleted')
