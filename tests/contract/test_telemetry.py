# SPDX-License-Identifier: ZPL-2.1
"""Spans and metrics of OpenTelemetry, as the SDK sees them, on every storage."""
import asyncio

import pytest

from p01.remote import App, current, telemetry, testing
from p01.remote.engine import tracing
from p01.remote.exceptions import InputError, PackageMissing, RunLater
from p01.remote.ground import semantics

pytest.importorskip('opentelemetry.sdk', reason='an SDK, of p01.remote[test], sees the spans')
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
    InMemorySpanExporter,
)
from opentelemetry.trace import SpanKind, StatusCode

from p01.remote.testing import waitFor
from tests.conftest import drained
from tests.contract.test_async import working

application = App('memory:', name='telemetry')
exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
tracers, meters = TracerProvider(), MeterProvider([reader])
tracers.add_span_processor(SimpleSpanProcessor(exporter))


@application.job(queue='mail')
def send(text):
    with tracers.get_tracer('own').start_as_current_span('own'):
        pass
    return text


@application.job(queue='mail')
async def sendLater(text):
    with tracers.get_tracer('own').start_as_current_span('own'):
        pass
    return text


@application.job(retries=0)
def fail():
    raise ValueError('no')


@application.job(backoff=0.0)
def meets():
    if current.root.get('met') is None:
        first.append(1)
        if len(first) == 1:
            from ZODB.POSException import ConflictError
            raise ConflictError('others')


@application.job(retries=0)
async def waits():
    first.append(1)
    await asyncio.Event().wait()


@application.job(timeout=0.01, retries=0)
async def lasts():
    await asyncio.Event().wait()


@application.job
def later():
    raise RunLater


first = []


@pytest.fixture(autouse=True)
def instrumented(monkeypatch):
    monkeypatch.setattr(tracing, 'sender', None)
    monkeypatch.setattr(application.hooks, 'around', [])
    telemetry.instrument(application, tracers, meters)
    exporter.clear()
    first.clear()


def spans(kind=None):
    return [span for span in exporter.get_finished_spans() if kind in (None, span.kind)]


@pytest.mark.parametrize('job', [send, sendLater], ids=['plain', 'async'])
def test_a_run_is_linked_to_who_has_enqueued_it(app, job):
    with tracers.get_tracer('web').start_as_current_span('request') as request, app.transaction():
        handle = job.enqueue('hello')
    drained(app)
    assert handle.result() == 'hello'
    [sent] = spans(SpanKind.PRODUCER)
    [ran] = spans(SpanKind.CONSUMER)
    assert (sent.name, ran.name) == ('send mail', 'process mail')
    assert sent.parent.span_id == request.get_span_context().span_id
    assert ran.parent is None and ran.context.trace_id != sent.context.trace_id
    assert [(link.context.trace_id, link.context.span_id) for link in ran.links] \
        == [(sent.context.trace_id, sent.context.span_id)]
    [own] = [span for span in spans() if span.name == 'own']
    assert own.parent.span_id == ran.context.span_id
    for span in (sent, ran):
        assert span.attributes[semantics.SYSTEM] == 'p01_remote'
        assert span.attributes[semantics.DESTINATION] == 'mail'
        assert span.attributes[semantics.MESSAGEID] == str(handle.id)
        assert span.attributes[semantics.JOBNAME] == f'{__name__}.{job.__name__}'
    assert ran.attributes[semantics.ATTEMPT] == 1 and ran.attributes[semantics.CLIENT]
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_failure_is_an_error_of_its_span(app):
    with app.transaction():
        fail.enqueue()
    drained(app)
    [ran] = spans(SpanKind.CONSUMER)
    assert ran.status.status_code is StatusCode.ERROR and ran.status.description == 'no'
    assert ran.attributes[semantics.ERRORTYPE] == 'ValueError'
    assert [event.name for event in ran.events] == ['exception']


def test_a_run_that_is_repeated_is_no_failure(app):
    with app.transaction():
        meets.enqueue()
    drained(app)
    ran = spans(SpanKind.CONSUMER)
    assert len(ran) == 2 and all(span.status.status_code is StatusCode.UNSET for span in ran)
    assert [span.attributes.get(semantics.REPEATED) for span in ran] == [True, None]


