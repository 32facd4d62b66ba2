# SPDX-License-Identifier: ZPL-2.1
"""p01-remote metrics."""
from __future__ import annotations

import click

from p01.remote.cli.argument import Verb, appArgument
from p01.remote.cli.target import opened

OPENMETRICS = 'application/openmetrics-text; version=1.0.0'


@click.command(cls=Verb)
@appArgument
@click.option('--openmetrics', is_flag=True, help='As OpenMetrics, not as Prometheus reads it.')
def metrics(target: str, openmetrics: bool) -> int:
    """Print the metrics as Prometheus reads them; needs the extra metrics.

    They come from the database, so any process may tell them: write them to a file for the node
    exporter, or serve them, see docs/metrics.md.
    """
    from p01.remote.exposition import exposition  # needs an extra

    with opened(target) as app:
        text, _ = exposition(app, OPENMETRICS if openmetrics else '')
    click.echo(text.decode(), nl=False)
    return 0
