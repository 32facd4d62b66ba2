# SPDX-License-Identifier: ZPL-2.1
"""The trace that a caller is in travels with its jobs, in the form of the W3C: OpenTelemetry's
current one where the process uses that, else what the application has set."""
from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any

from p01.remote.exceptions import InputError
from p01.remote.ground.foreign import guarded, shown

TRACEPARENT, TRACESTATE = 'traceparent', 'tracestate'
FORM = re.compile('[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}')

# the headers of the trace around this: {'traceparent': …, 'tracestate': …}
trace: ContextVar[Mapping[str, str] | None] = ContextVar('trace', default=None)

# of a name, a queue and a number of jobs: what is around their enqueuing, and is told their ids;
# see telemetry
Sender = Callable[[str, str, int], AbstractContextManager[Callable[[Sequence[int]], None]]]
sender: Sender | None = None


def captured() -> dict[str, Any] | None:
    """The headers of the trace around the caller, None for none. Raises InputError for what an
    application has set in another form."""
    own = trace.get()
    if own is None and 'opentelemetry.trace' not in sys.modules:
        return None
    found: dict[str, Any] = {}
    if 'opentelemetry.trace' in sys.modules:
        guarded(inject, found)
    if not found and own is not None:
        parent = own.get(TRACEPARENT)
        if not isinstance(parent, str) or not FORM.fullmatch(parent):
            raise InputError(f'trace holds {shown(parent)} as traceparent, and the W3C wants '
                             'version-traceid-spanid-flags in hexadecimal.')
        found = {key: own[key] for key in (TRACEPARENT, TRACESTATE) if own.get(key)}
    return found or None


def inject(found: dict[str, Any]) -> None:
    """Write the headers of OpenTelemetry's current trace, if there is one."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
    TraceContextTextMapPropagator().inject(found)


def enter(extras: Mapping[str, Any]) -> None:
    """Have the trace that has travelled with a job, in a context that is the job's own."""
    if TRACEPARENT in extras:
        found = {key: extras[key] for key in (TRACEPARENT, TRACESTATE) if key in extras}
        trace.set(found)
        if 'opentelemetry.trace' in sys.modules:
            guarded(attach, found)


def attach(found: Mapping[str, str]) -> None:
    """Have it as OpenTelemetry's current one."""
    from opentelemetry import context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
    context.attach(TraceContextTextMapPropagator().extract(found))
