# SPDX-License-Identifier: ZPL-2.1
"""Takes the server away under load, again and again, and then asks what is left.

The workers must say so once, wait, and go on by themselves, in the same processes.
"""
import random
import re
import time
from contextlib import suppress

from transaction.interfaces import TransientError

from p01.remote.testing import waitFor
from p01.remote.views import listing
from tests import servers
from tests.acceptance.load import Enqueuers, completed, counts, verdict
from tests.acceptance.trees import DEADLINE, Tree
from tests.race.stage import Stage

KINDS = ('crash', 'restart', 'cut', 'zeo')
WORKERS = 2
# seconds that most outages, and some, last at most, beside what the server needs to start
SHORT, LONG = 0.3, 4.0
# seconds that a client of ZEO waits for its server before it says that it is away
WAIT = 1
OPEN = ('queued', 'delayed', 'processing')


class Place:
    """A database on a server of our own, which goes away in one of four ways."""

    def __init__(self, kind):
        self.kind = kind
        self.server = servers.needed((lambda: servers.ZEO(storages=1)) if kind == 'zeo'
                                     else servers.PostgreSQL)

    def __enter__(self):
        self.server.__enter__()
        self.address = self.server.database(wait_timeout=WAIT) if self.kind == 'zeo' \
            else self.server.database()
        return self

    def __exit__(self, *error):
        self.server.__exit__(*error)

    def strike(self, meanwhile):
        """One outage, during which meanwhile() is called."""
        match self.kind:
            case 'cut':             # only the connections go, and new ones can be had at once
                assert self.server.cut(self.server.made[-1])
                return
            case 'restart':
                self.server.stop()
            case 'crash' | 'zeo':
                self.server.kill()
        meanwhile()
        self.server.start()


class Pair(Place):
    """PostgreSQL with a standby that has all that was acknowledged; it takes the server's place."""

    def __init__(self):
        super().__init__('crash')
        self.server.access = 'local replication all trust\n' + self.server.access
        self.standby = servers.needed(servers.PostgreSQL)

    def __enter__(self):
        super().__enter__()
        primary, standby = self.server, self.standby
        made = standby._run('pg_basebackup', '-D', str(standby.data), '-h', str(primary.folder),
                            '-U', servers.ADMIN, '-R',
                            '-X', 'stream', '-c', 'fast', '--no-sync')
        assert made.wait(DEADLINE) == 0, standby.log()
        standby.__enter__()
        primary.execute("ALTER SYSTEM SET synchronous_standby_names TO '*'")
        primary.execute('SELECT pg_reload_conf()')
        servers.until(lambda: primary.execute("SELECT 1 FROM pg_stat_replication WHERE sync_state "
                                              "= 'sync'"), 'replicating')
        # the one of both that can be written to
        self.address = (f'postgresql:host={primary.folder},{standby.folder} user={servers.ADMIN} '
                        f'dbname={primary.made[-1]} target_session_attrs=read-write')
        return self

    def __exit__(self, *error):
        self.standby.__exit__(*error)
        super().__exit__(*error)

    def strike(self, meanwhile):
        """The server is gone for good."""
        self.server.kill()
        meanwhile()
        self.standby.execute('SELECT pg_promote()')


def outages(kind, folder, number, every, seed=None):
    """So many outages of a kind, each at any moment; one of so many lasts until the workers have
    said so, or for long.

    AssertionError when a job was lost or ran twice, or a worker did not go on by itself.
    """
    seed = random.randrange(1 << 32) if seed is None else seed
    chance = random.Random(seed)
    with Pair() if kind == 'failover' else Place(kind) as place:
        stage = Stage(place.address)
        enqueuers = Enqueuers(place.address, folder, lenient=True)
        tree = None
        try:
            tree = Tree(place.address, folder, processes=WORKERS)
            tree.ready(WORKERS)
            enqueuers.ready()
            pids = sorted(tree.workers())
            for count in range(number):
                goOn(stage, chance.randrange(1, 60))
                time.sleep(chance.uniform(0, 0.02))     # not always just after a commit
                long = count % every == every - 1
                place.strike(lambda long=long: notice(tree) if long
                             else time.sleep(chance.uniform(0, SHORT)))
                enqueuers.check()
            acks = enqueuers.stop()
            waitFor(lambda: finished(stage), 5 * DEADLINE, 'jobs remain')
            waitFor(lambda: all(each[-1] == 'back' for each in words(tree.said).values()),
                    DEADLINE, 'a worker stays away')
            assert sorted(tree.workers()) == pids       # none had to be replaced
            assert tree.terminate() == 0
            told = tellings(tree.said, number)
            verdict(stage, acks, f'{number} outages ({kind}), told {told} times (seed {seed})',
                    enqueuers.unknown)
            assert stage.do(blamed) == set()
        except BaseException:
            print(f'seed {seed}', tree.said[-10_000:] if tree is not None else '')
            raise
        finally:
            enqueuers.kill()
            if tree is not None:
                tree.kill()
            stage.close()


def goOn(stage, jobs):
    """Wait until so many more jobs have completed."""
    seen = []

    def enough():
        try:
            seen.append(completed(stage))
        except TransientError:      # we are not connected again ourselves
            return False
        return seen[-1] >= seen[0] + jobs

    waitFor(enough, DEADLINE, 'no jobs are completed')


def finished(stage):
    """Whether no job is left."""
    try:
        return not any(counts(stage).get(status) for status in OPEN)
    except TransientError:
        return False


def blamed(processor):
    """The errors that were held against jobs, beside those of their own: a storage that is away is
    no fault of theirs."""
    return {attempt.reason for jobid in listing.ids(processor.store)
            for attempt in processor.store.view(jobid).attempts
            if not attempt.reason.startswith('ValueError: run ')}


def notice(tree):
    """Wait until all workers have said that the database is away, but not for ever: one that is
    idle may take its time."""
    with suppress(AssertionError):
        waitFor(lambda: [each[-1] for each in words(tree.said).values()] == ['away'] * WORKERS,
                LONG)


def words(said):
    """What each worker said of the database, in order: away, back."""
    found = {}
    for worker, word in re.findall(r'Worker (\S+): the database is (away|back)', said):
        found.setdefault(worker, []).append(word)
    return found


def tellings(said, number):
    """How often workers said that the database is away: at most once in each outage, and then that
    it is back."""
    found = words(said)
    for each in found.values():
        assert each == ['away', 'back'] * (len(each) // 2), found
        assert len(each) <= 2 * number, found
    assert len(found) <= WORKERS, found     # and not the supervisor
    return sum(len(each) for each in found.values()) // 2
