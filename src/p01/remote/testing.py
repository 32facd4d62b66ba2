# SPDX-License-Identifier: ZPL-2.1
"""For tests: a place with a log (setUp, tearDown), jobs that behave in a known way, a clock, a
patient wait.

The packages that setUp needs come with the extra p01.remote[test]; the jobs, the clock and waitFor
need none.
"""
import logging
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any, TypeVar

from p01.remote.exceptions import JobError, RemoteError
from p01.remote.instants import duration, seconds
from p01.remote.job import Job

logger = logging.getLogger('p01.remote')
Answer = TypeVar('Answer')

# what the tearDowns still have to undo, newest last: setUp may be nested, and globs belong to the
# test
_undo: list[ExitStack] = []


# -- a place

def setUp(test: Any) -> None:
    """Put root (a located root folder, the current site) and log_info (the log from INFO) into
    test.globs.

    Workers started by a RemoteProcessor wait 0 seconds instead of 1. Raises ImportError naming the
    extra when a package is missing.
    """
    try:
        from zope.security.management import endInteraction
        from zope.site.testing import siteSetUp, siteTearDown
        from zope.testing.loggingsupport import InstalledHandler
    except ImportError as error:
        raise ImportError(f"testing.setUp needs {error.name}; pip install 'p01.remote[test]'.",
                          name=error.name) from error
    import transaction

    from p01.remote.processor import RemoteProcessor

    with ExitStack() as undo:
        # undone from the last to the first: threads end before anything they use goes away
        root = siteSetUp(site=True)
        undo.callback(siteTearDown)
        usual = RemoteProcessor.workerArguments
        undo.callback(setattr, RemoteProcessor, 'workerArguments', usual)
        RemoteProcessor.workerArguments = {**usual, 'waitTime': 0.0}
        handler = InstalledHandler('p01.remote', level=logging.INFO)
        undo.callback(handler.uninstall)
        undo.callback(endInteraction)
        undo.callback(transaction.abort)
        undo.callback(stopThreads)
        test.globs.update(root=root, log_info=handler)
        _undo.append(undo.pop_all())


def tearDown(test: Any) -> None:
    """Undo setUp: end worker threads, the transaction, the interaction, the log handler and the
    site."""
    if _undo:
        _undo.pop().close()


def stopThreads() -> None:
    """Stop the workers that this process's processors have started; AssertionError when one goes
    on."""
    worker = sys.modules.get('p01.remote.worker')       # never imported: none was started
    if worker is not None:
        worker.stopAll()
    waitFor(lambda: not workerThreads(), message='worker threads go on after stopAll')


def workerThreads() -> list[threading.Thread]:
    """The threads of this process that process jobs."""
    return [thread for thread in threading.enumerate() if thread.name.startswith('p01.remote.')]


# -- jobs

class EchoJob(Job):
    """Returns its input."""

    def __call__(self, remoteProcessor: Any) -> Any:
        return self.input


class SleepJob(Job):
    """Its input is (seconds, number): sleeps, logs the number and returns it."""

    def __call__(self, remoteProcessor: Any) -> Any:
        pause, number = self.input
        time.sleep(pause)
        logger.info('Job: %s', number)
        return number


class ErrorJob(Job):
    """Fails for good, with a JobError."""

    def __call__(self, remoteProcessor: Any) -> Any:
        raise JobError('An error occurred.')


class Fatal(RemoteError):
    """An error occurred."""


class FatalJob(Job):
    """Fails with an error that is no JobError, and so is retried."""

    def __call__(self, remoteProcessor: Any) -> Any:
        raise Fatal


# -- time

class FakeClock:
    """Returns POSIX seconds when called; stands still until it is told to move."""

    def __init__(self, now: float | datetime = 1_700_000_000.0) -> None:
        self.set(now)

    def __call__(self) -> float:
        return self._now

    def set(self, now: float | datetime) -> float:
        """Show this instant, which may be earlier; returns it in POSIX seconds."""
        self._now = seconds(now)
        return self._now

    def advance(self, delay: float | timedelta | str) -> float:
        """Move on by a duration; returns the new instant in POSIX seconds."""
        return self.set(self._now + duration(delay))


def waitFor(condition: Callable[[], Answer], timeout: float | timedelta | str = 10.0,
            message: str = '') -> Answer:
    """The first true answer of the condition; AssertionError when there is none within the timeout,
    a duration.

    A condition that reads the database begins a transaction first, to see what others have
    committed.
    """
    timeout = duration(timeout, 'timeout')
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not (answer := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(f'Not within {timeout:g} seconds: {message or repr(condition)}')
        pause.wait(0.005)
    return answer
