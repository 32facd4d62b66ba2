# SPDX-License-Identifier: ZPL-2.1
"""What assistants may do with many jobs: those that were found when they asked, as far as these
stand as they did, and never another one."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

from p01.remote.engine.bell import bellOf
from p01.remote.engine.requests import GRACE
from p01.remote.exceptions import InputError, JobNotFound
from p01.remote.ground import clocks
from p01.remote.ground.foreign import listed
from p01.remote.ground.words import count, shown
from p01.remote.instants import duration
from p01.remote.mcp.looks import IDSSHOWN, TOPFEW
from p01.remote.mcp.shapes import Desk, Given, Told
from p01.remote.mcp.tokens import ASKANEW, Plan
from p01.remote.processor import RemoteProcessor
from p01.remote.store.records import ERROR, FINISHED, PROCESSING
from p01.remote.store.views import View
from p01.remote.views import grammar
from p01.remote.views.errors import NEWESTFAILED, failuresOf
from p01.remote.views.filters import STATI
from p01.remote.views.listing import Search
from p01.remote.wire.deeds import ATONCE, DEEDS, MOVE, WAITING, Verb, each, verbOf

JOBSSOUGHT = 50_000     # jobs that are looked at for a selection
WAYS = 'ids', 'filter', 'kind'

Mark = tuple[str, int, str]     # status, runs, queue: the same for a job that stands as it did


class Bulk(NamedTuple):
    """A verb for many jobs. sentence: what would become of them; past: what has; usual: of which
    stati they are where a filter names none; unless: why one may stay that stands as it did."""

    sentence: Callable[[Given], str]
    past: str
    usual: Callable[[Given], tuple[str, ...]]
    verb: Callable[[Given], Verb]
    unless: str = ''

    def plan(self, desk: Desk, given: Given) -> Plan:
        """What it would do. Raises InputError, JobNotFound."""
        verb = self.verb(given)
        views, more = self.meant(desk, given, verb)
        left = [view for view in views if view.status not in verb.stati]
        views = [view for view in views if view.status in verb.stati]
        if not views:
            where = 'Among the newest jobs, which were looked at, is none' if more \
                else 'There is no job'
            raise InputError(f'{where} that could be {self.past}; only those can be that are '
                             f'{" or ".join(verb.stati)}.')
        names = Counter(view.record.name for view in views)
        some = listed(f'{number:,} {shown(name)}' for name, number in names.most_common())
        would = f'{count(len(views), "job")} would be {self.sentence(given)}: {some}.'
        if more:
            would += f' There are more; this is about the newest {len(views):,} alone.'
        if left:
            would += f' {count(len(left), "other")} cannot be.'
        marks = {view.id: markOf(view) for view in views}
        return Plan(would, f'{verb.word} {count(len(views), "job")}', marks, {
            'number': len(views), 'more': more,
            'stati': dict(Counter(view.status for view in views)),
            'names': dict(names.most_common(TOPFEW)),
            'queues': dict(Counter(view.record.queue for view in views).most_common(TOPFEW)),
            'ids': [view.id for view in views[:IDSSHOWN]],
            'left': [view.id for view in left[:IDSSHOWN]]})

    def meant(self, desk: Desk, given: Given, verb: Verb) -> tuple[list[View], bool]:
        """The jobs that are meant, the newest first, and whether there are more. Raises InputError,
        JobNotFound."""
        if len(ways := [way for way in WAYS if given.get(way)]) != 1:
            raise InputError('Say which jobs: give ids, or a filter, or the key of a kind of '
                             'failure as kind, and one of them alone.')
        with desk.app.reading() as processor:
            if ways != ['filter']:
                ids, more = (given['ids'], False) if ways == ['ids'] \
                    else kindOf(processor, given['kind'])
                if len(ids) > ATONCE:
                    raise InputError(f'At most {ATONCE:,} ids can be given at once.')
                return [processor.store.view(jobid) for jobid in dict.fromkeys(ids)], more
            which = grammar.parse(given['filter'], clocks.now())
            stati = self.usual(given) if set(which.stati) == set(STATI) else \
                tuple(status for status in which.stati if status in verb.stati)
            search = Search(JOBSSOUGHT)
            found = search.find(processor.store, which._replace(stati=stati)) if stati else ()
            views = list(islice(found, ATONCE + 1))
            return views[:ATONCE], len(views) > ATONCE or search.over

    def act(self, desk: Desk, given: Given, before: Plan) -> Told:
        """Do it with the jobs of a plan that stand as they did. Raises InputError where none
        does."""
        found: dict[int, Mark] = before.found
        verb = self.verb(given)

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


def cancelling(given: Given) -> Verb:
    """How jobs are cancelled. Raises InputError."""
    running, grace = given.get('running', False), duration(given.get('grace', GRACE), 'grace')
    return Verb('cancel', (*WAITING, PROCESSING) if running else WAITING,
                lambda processor, jobid, who: processor.cancelJob(jobid, running, grace, who))


def moving(given: Given) -> str:
    """Where jobs would go."""
    where = [f'to queue {shown(given["queue"])}'] if 'queue' in given else []
    where += [f'to priority {given["priority"]:+d}'] if 'priority' in given else []
    return f'moved {" and ".join(where)}'


RETRYING = Bulk(lambda given: 'run again', 'run again', lambda given: (ERROR,),
                lambda given: DEEDS['retry'], ', or another job has its unique key')
CANCELLING = Bulk(lambda given: 'cancelled', 'cancelled', lambda given: cancelling(given).stati,
                  cancelling)
MOVING = Bulk(moving, 'moved', lambda given: WAITING, partial(verbOf, MOVE))
REMOVING = Bulk(lambda given: 'deleted for good, with all that is known of them', 'deleted',
                lambda given: FINISHED, lambda given: DEEDS['remove'])
