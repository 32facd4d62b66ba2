# SPDX-License-Identifier: ZPL-2.1
"""Shows that held jobs and lines of keys work on the layout, and what they cost.

python -m prototypes.measure; with --quick only that they work.
"""
from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter

import transaction
from transaction.interfaces import TransientError

from p01.remote import storage, verbs
from p01.remote.engine import rescuing
from p01.remote.store import records
from p01.remote.store.outcomes import success
from p01.remote.store.records import Record
from p01.remote.store.seats import Seat
from p01.remote.store.store import Store
from prototypes import held

NOW = time.time()
LATER = NOW + 3600


class Hand:
    """A worker of its own connection."""

    def __init__(self, db, name='worker', store=None):
        self.manager = transaction.TransactionManager()
        self.connection = db.open(self.manager)
        self.name = name
        self.conflicts = 0
        if store is not None:
            self.manager.begin()
            self.connection.root()['store'] = store
            self.manager.commit()
        self.do(lambda s: verbs.sit(s, Seat(name, 'host', 1, 'p', '', 60.0, NOW)))

    @property
    def store(self):
        return self.connection.root()['store']

    @property
    def seat(self):
        return self.store.seats[self.name]

    def do(self, work):
        """Work in a transaction, again after conflicts."""
        for _ in range(100):
            self.manager.begin()
            try:
                result = work(self.store)
                self.manager.commit()
                return result
            except TransientError:
                self.manager.abort()
                self.conflicts += 1
        raise AssertionError

    def enqueue(self, *extras, name='job'):
        return self.do(lambda s: [verbs.add(s, Record(name, None, NOW, extras=each))
                                  for each in extras])

    def claim(self, count=100, rank=(0, 1)):
        return self.do(lambda s: claimed(s, self.seat, count, rank))

    def settle(self, jobids):
        self.do(lambda s: held.settle(s,
                                      self.seat, {jobid: success(None, 1, NOW, LATER, ())
                                                  for jobid in jobids}))


def claimed(store, seat, count, rank=(0, 1)):
    """The coming together of both kinds of lines is not measured here: those of keys come first."""
    for shard in store.shards:
        verbs.takeIn(store, shard, seat, LATER, rank[1])
    keyed = held.claimKeyed(store, seat, count, rank)
    return keyed + verbs.claim(store, seat, count - len(keyed), LATER, rank=rank)


