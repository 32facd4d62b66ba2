# SPDX-License-Identifier: ZPL-2.1
"""The metrics as the text that Prometheus reads, or OpenMetrics; needs the extra metrics.

Whoever can open the database can tell them: a web application, the dashboard, the command
p01-remote metrics. Values are views.metrics'; how they are written is prometheus-client's.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from p01.remote.app import App
from p01.remote.exceptions import PackageMissing
from p01.remote.ground import clocks
from p01.remote.views.metrics import COUNTER, HISTOGRAM, Metric, metricsOf

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family

try:
    from prometheus_client import core, registry, utils
    from prometheus_client import exposition as encoding
except ImportError:         # said by check: who only looks at this module needs no extra
    INSTALLED = False
else:
    INSTALLED = True


class AppCollector:
    """The metrics of an App, for a registry of prometheus-client: the application's own one, or one
    with nothing else. Each collection is one snapshot."""

    def __init__(self, app: App) -> None:
        check()
        self.app = app

    def collect(self) -> Iterator[Family]:
        """All metrics as they are now. Raises what the storage does."""
        with self.app.reading() as processor:
            found = metricsOf(processor, clocks.now())
        return families(found)

    def describe(self) -> Iterable[Family]:
        """Nothing: a registry need not open the database when it is told of us."""
        return []


def families(metrics: Iterable[Metric]) -> Iterator[Family]:
    """Metrics as prometheus-client knows them."""
    for metric in metrics:
        if metric.kind == HISTOGRAM:
            histogram = core.HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
            for spread in metric.spreads:
                histogram.add_metric(
                    [spread.labels[label] for label in metric.labels],
                    [(utils.floatToGoString(bound), number) for bound, number in spread.buckets],
                    spread.sum)
            yield histogram
            continue
        kind = core.CounterMetricFamily if metric.kind == COUNTER else core.GaugeMetricFamily
        family = kind(metric.name, metric.help, labels=metric.labels)
        for number in metric.numbers:
            family.add_metric([number.labels[label] for label in metric.labels], number.value)
        yield family


def exposition(app: App, accept: str = '') -> tuple[bytes, str]:
    """The metrics of an App, and their content type.

    accept: the Accept header of who asks; OpenMetrics where it says so, else the text format of
    Prometheus. Raises PackageMissing without the extra, and what the storage does.
    """
    collector = AppCollector(app)
    found = registry.CollectorRegistry()
    found.register(collector)
    encode, contentType = encoding.choose_encoder(accept)
    return encode(found), contentType


def check() -> None:
    """Raises PackageMissing where the extra is not installed."""
    if not INSTALLED:
        raise PackageMissing('Metrics need prometheus-client; pip install "p01.remote[metrics]" '
                             'brings it.')
