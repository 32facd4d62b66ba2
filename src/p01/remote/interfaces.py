# SPDX-License-Identifier: ZPL-2.1
"""The book: what each part promises. Implementations say "See …".

Instants are POSIX seconds or timezone-aware datetimes where they are taken, aware UTC datetimes
where they are given. Durations are seconds (int, float), a timedelta, or a text such as '90s',
'10m', '1.5h', '2d'. Ids of jobs are integers that count from 1; there may be gaps.
"""
from zope.interface import Attribute, Interface


class IJob(Interface):
    """A job's behaviour, registered by name; filled from a record it is also the job itself.

    Subclass p01.remote.job.Job and write __call__(self, remoteProcessor): it reads self.input, and
    returns the output. JobError means "failed, do not retry"; RunLater runs it again later; any
    other exception is retried by the policy, whatever its class, SystemExit included. An output
    that cannot be kept, and waiting for a job of the own transaction, are not retried. A job whose
    code a worker does not have goes back to the line, for others or the next release. A conflict
    costs no attempt: the run is repeated, after growing pauses, until there were policy.conflicts
    of them in a row.

    Around a job its transaction is the thread's own, the site is the nearest one above its
    processor (ISite), and there is an interaction of zope.security. These, the user
    (AccessControl), the request (zope.globalrequest), Pyramid's threadlocals and context variables
    are after it what they were before it: it finds those that the thread has, none in a worker, and
    what it puts there ends with its commit. What belongs to the process or to another library's
    threads is its own affair: environment, current folder, locale, signal handlers.

    policy.timeout spans all repetitions of a run. `p01-remote worker` kills the process of a job
    that takes longer; a thread of another process cannot be killed: there the run has failed as
    soon as its time is over, others may have the job, and what it still does to the database is
    refused. A job that is run by hand, in the caller's thread, has failed at its end.

    With `together`, or `p01-remote worker --together` for all, jobs that change something share
    commits: those of one claim run one after the other in one transaction, each behind a savepoint,
    for up to 50 ms, and what they change, their outputs, follow-ups and outcomes are one commit,
    still
    exactly once. It is for many short jobs whose commits take longer than they do, and that do
    little outside the database: a kill or a conflict may repeat what all of a group did outside.
    Until the commit nobody else sees anything of them, and each sees what those before it did. One
    that fails is taken back alone, and retried as ever. A conflict, or a commit that fails, has
    each
    run again by itself; it costs no attempt, and makes the groups of these jobs smaller for a
    while.
    A job that took long, ends or dooms its transaction, or has taken a worker down, runs by itself;
    one that joins a data manager without savepoints, or says something of the transaction (note,
    user), ends the group. A detached job shares nothing; nor do jobs that are run by hand.

    An async def runs on the event loop of its worker, detached, and up to --concurrency of them at
    once; it may await as it likes. What it changes it changes within `async with
    app.transaction()`,
    whose commit is refused when the job was taken over. One that awaits within `with
    app.transaction()`, or while the thread's transaction has changes, gets a TransactionOver there.
    It is cancelled at its next await by its time limit, and when its worker has to end, which gives
    it back.

    A detached job with an executor, its own or its worker's, runs beside the worker's thread: in
    another thread, in a process of its own, or on a Dask cluster, where its arguments and results
    travel as pickles. When that process dies it is laid to the job. See docs/executors.md.

    A claimed job that has not begun is queued still. Only the job that ran when its process was
    taken down is blamed, and that is a failed run, unless policy.deaths says otherwise; the ends of
    processes that were told to stop blame none.

    A job's life:

        queued ──▶ processing ──▶ completed
          ▲ ▲          │  │
          │ └─(retry)──┘  ├─────▶ error ──(jobs retry)──▶ queued
        delayed ◀─(retry)─┘
          └──▶ cancelled ◀── queued
    """

    policy = Attribute('How it is retried: an options.Policy. The default runs a job at most 4 '
                       'times.')
    detached = Attribute('True for work that runs with no transaction and no connection open.')
    executor = Attribute("Where detached work runs: 'threads', 'processes' or 'dask'; '' for where "
                         'its worker has it run, as a rule in its own thread.')
    asynchronous = Attribute('True for an async def.')
    together = Attribute('True for work that may share a commit with other jobs.')
    capture = Attribute('True for work whose printed lines are lines of its log, too.')
    id = Attribute('The id; None in a behaviour.')
    name = Attribute('The name it was enqueued under.')
    input = Attribute('What it works on.')
    output = Attribute('What it returned; None before.')
    error = Attribute("The text of its (last) error; '' without one.")
    status = Attribute("'queued' 'delayed' 'processing' 'completed' 'error' 'cancelled'.")
    queue = Attribute('The queue, a text.')
    priority = Attribute('From -100 to 100; a higher one runs sooner.')
    runCounter = Attribute('How many runs there were, the running one included.')
    attempts = Attribute('The failed runs, oldest first: number, started, ended, worker, reason, '
                         'trace.')
    conflicts = Attribute('(number, object) of the conflicts that its last run met, None for none.')
    tid = Attribute('The transaction (8 bytes) that ended it with its changes; None where it had '
                    'none.')
    worker = Attribute('The worker that runs it or ran it.')
    created = Attribute('When it was enqueued.')
    queued = Attribute('The same, as it was called before.')
    due = Attribute('Before when it does not start; None without a delay.')
    started = Attribute('When its last run started.')
    completed = Attribute('When it finished.')

    def __call__(remoteProcessor):
        """Do the work; the output is returned."""

    def prepare(input):
        """The input as it is stored. Raises InputError for one that does not fit."""


