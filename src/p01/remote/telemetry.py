# SPDX-License-Identifier: ZPL-2.1
"""Spans and metrics of OpenTelemetry, by its API alone: which SDK there is, and where it sends
them, is the application's. Needs the extra otel.

A span when a job is enqueued, another for each run, linked to the first: a job may run much later,
and again. Their names are those of ground.semantics.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from transaction.interfaces import TransientError

from p01.remote.app import App
from p01.remote.engine import tracing
from p01.remote.engine.context import Running, running
from p01.remote.exceptions import Cancelled, PackageMissing, RunLater
from p01.remote.ground import semantics

try:
    from opentelemetry import metrics, trace
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, SpanKind, StatusCode
except ImportError:         # said by instrument: who only looks at this module needs no extra
    INSTALLED = False
else:
    INSTALLED = True

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

SCOPE = 'p01.remote'
# what a run ends with that is no failure of the job: it is repeated, or was asked to end
PASSING = TransientError, Cancelled, RunLater


def instrument(app: App, tracers: TracerProvider | None = None,
               meters: MeterProvider | None = None) -> None:
    """Have a span around each run of the jobs of an App, and one wherever this process enqueues a
    job, of whatever App; None for the providers that the process has.

    To be called once, behind the App: hooks that are declared later run within the span. Raises
    PackageMissing without the extra otel.
    """
    if not INSTALLED:
        raise PackageMissing('Spans need opentelemetry-api; pip install "p01.remote[otel]" '
                             'brings it.')
    telemetry = Telemetry(tracers, meters)
    app.around(telemetry.processing)
    tracing.sender = telemetry.sending


class Telemetry:
    """The spans and metrics of one tracer and one meter."""

    def __init__(self, tracers: TracerProvider | None, meters: MeterProvider | None) -> None:
        self.tracer = trace.get_tracer(SCOPE, tracer_provider=tracers)
        meter = metrics.get_meter(SCOPE, meter_provider=meters)
        self.sent = meter.create_counter(*semantics.SENT, 'Jobs that were enqueued.')
        self.consumed = meter.create_counter(*semantics.CONSUMED, 'Runs of jobs.')
        self.duration = meter.create_histogram(*semantics.DURATION, 'How long runs took.')

    @contextmanager
    def sending(self, name: str, queue: str,
                count: int) -> Iterator[Callable[[Sequence[int]], None]]:
        """A span around the enqueuing of so many jobs, whose context travels with them; gives what
        is to be told their ids."""
        common = shared(semantics.SENDOP, name, queue)
        more = {semantics.BATCH: count} if count != 1 else {}
        with self.tracer.start_as_current_span(f'{semantics.SENDOP} {queue}',
                                               kind=SpanKind.PRODUCER,
                                               attributes={**common, **more}) as span:
            def told(jobids: Sequence[int]) -> None:
                if len(jobids) == 1:
                    span.set_attribute(semantics.MESSAGEID, str(jobids[0]))

            yield told
        self.sent.add(count, common)

    def processing(self) -> Iterator[None]:
        """A span around a run: in a trace of its own, linked to who has enqueued the job. For
        app.around."""
        job = running.get()
        assert job is not None
        record, began = job.task.record, time.monotonic()
        common = shared(semantics.PROCESSOP, record.name, record.queue)
        came = trace.get_current_span().get_span_context()
        links = [Link(came)] if came.is_valid and tracing.TRACEPARENT in (record.extras or {}) \
            else []
        try:
            with self.tracer.start_as_current_span(
                    f'{semantics.PROCESSOP} {record.queue}', Context(), SpanKind.CONSUMER,
                    attributes={**common, **ofRun(job)}, links=links, record_exception=False,
                    set_status_on_exception=False) as span:
                try:
                    yield
                except BaseException as error:
                    if isinstance(error, TransientError):
                        span.set_attribute(semantics.REPEATED, True)
                    elif not passes(job, error):
                        raised(span, error)
                        common[semantics.ERRORTYPE] = type(error).__qualname__
                    raise
        finally:
            self.consumed.add(1, common)
            self.duration.record(time.monotonic() - began, common)


def shared(operation: str, name: str, queue: str) -> dict[str, Any]:
    """What spans and metrics have in common; bounded, with no ids."""
    return {semantics.SYSTEM: semantics.OURSYSTEM, semantics.OPERATION: operation,
            semantics.OPERATIONTYPE: operation, semantics.DESTINATION: queue,
            semantics.JOBNAME: name}


def ofRun(job: Running) -> dict[str, Any]:
    """What a span says of one run."""
    return {semantics.MESSAGEID: str(job.task.id), semantics.ATTEMPT: job.run,
            semantics.CLIENT: job.worker}


def passes(job: Running, error: BaseException) -> bool:
    """Whether what a run ends with is no failure of the job."""
    from asyncio import CancelledError  # here: most have no such jobs
    return isinstance(error, PASSING) or isinstance(error, CancelledError) and job.told()


def raised(span: Span, error: BaseException) -> None:
    """Note on a span how its run has failed."""
    span.record_exception(error)
    span.set_attribute(semantics.ERRORTYPE, type(error).__qualname__)
    span.set_status(StatusCode.ERROR, str(error))