def timed(work):
    """Seconds that it takes, and what it returns."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def house(folder, number=[0]):      # noqa: B006 - counts
    """A database with a store."""
    number[0] += 1
    db = storage.openDatabase(f'sqlite:{folder}/{number[0]}')
    return db, Hand(db, store=Store())


def shows(folder):
    """What has to hold, on a small scale."""
    db, hand = house(folder)
    first, = hand.enqueue(None)
    second, = hand.enqueue({'after': (first,)})
    third, = hand.enqueue({'after': (first, second)})
    assert hand.claim() == [first]
    hand.settle([first])
    assert hand.claim() == [second]
    assert hand.claim() == []
    hand.settle([second])
    assert hand.claim() == [third]
    # what a killed worker had written and not settled releases by its rescue
    fourth, = hand.enqueue({'after': (third,)})
    hand.claim()
    hand.do(lambda s: verbs.complete(s, hand.seat, {third: success(None, 1, NOW, LATER, ())}))
    other = Hand(db, 'other')
    assert other.claim() == []
    patched, rescuing.verbs.settle = rescuing.verbs.settle, held.settle
    other.do(lambda s: rescuing.rescue(s, s.seats['worker'], LATER, set()))
    rescuing.verbs.settle = patched
    assert other.claim() == [fourth]
    # cancelled: who is held, and what is waited for
    fifth, = other.enqueue({'after': (fourth,)})
    sixth, = other.enqueue({'after': (fifth,)})
    assert other.claim() == []
    assert other.do(lambda s: held.cancel(s, fifth, LATER))
    assert other.claim() == [sixth]
    # a signal is sent by an application's transaction, and remembered
    seventh, = other.enqueue({'until': 'go'})
    assert other.claim() == []
    other.enqueue({'signal': 'go'})
    assert other.claim() == [seventh]
    eighth, = other.enqueue({'until': 'go'})
    assert other.claim() == [eighth]
    # join
    parent, = other.enqueue({'join': 3})
    children = other.enqueue(*[{'into': parent}] * 3)
    assert other.claim() == children
    other.settle(children[:2])
    assert other.claim() == []
    other.settle(children[2:])
    assert other.claim() == [parent]
    # a key's limit; a job that goes back; its line is gone when nobody needs it
    ids = other.enqueue(*[{'key': ('k', 2)}] * 5)
    assert other.claim() == ids[:2] and other.claim() == []
    other.do(lambda s: held.retry(s, other.seat, ids[0], None, None))
    assert other.claim() == [ids[0]]
    assert other.do(lambda s: held.cancel(s, ids[2], LATER))
    other.settle(ids[:2])
    assert other.claim() == ids[3:]
    other.settle(ids[3:])
    other.do(lambda s: None)
    other.manager.begin()
    assert not list(held.keyedOf(other.store, 'k').lines)
    print('chain, join, signal, limit, cancel, rescue: as they should be')
    db.close()


def races(folder):
    """Two transactions that must not miss each other: whatever happens, the job that waits runs."""
    for kind in ('after', 'join', 'until'):
        race(folder, kind)


def race(folder, kind):
    """One of them."""
    db, one = house(folder)
    two = Hand(db, 'two')
    if kind == 'until':
        waiting, = one.enqueue({'until': 'x'})
        one.enqueue({'signal': 'x'})
        # both in the same intake, and in two that know nothing of each other, are the same code:
        # shard by shard
        hands = [lambda s: [verbs.takeIn(s, shard, one.seat, LATER) for shard in s.shards[:4]],
                 lambda s: [verbs.takeIn(s, shard, two.seat, LATER) for shard in s.shards[4:]]]
    else:
        two.manager.begin()
        waiting = verbs.add(two.store, Record('job', None, NOW, extras={'join': 1}))
        first, = one.enqueue(None if kind == 'after' else {'into': waiting})
        one.claim(3)
        two.manager.commit()        # the parent is committed after its child has begun
        if kind == 'after':
            waiting, = two.enqueue({'after': (first,)})
        hands = [lambda s: held.settle(s, one.seat, {first: success(None, 1, NOW, LATER, ())}),
                 lambda s: [verbs.takeIn(s, shard, two.seat, LATER) for shard in s.shards]]
    one.manager.begin()
    two.manager.begin()
    hands[0](one.store)
    hands[1](two.store)
    met = 0
    for hand, work in ((one, hands[0]), (two, hands[1])):
        try:
            hand.manager.commit()
        except TransientError:
            hand.manager.abort()
            met += 1
            hand.do(work)
    claims = one.claim() + two.claim()
    assert waiting in claims, (kind, claims)
    print(f'race of {kind}: {met} conflict, and the job runs')
    db.close()


def own(hand, rank):
    """The jobs of a worker's own shards, as many as there are."""
    def work(store):
        for shard in store.shards:
            if shard.number % rank[1] == rank[0]:
                for line in shard.lanes[0].queues.values():
                    found.append(sum(last - held.idOf(key) + 1
                                     for key, last in line.waiting.items()))
    found: list[int] = []
    hand.do(work)
    return hand.claim(sum(found), rank)


def join(folder, children=2_000, workers=4):
    """Children that end at once, in the bookkeeping of several workers, whose transactions overlap
    always."""
    db, hand = house(folder)
    parent, = hand.enqueue({'join': children})
    hand.enqueue(*[{'into': parent}] * children)
    hands = [Hand(db, f'worker {number}') for number in range(workers)]
    hands[0].do(lambda s: [verbs.takeIn(s, shard, hands[0].seat, LATER) for shard in s.shards])
    mine = [own(each, (number, workers)) for number, each in enumerate(hands)]
    assert sum(map(len, mine)) == children
    rounds: int = 20
    met: Counter[str] = Counter()
    for number in range(rounds):
        parts = [ids[number::rounds] for ids in mine]
        for each, part in zip(hands, parts):
            each.manager.begin()
            held.settle(each.store,
                        each.seat, {jobid: success(None, 1, NOW, LATER, ()) for jobid in part})
        for each, part in zip(hands, parts):
            try:
                each.manager.commit()
            except TransientError as error:
                each.manager.abort()
                met[getattr(error, 'class_name', '').rpartition('.')[2]] += 1
                each.settle(part)
    assert hands[0].claim() == [parent]
    print(f'join of {children:,} by {workers} workers, always at once: conflicts {dict(met)} in '
          f'{rounds * workers} commits')
    db.close()