class IRemoteProcessor(Interface):
    """Takes jobs and starts workers that process them.

    A persistent object with a place (ILocation); jobs and application share its database, so that
    one commit holds both. A mixin too, before or behind other bases: RemoteProcessor.__init__
    passes its arguments on. One that is not stored, or not committed yet, takes jobs as well.

    In Zope nobody, not even a Manager, reaches it, its jobs, schedules and store by URL, XML-RPC,
    WebDAV or from restricted code, nor a subclass, whatever else that inherits from. A view
    somewhere else may call it; a subclass that declares __zpublishable__ and __roles__ opens
    itself, and what it declares one by one; see docs/worker.rst.
    """

    workerFactory = Attribute('Makes the worker: factory(db, queuePath, **workerArguments).')
    workerArguments = Attribute("Keyword arguments of the factory, {'waitTime': 1.0} by default.")
    isProcessing = Attribute('Whether a worker thread of this process runs.')
    inputLimit = Attribute('Bytes that a pickled input may take; 1 MiB.')
    outputLimit = Attribute('Bytes that a pickled output may take; 1 MiB.')
    retention = Attribute('How long finished jobs stay: an options.Retention; 7 days, failed ones '
                          '30.')

    def addJob(name, job):
        """Register a Job instance, or a callable that any process finds again by its name, and that
        does its work when it is called, or is an async def: no generator function, no method,
        nothing of the script that runs. What stands under the name is what runs. Raises
        RegistrationError, saying what to do.
        """

    def removeJob(name):
        """Forget a registered job. Raises UnknownJob."""

    def getJobByName(name):
        """The job that is registered, or imports, under this name; None without one."""

    def processJob(name, input=None, *, queue=None, priority=0, delay=None, at=None, unique=None,
                   expires=None):
        """Enqueue in the current transaction; returns the id.

        The input of a Job is passed on as it is; that of a function is its arguments: a tuple is
        positional, a dict keywords, anything else one argument. delay is a duration, at an instant;
        unique a text or an options.Unique: when a job holds this key already, from its commit on,
        its id is returned and nothing is enqueued; of two transactions that enqueue the same key at
        the same time both commit, and one of the jobs ends cancelled as a duplicate. A job that has
        not started within the duration expires (or before that datetime) is cancelled.

        Raises UnknownJob, ArgumentsError, InputError (not picklable, too large, negative delay …);
        the transaction stays usable. Raises TransactionOver where it is over, as in a hook after
        its commit; nothing is enqueued then. A transaction that never commits is told of once, see
        events.JobsUncommitted.
        """

    def getJob(jobid):
        """The job as it is now, an IJob that is not stored. Raises JobNotFound."""

    def getJobStatus(jobid):
        """Its status. Raises JobNotFound."""

    def getJobResult(jobid):
        """Its output, None before it has one. Raises JobNotFound."""

    def getJobError(jobid):
        """The text of its error, '' without one. Raises JobNotFound."""

    def cancelJob(jobid, running=False, grace=10.0, who=''):
        """Cancel it if it waits; with running, also ask its worker to end it if it runs; returns
        whether it waited or was asked: one that has ended stays as it is. Raises JobNotFound.

        A job that runs sees the request at its next current.check() or current.progress(), and ends
        cancelled, with nothing changed; after grace (seconds, a timedelta, or a text such as '10m')
        its worker process is killed for it and replaced. It may complete before that, and then has
        completed. who asks, as it is kept with the job; '' for user@host."""

    def retryJob(jobid):
        """Run a failed or cancelled job again, its earlier attempts kept; returns whether it was
        one, and no other job holds its unique key."""

    def removeJobs(stati=None):
        """Remove finished jobs of these stati (None: all); returns {status: count}. ValueError for
        other stati."""

    def addScheduler(item, now=None):
        """Add a Delay or Cron item; returns its key. Raises UnknownJob.

        Any worker fires it. item.missed ('one', 'all', 'none', a number) says what becomes of ticks
        that passed while nobody worked, item.overlap ('skip', 'queue', 'cancel') of a tick while
        the job before waits or runs; see docs/schedules.md. item.nextAfter(instant),
        item.preview(n) and item.explain() tell when it runs; set item.active, and it is paused."""

    def reScheduleItem(item, now=None):
        """Compute anew when the item is due."""

    def reScheduleItems(now=None):
        """Compute anew when each item is due."""

    def pullNextJob(now=None):
        """Take the next due job into the caller's hands, None when there is none; finish it with
        completeJob within an hour, after which it counts a failed run, as one whose worker died."""

    def completeJob(jobid, output=None):
        """Complete a job that was pulled. Raises ClaimLost."""

    def processNextJob(now=None):
        """Run the next due job in a savepoint of the caller's transaction; returns whether there
        was one."""

    def processJobs(now=None):
        """Run everything due, each job in a savepoint of the caller's transaction; returns how many
        runs there were.

        A job that asks to run later runs once. One that commits or aborts the transaction is
        refused, and fails.
        """

    def startProcessing():
        """Start a daemon thread named p01.remote.<path>; nothing happens when one runs."""

    def stopProcessing():
        """Stop that thread after its running job, and wait for it. What closes the database does
        so, too, and gives back a job that does not end within 30 s."""


class IWorker(Interface):
    """Processes jobs of one processor; callable, as the target of a thread."""

    def processNextJob(now=None):
        """Run the next due job, in transactions of the worker's own; returns whether there was
        one."""

    def stop():
        """End after the running job; for other threads."""