def test_a_run_that_asks_to_run_later_is_no_failure(app):
    with app.transaction():
        later.enqueue()
    drained(app)
    [ran] = spans(SpanKind.CONSUMER)
    assert ran.status.status_code is StatusCode.UNSET and not ran.events
    assert semantics.ERRORTYPE not in ran.attributes


@pytest.mark.parametrize('back', [False, True], ids=['asked', 'given back'])
def test_one_that_awaits_and_is_to_end_is_no_failure(app, back):
    with app.transaction():
        handle = waits.enqueue()
    with working(app, waitTime=0.01, grace=0.01) as loop:
        waitFor(lambda: first)
        if back:
            loop.stop()
        else:
            assert handle.cancel(running=True)
        waitFor(lambda: spans(SpanKind.CONSUMER))
    [ran] = spans(SpanKind.CONSUMER)
    assert ran.status.status_code is StatusCode.UNSET and not ran.events
    assert semantics.ERRORTYPE not in ran.attributes
    assert handle.status == ('queued' if back else 'cancelled')


def test_one_that_awaits_for_too_long_has_failed(app):
    with app.transaction():
        lasts.enqueue()
    drained(app)
    [ran] = spans(SpanKind.CONSUMER)
    assert ran.status.status_code is StatusCode.ERROR


def test_many_at_once_are_one_span_with_their_number(app):
    with app.transaction():
        send.map(['a', 'b', 'c'])
    drained(app)
    [sent] = spans(SpanKind.PRODUCER)
    assert sent.attributes[semantics.BATCH] == 3 and semantics.MESSAGEID not in sent.attributes
    ran = spans(SpanKind.CONSUMER)
    assert len(ran) == 3 and {span.links[0].context.span_id for span in ran} \
        == {sent.context.span_id}


def test_what_is_refused_is_an_error_of_the_span_that_sends(app):
    with pytest.raises(InputError), app.transaction():
        send.enqueue(each for each in ())
    [sent] = spans(SpanKind.PRODUCER)
    assert sent.status.status_code is StatusCode.ERROR


def test_jobs_that_were_enqueued_without_spans_run_in_one(app, monkeypatch):
    monkeypatch.setattr(tracing, 'sender', None)
    with app.transaction():
        send.enqueue('a')
    drained(app)
    [ran] = spans(SpanKind.CONSUMER)
    assert not spans(SpanKind.PRODUCER) and not ran.links


def numbers(name):
    found = reader.get_metrics_data()
    return [point for resource in found.resource_metrics for scope in resource.scope_metrics
            for metric in scope.metrics if metric.name == name
            for point in metric.data.data_points]


def test_metrics_have_bounded_attributes(app):
    def count(name):
        return sum(getattr(point, 'value', 0) or getattr(point, 'count', 0)
                   for point in numbers(name))

    with app.transaction():
        send.enqueue('first')
    before = {name: count(name) for name, _ in (semantics.SENT, semantics.CONSUMED,
                                                semantics.DURATION)}
    with app.transaction():
        send.map(['a', 'b'])
        fail.enqueue()
    drained(app)
    assert count(semantics.SENT[0]) - before[semantics.SENT[0]] == 3
    assert count(semantics.CONSUMED[0]) - before[semantics.CONSUMED[0]] == 4
    assert count(semantics.DURATION[0]) - before[semantics.DURATION[0]] == 4
    for name, _ in (semantics.SENT, semantics.CONSUMED, semantics.DURATION):
        for point in numbers(name):
            assert set(point.attributes) <= {semantics.SYSTEM, semantics.OPERATION,
                                             semantics.OPERATIONTYPE, semantics.DESTINATION,
                                             semantics.JOBNAME, semantics.ERRORTYPE}


def test_without_the_api_it_says_what_brings_it(monkeypatch):
    monkeypatch.setattr(telemetry, 'INSTALLED', False)
    with pytest.raises(PackageMissing, match=r'pip install "p01.remote\[otel\]"'):
        telemetry.instrument(application)


def test_component_jobs_are_sent_in_a_span(place):
    from tests.conftest import commit, stored
    processor = stored(place)
    processor.processJob('echo', 1)
    commit(processor)
    [sent] = spans(SpanKind.PRODUCER)
    assert sent.attributes[semantics.JOBNAME] == 'echo'
    assert isinstance(processor.jobs['echo'], testing.EchoJob)
