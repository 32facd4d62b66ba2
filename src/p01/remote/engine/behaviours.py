# SPDX-License-Identifier: ZPL-2.1
"""The behaviour of a name, or one that fails with the reason: to look for it runs an application's
code."""
from __future__ import annotations

from typing import Any

from ZODB.broken import Broken

from p01.remote.engine.seams import Processor
from p01.remote.exceptions import InputError, NotLoaded, UnknownJob
from p01.remote.ground.foreign import Raised, interrupts, reasonOf
from p01.remote.job import Gone, Job, found
from p01.remote.storage.classes import reasonFor
from p01.remote.storage.insides import loadError
from p01.remote.storage.origin import contained


def behaviourOf(processor: Processor, name: str) -> Job:
    """The job registered under a name, or one that raises UnknownJob when it is called. Raises what
    the storage does."""
    job = contained(loaded, processor, name)
    if not isinstance(job, Raised):
        return job
    error = job.error
    if isinstance(error, UnknownJob):
        return Gone(error)
    # whatever its class does when it is loaded
    cause = loadError(error)
    lost = NotLoaded(f'The job registered as {name!r} cannot be loaded ({reasonOf(cause)}); '
                     'restore its class, or add it anew.')
    lost.__cause__ = cause
    return Gone(lost)


def loaded(processor: Processor, name: str) -> Job:
    """The registered job, with its state. Raises UnknownJob, and whatever its loading does."""
    known = contained(processor.jobs.get, name)
    # perhaps by the class of another job: names that import need no registration
    if isinstance(known, Raised):
        if '.' not in name:
            raise known.error
        job: Job = found(name).prototype
        return job
    if isinstance(known, Broken):
        raise NotLoaded(f'The job registered as {name!r} cannot be loaded, {reasonFor(known)}; '
                        'restore it, or add the job anew.') from ImportError(name)
    job = processor.registered(name)
    job._p_activate()
    return job


def prepared(behaviour: Job, input: Any, name: str) -> Any:
    """A job's input as it is stored. Raises the Exception that the job's own code raises,
    InputError for what is none."""
    try:
        return behaviour.prepare(input)
    except Exception:
        raise
    except BaseException as error:
        if interrupts(error):
            raise
        raise InputError(
            f'The input of {name!r} cannot be prepared ({reasonOf(error)}).') from error
