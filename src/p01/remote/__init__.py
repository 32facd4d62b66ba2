# SPDX-License-Identifier: ZPL-2.1
"""Durable background jobs that live in an object database, beside the application's own objects."""
from p01.remote.app import App, JobFunction
from p01.remote.engine.context import current
from p01.remote.exceptions import JobError, RemoteError, RunLater
from p01.remote.handle import Handle
from p01.remote.options import Policy, Unique

__all__ = [
    # the front
    'App', 'JobFunction', 'Handle', 'current',
    # options
    'Policy', 'Unique',
    # errors a job raises, and the root of those it meets
    'JobError', 'RunLater', 'RemoteError',
]