def many(folder, count=1_000):
    """So many jobs that wait for one."""
    db, hand = house(folder)
    plain = [timed(lambda: hand.settle(hand.claim(1))) for _ in range(5)
             if hand.enqueue(None)][-1][0]
    first, = hand.enqueue(None)
    hand.claim()
    hand.enqueue(*[None] * count)
    intake, _ = timed(lambda: hand.do(lambda s: [verbs.takeIn(s, shard, hand.seat, LATER)
                                                 for shard in s.shards]))
    hand.settle(hand.claim(count))
    hand.enqueue(*[{'after': (first,)}] * count)
    holds, _ = timed(lambda: hand.do(lambda s: [verbs.takeIn(s, shard, hand.seat, LATER)
                                                for shard in s.shards]))
    hand.do(lambda s: [verbs.claim(s, hand.seat, 1, LATER)])
    releases, _ = timed(lambda: hand.settle([first]))
    claims, got = timed(lambda: hand.claim(count))
    assert len(got) == count
    print(f'{count:,} jobs that wait for one: taken in {holds * 1e6 / count:.1f} µs a job '
          f'(without: {intake * 1e6 / count:.1f}), released in one commit of {releases * 1e3:.1f} '
          f'ms ({releases * 1e6 / count:.1f} µs a job; a settle of one: {plain * 1e3:.1f} ms), '
          f'claimed {claims * 1e6 / count:.1f} µs a job')
    db.close()


def blocked(folder, keys):
    """A claim beside so many keys that are at their limit, each with jobs that wait."""
    db, hand = house(folder)
    for begin in range(0, keys, 1_000):
        hand.enqueue(*[{'key': (f'k{number}', 1)} for _ in (1, 2)
                       for number in range(begin, begin + 1_000)])
    assert sum(len(hand.claim(keys)) for _ in range(keys // 1_000 + 1)) == keys
    other = Hand(db, 'other')
    best = 1.0
    for _ in range(40):
        other.enqueue(*[None] * 100, *[{'key': ('open', 1_000)}] * 10)
        other.do(lambda s: [verbs.takeIn(s, shard, other.seat, LATER) for shard in s.shards])
        took, ids = timed(lambda: other.claim(110))
        assert len(ids) == 110
        other.settle(ids)
        best = min(best, took)
    db.close()
    return best


def fair(folder, jobs=20_000):
    """A key with many jobs beside nine with ten."""
    db, hand = house(folder)
    for _ in range(0, jobs, 2_000):
        hand.enqueue(*[{'key': ('large', 1_000)}] * 2_000)
    hand.enqueue(*[{'key': (f'small {number}', 1_000)} for number in range(9) for _ in range(10)])
    for _ in range(jobs // 1_000 + 2):
        hand.do(lambda s: [verbs.takeIn(s, shard, hand.seat, LATER) for shard in s.shards])
    ids = hand.do(lambda s: held.claimKeyed(s, hand.seat, 100))
    hand.manager.begin()
    shares = Counter(hand.store.entry(jobid)[1].extras['key'][0].split()[0] for jobid in ids)
    print(f'of the first 100 claims beside a key with {jobs:,} jobs, nine others with ten each got '
          f'{shares["small"]}')
    db.close()


def nothing(folder):
    """What a database without such jobs has more."""
    db, hand = house(folder)
    hand.enqueue(*[None] * 200)
    hand.settle(hand.claim(200))
    hand.manager.begin()
    store = hand.store
    found = [(type(each).__name__, name) for shard in store.shards
             for each in (shard, *shard.fates.values())
             for name in ('held', 'awaited', 'joins', 'signals', 'keyed')
             if name in (each._p_activate(), vars(each))[1]]
    print(f'without them the database has {len(found)} attributes and 0 bytes more')
    assert not found
    assert records.Pending(1, None, 0) == records.Pending(1, None, 0)
    db.close()


def main():
    """All of it."""
    held.install()
    with tempfile.TemporaryDirectory() as folder:
        shows(folder)
        races(folder)
        nothing(folder)
        if '--quick' in sys.argv:
            return
        join(folder)
        many(folder)
        fair(folder)
        counts = (0, 1_000, 10_000)
        found = [[blocked(folder, keys) for keys in counts] for _ in range(2)]
        base, *others = map(min, zip(*found))
        for keys, took in zip(counts[1:], others):
            print(f'claim of 110 beside {keys:,} keys at their limit: {took * 1e3:.2f} ms, '
                  f'{took / base:.2f} of without')


if __name__ == '__main__':
    sys.exit(main())


