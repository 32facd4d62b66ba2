# SPDX-License-Identifier: ZPL-2.1
"""What monitoring is told: every process tells the same, of every storage, in bounded labels."""
import time

import pytest

from p01.remote import App, verbs
from p01.remote.engine.loop import Loop
from p01.remote.exposition import AppCollector, exposition
from p01.remote.options import WorkerOptions
from p01.remote.store.history import EVER
from p01.remote.views import metrics
from tests.conftest import drained

NEEDED = 'the metrics need p01.remote[metrics]'
client = pytest.importorskip('prometheus_client', reason=NEEDED)
openMetrics = pytest.importorskip(
    'prometheus_client.openmetrics.parser', reason=NEEDED).text_string_to_metric_families
prometheus = pytest.importorskip(
    'prometheus_client.parser', reason=NEEDED).text_string_to_metric_families
application = App('memory:', name='metrics')


@application.job(queue='mail')
def send(text):
    return text


@application.job(retries=0)
def fail():
    raise ValueError('no')


@application.job(queue='mail', retries=1, backoff=0.0)
def stumble():
    raise ValueError('again')


def samples(text, parse=prometheus):
    return {(sample.name, *sorted(sample.labels.items())): sample.value
            for family in parse(text.decode()) for sample in family.samples}


def value(found, name, **labels):
    return found[(name, *sorted(labels.items()))]


@pytest.mark.parametrize('accept, parse', [
    ('', prometheus), ('text/plain', prometheus),
    ('application/openmetrics-text; version=1.0.0', openMetrics)])
def test_it_tells_how_all_stands_and_what_came_of_jobs(app, accept, parse):
    with app.transaction():
        for number in range(30):
            send.enqueue(number)
        fail.enqueue()
        stumble.enqueue()
    drained(app)
    with app.transaction() as root:
        send.enqueue(1)
        send.using(delay=3600).enqueue(1)
        verbs.pause(root[app.name].store, 'held')
    text, kind = exposition(app, accept)
    assert kind.startswith(accept.partition(';')[0] or 'text/plain')
    found = samples(text, parse)
    mail = {'queue': 'mail', 'job': f'{__name__}.send'}
    assert value(found, 'p01_jobs', queue='mail', status='completed') == 30
    assert value(found, 'p01_jobs', queue='mail', status='queued') == 1
    assert value(found, 'p01_jobs', queue='mail', status='delayed') == 1
    assert value(found, 'p01_jobs', queue='default', status='error') == 1
    assert value(found, 'p01_queue_paused', queue='held') == 1
    assert 0 <= value(found, 'p01_oldest_waiting_seconds') < 60
    assert value(found, 'p01_jobs_added_total', **mail) == 30
    assert value(found, 'p01_jobs_ended_total', outcome='completed', **mail) == 30
    assert value(found, 'p01_job_run_seconds_count', **mail) == 30
    assert value(found, 'p01_job_run_seconds_bucket', le='+Inf', **mail) == 30
    assert value(found, 'p01_job_wait_seconds_sum', **mail) > 0
    stumbled = {'queue': 'mail', 'job': f'{__name__}.stumble'}
    assert value(found, 'p01_job_retries_total', **stumbled) == 1
    assert value(found, 'p01_jobs_ended_total', outcome='error', **stumbled) == 1
    assert value(found, 'p01_job_run_seconds_count', **stumbled) == 2
    assert value(found, 'p01_database_bytes') > 0


def test_another_process_and_a_worker_that_left_change_nothing(app):
    with app.transaction():
        send.enqueue(1)
    loop = Loop(app.db, app.locate, 'worker', WorkerOptions(drain=True))
    loop.work()
    before = samples(exposition(app)[0])
    loop.close()
    after = samples(exposition(app)[0])

    def totals(found):
        return {key: number for key, number in found.items() if key[0].endswith(
            ('_total', '_count', '_sum', '_bucket'))}

    assert totals(before) == totals(after) and totals(before)


def test_labels_are_bounded(app):
    """Thousands of queues make hundreds of series, and no number is lost."""
    with app.transaction() as root:
        for number in range(1_500):
            send.using(queue=f'tenant {number}').enqueue(number)
        for number in range(3):
            send.using(queue='other').enqueue(number)
    drained(app)
    with app.transaction() as root:
        for number in range(1_500):
            send.using(queue=f'tenant {number}').enqueue(number)
        found = metrics.metricsOf(root[app.name], time.time())
    by = {metric.name: metric for metric in found}
    assert len({each.labels['queue'] for each in by['p01_jobs'].numbers}) == metrics.QUEUES + 1
    assert sum(each.value for each in by['p01_jobs'].numbers) == 3_003
    ended = [each for each in by['p01_jobs_ended'].numbers
             if each.labels['outcome'] == 'completed']
    assert len(ended) <= EVER + 1 and sum(each.value for each in ended) == 1_503
    assert any(each.labels['job'] == '' for each in ended)
    for metric in found:
        for each in [*metric.numbers, *metric.spreads]:
            assert set(each.labels) == set(metric.labels) <= {'queue', 'job', 'status', 'outcome',
                                                               'state'}
        told = [tuple(each.labels.items()) for each in [*metric.numbers, *metric.spreads]]
        assert len(set(told)) == len(told), f'{metric.name} is told twice of the same'


def test_buckets_are_cumulative_and_hold_all(app):
    with app.transaction():
        for number in range(50):
            send.enqueue(number)
    drained(app)
    with app.reading() as processor:
        found = metrics.metricsOf(processor, time.time())
    for metric in found:
        for each in metric.spreads:
            bounds, numbers = zip(*each.buckets, strict=True)
            assert list(bounds) == sorted(bounds) and bounds[-1] == float('inf')
            assert list(numbers) == sorted(numbers) and numbers[-1] == 50


def test_a_registry_of_the_application_may_have_it_beside_its_own(app):
    registry = client.CollectorRegistry()
    registry.register(AppCollector(app))
    with app.transaction():
        send.enqueue(1)
    found = samples(client.generate_latest(registry))
    assert value(found, 'p01_jobs', queue='mail', status='queued') == 1
