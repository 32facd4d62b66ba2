# SPDX-License-Identifier: ZPL-2.1
"""Three hosts work on one PostgreSQL server. One of them is cut off in the middle of its jobs: the
others do them, and what it still does itself is refused when it is back.
"""
from contextlib import ExitStack, contextmanager

import pytest

from p01.remote import storage
from p01.remote.storage import postgresql
from p01.remote.testing import waitFor
from tests import servers
from tests.acceptance.hosts import Host, Server, Switch
from tests.acceptance.trees import DEADLINE
from tests.race.stage import Stage

pytestmark = [pytest.mark.slow, pytest.mark.postgresql]

LEASE = 4           # seconds
WORKERS = 2         # of each host
# How soon a connection over which nothing comes is given up, by the host and by the server. Those
# of a patient host outlive the time for which it is cut off, and what it has sent arrives late; a
# hasty one has to begin anew.
PATIENT = {}
HASTY = {'connect_timeout': 2, 'keepalives_idle': 1, 'keepalives_interval': 1,
         'keepalives_count': 2, 'tcp_user_timeout': 3000}


class Town:
    """Hosts around a switch, with workers and a database; ways to ask, and to enqueue jobs of which
    each counts a key."""

    def __init__(self, folder):
        self.used = 0
        self.marks = folder / 'marks'
        self.marks.mkdir()
        with ExitStack() as undo:
            self.switch = undo.enter_context(servers.needed(Switch))
            self.server = undo.enter_context(servers.needed(lambda: Server(self.switch)))
            self.name = self.server.create()
            self.stage = Stage(self.server.address(self.name))
            undo.callback(self.stage.close)
            self.hosts = {}
            for each, patience in (('patient', PATIENT), ('hasty', HASTY), ('third', HASTY)):
                host = Host(self.switch, each, self.uri(patience), folder, processes=WORKERS,
                            lease=LEASE)
                undo.callback(host.close)
                self.hosts[each] = host
            self.undo = undo.pop_all()

    def close(self):
        self.undo.close()

    def uri(self, patience):
        """The address of the database for hosts."""
        return self.server.uri(self.name, **patience)

    @contextmanager
    def cut(self, host, free=False):
        """Nothing reaches a host, and nothing comes from it; free at a moment at which it holds no
        locks."""
        def off():
            self.switch.cut(host.name)
            if free and self.locks(host):
                self.switch.join(host.name)
                return False
            return True
        waitFor(off, DEADLINE, f'{host.name} holds locks')
        try:
            yield
        finally:
            self.switch.join(host.name)

    # -- jobs

    def keys(self, count=1):
        """New keys."""
        self.used += count
        return range(self.used - count, self.used)

    def begin(self, name):
        """A job that runs and waits to be let go; returns its key, its id and its host."""
        [key] = self.keys()
        [jobid] = self.stage.enqueue(name, (key, str(self.marks)))
        path = self.marks / f'{key}.{jobid}.1'
        pid = int(waitFor(lambda: path.exists() and path.read_text(), DEADLINE,
                          f'{path.name} does not begin'))
        return key, jobid, self.hostOf(pid)

    def beginOn(self, host, name):
        """Such a job on this host; returns its key and its id."""
        def begun():
            key, jobid, found = self.begin(name)
            if found is host:
                return key, jobid
            self.go(key)
            return None
        return waitFor(begun, DEADLINE, f'{host.name} takes no job')

    def hold(self, host):
        """Every worker of the host runs such a job; returns their keys and ids. All others have
        nothing to do."""
        held = [self.begin('wait') for _ in range(len(self.hosts) * WORKERS)]
        others = [(key, jobid) for key, jobid, found in held if found is not host]
        for key, _ in others:
            self.go(key)
        self.finish([jobid for _, jobid in others])
        return [(key, jobid) for key, jobid, found in held if found is host]

    def go(self, key):
        """Let a waiting job go on."""
        (self.marks / f'{key}.go').touch()

    def effects(self, count=20):
        """Enqueue short jobs; returns their ids."""
        return self.stage.enqueue('effect', *self.keys(count))

    def finish(self, jobids):
        """Wait until all are completed; returns their views."""
        waitFor(lambda: completed(self.views(jobids)), DEADLINE, f'{jobids} do not complete')
        return self.views(jobids)

    def partake(self, *hosts):
        """Short jobs, until each of these hosts has completed one."""
        missing = set(hosts)

        def done():
            missing.difference_update(self.ran(self.finish(self.effects())))
            return not missing
        waitFor(done, DEADLINE, 'a host takes no jobs')

    def engage(self, host):
        """Short jobs of which this host has completed one, though not all are completed; returns
        their ids."""
        def engaged():
            jobids = self.effects(200)
            views = waitFor(lambda: seen(jobids), DEADLINE, f'{jobids} do not complete')
            return jobids if host in self.ran(views) and not completed(views) else None

        def seen(jobids):
            views = self.views(jobids)
            return views if host in self.ran(views) or completed(views) else None
        return waitFor(engaged, DEADLINE, f'{host.name} takes no jobs')

    # -- questions

    def views(self, jobids):
        """Jobs as they are."""
        return self.stage.do(lambda processor: [processor.store.view(jobid) for jobid in jobids])

    def hostOf(self, pid):
        """The host with this process."""
        return next(host for host in self.hosts.values() if host.has(pid))

    def ran(self, views):
        """The hosts that completed some of these jobs."""
        return {self.hostOf(int(view.outcome.worker.split(':')[1])) for view in views
                if view.status == 'completed'}

    def backends(self, host):
        """The server's ends of this host's connections."""
        rows = self.server.execute("SELECT pid FROM pg_stat_activity WHERE client_addr = "
                                   f"'{host.address}'")
        return {pid for pid, in rows}

    def locks(self, host):
        """How many locks of the database this host has: of who opens it, and of who commits."""
        [[count]] = self.server.execute("SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING "
                                        "(pid) WHERE locktype IN ('advisory', 'transactionid') "
                                        f"AND granted AND client_addr = '{host.address}'")
        return count

    def verify(self):
        """Each key counts once, and the database is sound."""
        assert self.stage.effects == dict.fromkeys(range(self.used), 1)
        self.stage.check()


