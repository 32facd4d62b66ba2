# SPDX-License-Identifier: ZPL-2.1
"""p01-remote metrics."""
import pytest

from p01.remote import exposition
from tests.unit.conftest import drain

NEEDED = 'the metrics need p01.remote[metrics]'


def test_it_prints_what_prometheus_and_openmetrics_read(shop, run):
    ways = [(options, pytest.importorskip(name, reason=NEEDED).text_string_to_metric_families)
            for options, name in (((), 'prometheus_client.parser'),
                                  (('--openmetrics',), 'prometheus_client.openmetrics.parser'))]
    run('enqueue', shop, 'add', '[40, 2]')
    drain(shop)
    for options, parse in ways:
        status, out, _ = run('metrics', shop, *options)
        assert status == 0
        assert {'p01_jobs', 'p01_workers'} <= {family.name for family in parse(out)}


def test_without_its_library_it_says_what_brings_it(shop, run, monkeypatch):
    run('enqueue', shop, 'add', '1')
    monkeypatch.setattr(exposition, 'INSTALLED', False)
    status, _, error = run('metrics', shop)
    assert status == 2 and 'pip install "p01.remote[metrics]"' in error
