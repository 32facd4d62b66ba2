# SPDX-License-Identifier: ZPL-2.1
"""Those who meet in the tests of races, each with a connection of its own.

begin() takes the snapshot; whoever commits second is either let in or gets a ConflictError and,
repeated, does what is right then. An enqueuer is always let in.
"""
import pytest
from transaction.interfaces import TransientError

from p01.remote import verbs
from p01.remote.store.records import Outcome
from p01.remote.store.seats import Seat
from tests.conftest import START, commit, inside


class Party:
    """One who takes part: a connection, its transactions, its seat."""

    def __init__(self, place, name):
        self.connection = place.connect(place.openAgain(), explicit=True)
        self.manager = self.connection.transaction_manager
        self.name = name

    def begin(self):
        # a client of ZEO hears a little later what others have committed
        getattr(self.connection.db().storage, 'ping', bool)()
        self.manager.begin()
        return inside(self.connection).store

    def commit(self):
        self.manager.commit()

    def do(self, work):
        """work(store) in a transaction of its own; gives its answer."""
        store = self.begin()
        found = work(store)
        self.commit()
        return found

    def refused(self):
        """The commit meets a conflict."""
        with pytest.raises(TransientError):
            self.manager.commit()
        self.manager.abort()

    def sit(self):
        self.do(lambda store: verbs.sit(store,
                                        Seat(self.name, 'host', 1, 'process', 'box', 60.0, START)))
        return self

    def seat(self, store):
        return store.seats[self.name]

    def claim(self, store, count=1):
        return verbs.claim(store, self.seat(store), count, START)

    def complete(self, jobid, status='completed'):
        """As a job's own commit does it."""
        self.do(lambda store: verbs.complete(store,
                                             self.seat(store), {jobid: Outcome(status, None, '', 1,
                                                                               START, START)}))

    def settle(self):
        self.do(lambda store: verbs.settle(store, self.seat(store), {}))


def enqueued(processor, count=1, **options):
    ids = [processor.processJob('echo', number, **options) for number in range(count)]
    commit(processor)
    return ids


def failed(party, jobid):
    """Let a claimed job end as an error."""
    party.do(lambda store: verbs.settle(store,
                                        party.seat(store), {jobid: Outcome('error', None, 'no', 1,
                                                                           START, START)}))


def status(party, jobid):
    return party.do(lambda store: store.view(jobid).status)
