# SPDX-License-Identifier: ZPL-2.1
"""One tree of errors. A class's docstring is its message when it is raised without one."""
from datetime import timedelta

from transaction.interfaces import TransientError

from p01.remote.ground import foreign, spans

TRACEVARIABLE = 'P01_REMOTE_TRACE'      # in the environment: commands show tracebacks


class RemoteError(Exception):
    """p01.remote could not do what was asked."""

    def __str__(self) -> str:
        return ' '.join(str(arg) for arg in self.args) or ' '.join((self.__doc__ or '').split())


# -- raised by jobs, to say how they end

class JobError(RemoteError):
    """The job failed and must not be retried."""


class OutputError(JobError, ValueError):
    """The job's output cannot be kept, and will not be the next time."""


class RunLater(RemoteError):
    """The job asks to run again later; this counts neither as a failure nor as an attempt. The
    reason is told at level info."""

    def __init__(self, delay: float | timedelta | str = 60.0, reason: str = '') -> None:
        length = delay.total_seconds() if isinstance(delay, timedelta) \
            else spans.parsed(delay) if isinstance(delay, str) \
            else delay if isinstance(delay, int | float) and not isinstance(delay, bool) else None
        if length is None or not 0 <= length <= 1e10:      # 300 years; not a number, neither
            raise InputError("RunLater takes a delay from 0: seconds, a timedelta, or a text such "
                             "as '10m', not "
                             f'{foreign.short(delay)}.')
        super().__init__(reason or f'The job asks to run again in {length:g} seconds.')
        self.delay = float(length)

    def __reduce__(self) -> tuple[type[RemoteError], tuple[float, str]]:
        return type(self), (self.delay, str(self))


# -- raised in jobs that are to end

class Interrupt(BaseException):
    """The job is to end. As with asyncio's CancelledError, `except Exception` lets it pass."""

    def __str__(self) -> str:
        return RemoteError.__str__(self)        # type: ignore[arg-type]


class Cancelled(Interrupt):
    """The job was asked to end."""


class TimeLimit(Interrupt):
    """The job runs longer than its soft time limit."""


# -- bad input, told at the door

class RegistrationError(RemoteError, ValueError):
    """The job cannot be registered: only an importable function or a Job instance can."""


class UnknownJob(RemoteError, LookupError):
    """No job is registered under this name; register it with addJob or @app.job."""


class NotLoaded(UnknownJob):
    """The job's code cannot be loaded here; another worker, or a later release, may have it."""


class JobNotFound(RemoteError, LookupError):
    """No job has this id; it never existed, was aborted with its transaction, or has been
    removed."""


class UnknownSchedule(RemoteError, LookupError):
    """No schedule has this name."""


class InputError(RemoteError, ValueError):
    """The job's input or options cannot be taken."""


class OptionError(InputError, TypeError):
    """There is no such option."""


class ArgumentsError(InputError, TypeError):
    """The arguments do not fit the job's signature."""


class NoZone(InputError):
    """This host has no such time zone."""


class NotCommitted(RemoteError):
    """The job was enqueued in this very transaction; commit it before you wait for its result."""


class WaitsForItself(JobError):
    """The job waits for one that only its own worker could run; it would wait for ever."""


class TransactionOver(RemoteError):
    """There is no transaction here that could still take anything; begin one."""


# -- addresses and databases

class AddressError(RemoteError, ValueError):
    """The address names no database; write sqlite:FOLDER, file:PATH or memory:."""


class PackageMissing(AddressError):
    """A package that this kind of address needs is not installed."""


class WorkerDied(RemoteError):
    """The process died that an executor had run a job in."""


class Elsewhere(RemoteError):
    """What a job has raised in another process, where it cannot travel from; its text tells
    it."""


class LibraryChanged(RemoteError):
    """A library below p01.remote is not what it was tested with."""


class DatabaseLocked(AddressError):
    """Another process holds this database."""


class PackRunning(RemoteError):
    """Another pack of this database is running; try again when it has ended."""


class CopyFailed(RemoteError):
    """The database could not be copied."""


class StorageAway(RemoteError):
    """The database cannot be reached."""


class NewerDatabase(RemoteError):
    """The database was written by a newer p01.remote; upgrade the package."""


class OlderDatabase(RemoteError):
    """The database was written by an older p01.remote and must be brought forward first."""


class NoProcessor(RemoteError, LookupError):
    """The database has no processor there."""


class OldProcessor(RemoteError):
    """This processor was made by p01.remote 0.5, whose jobs this version does not read; add a new
    processor beside it."""


class ProcessorGone(RemoteError):
    """The processor that a worker worked for is no longer in the database."""


# -- answers about a job

class JobFailed(RemoteError):
    """The job failed; its error is the message."""


class JobCancelled(RemoteError):
    """The job was cancelled."""


class TimedOut(RemoteError, TimeoutError):
    """The job ran longer than its timeout."""


class ClaimLost(RemoteError, TransientError):
    """The claim on this job is no longer ours: it was taken over; its changes were undone."""


def sentence(error: BaseException) -> str:
    """What a command tells about an error that ends it."""
    if isinstance(error, RemoteError):
        return foreign.described(error)
    if isinstance(error, OSError):
        return f'{error.filename}: {error.strerror}.' if error.filename \
            and error.strerror else foreign.described(error)
    if isinstance(error, TransientError):
        return 'The database was changed by others again and again; try once more.'
    return f'{foreign.reasonOf(error)} ({TRACEVARIABLE}=1 shows where)'