@pytest.fixture(scope='module')
def town(tmp_path_factory):
    """One for all tests: its start takes longer than each of them."""
    town = Town(tmp_path_factory.mktemp('town'))
    yield town
    town.close()


def completed(views):
    """Whether all of these jobs are."""
    return all(view.status == 'completed' for view in views)


def refused(host, jobid):
    """Wait until a host has said that it finished a job too late."""
    waitFor(lambda: any(f'Job {jobid} ' in line and 'finished too late' in line
                        for line in host.said.splitlines()), DEADLINE,
            f'{host.name} says nothing of job {jobid}')


def taken(view):
    """Whether somebody else ran a job, after its worker was silent for too long."""
    [attempt] = view.attempts
    return (view.status, view.runs) == ('completed', 2) \
        and attempt.reason.startswith('WorkerDied: it was silent for ')


def test_all_hosts_work(town):
    town.partake(*town.hosts.values())
    names = town.stage.do(lambda processor: {seat.host.partition('/')[0]
                                             for seat in processor.store.seats.values()})
    assert names == set(town.hosts)
    town.verify()


def test_what_arrives_late_is_refused(town):
    """One of the jobs ends while its host is cut off, and its commit arrives with the host's
    return; the other ends then."""
    host = town.hosts['patient']
    (early, first), (late, second) = town.hold(host)
    with town.cut(host, free=True):
        connected = town.backends(host)
        town.go(early)
        views = town.finish([first, second])
        others = town.finish(town.effects())
        assert connected & town.backends(host)
    town.go(late)
    refused(host, first)
    refused(host, second)
    town.partake(host)
    assert all(taken(view) for view in views) and host not in town.ran(views + others)
    assert town.views([first, second]) == views
    town.verify()


def test_a_host_that_lost_its_connections_is_refused(town):
    """It was cut off for so long that both sides have given up all connections."""
    host = town.hosts['hasty']
    (early, first), (late, second) = town.hold(host)
    with town.cut(host):
        town.go(early)
        views = town.finish([first, second])
        waitFor(lambda: not town.backends(host), DEADLINE, 'the server keeps connections')
    town.go(late)
    refused(host, second)
    town.partake(host)
    assert all(taken(view) for view in views) and host not in town.ran(views)
    assert town.views([first, second]) == views
    town.verify()


def test_a_host_that_is_cut_off_within_a_commit_holds_up_nobody(town):
    """Not for longer than the server takes to give up its connection, and with it the locks."""
    host = town.hosts['hasty']
    key, jobid = town.beginOn(host, 'vote')
    with town.cut(host):
        assert town.locks(host)
        others = town.effects()
        [view, *_] = town.finish([jobid, *others])
    town.go(key)
    refused(host, jobid)
    town.partake(host)
    assert taken(view) and town.views([jobid]) == [view]
    town.verify()


def test_a_host_that_is_cut_off_while_it_opens_the_database_holds_up_nobody(town, monkeypatch):
    """Those that open it come one after the other."""
    host = town.hosts['third']
    town.partake(host)          # its own workers have opened it

    def cutOff(*ignored):
        town.switch.cut(host.name)
        raise ConnectionAbortedError

    try:
        with host.namespace.within(), monkeypatch.context() as patch:   # this process is there
            patch.setattr(postgresql, '_open', cutOff)
            with pytest.raises(ConnectionAbortedError):
                storage.openDatabase(town.uri(HASTY))
        assert town.locks(host)
        storage.openDatabase(town.server.address(town.name)).close()
    finally:
        town.switch.join(host.name)
    town.partake(host)
    town.verify()


@pytest.mark.parametrize('time', [1, 2])
def test_cut_off_at_any_moment(town, time):
    """While all work on short jobs: before, within or after a claim, a job or a commit."""
    host = town.hosts['hasty']
    jobids = town.engage(host)
    with town.cut(host):
        town.finish(jobids)
    town.partake(host)
    town.verify()
