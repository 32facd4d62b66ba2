# SPDX-License-Identifier: ZPL-2.1
"""The plugin of pytest. All that it needs beside pytest is imported when a test asks for `jobs`."""
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from p01.remote.app import App
    from p01.remote.trial.jobs import Jobs

APP, DATABASE, MARKER = 'jobs_app', 'jobs_database', 'jobs'
NOAPP = ("The fixture jobs does not know the App: write jobs_app = 'package.module:app' into the "
         'configuration of pytest, or a fixture jobsApp that returns it.')


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the configuration file."""
    parser.addini(APP, 'The App whose jobs the fixture jobs is for, as package.module:app.')
    parser.addini(DATABASE, 'Where their database is while a test runs: memory: or sqlite:.',
                  default='memory:')


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
    config.addinivalue_line('markers', f"{MARKER}(app='package.module:app', database='sqlite:'): "
                            'choose the App and the database of the fixture jobs.')


@pytest.fixture
def jobsApp(request: pytest.FixtureRequest) -> App:
    """The App whose jobs are tested: that of the marker, or of jobs_app in the configuration.
    Override it where the App is made otherwise."""
    named = chosen(request).get('app') or request.config.getini(APP)
    if not named:
        pytest.fail(NOAPP, pytrace=False)
    if not isinstance(named, str):
        found: App = named
        return found
    from p01.remote.exceptions import RemoteError
    from p01.remote.front.named import loadApp
    try:
        return loadApp(named)
    except RemoteError as error:
        pytest.fail(f'{APP} = {named!r}: {error}', pytrace=False)


@pytest.fixture
def jobs(request: pytest.FixtureRequest, jobsApp: App) -> Iterator[Jobs]:
    """The App's jobs in a database of this test, where nothing runs until drain(). See
    docs/testing.md."""
    from p01.remote.trial.jobs import placed
    address = chosen(request).get('database') or request.config.getini(DATABASE)
    if address == 'sqlite:':
        address = f'sqlite:{request.getfixturevalue("tmp_path") / "jobs"}'
    elif address != 'memory:':
        pytest.fail(f'{DATABASE} is memory: or sqlite:, not {address!r}.', pytrace=False)
    with placed(jobsApp, address) as found:
        yield found


def chosen(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the markers of a test choose; the nearest one says most."""
    found: dict[str, Any] = {}
    for marker in request.node.iter_markers(MARKER):
        unknown = {*marker.kwargs} - {'app', 'database'}
        if marker.args or unknown:
            pytest.fail(f"The marker {MARKER} takes app='package.module:app' and "
                        "database='memory:' or 'sqlite:', and nothing else.", pytrace=False)
        found = {**marker.kwargs, **found}
    return found
