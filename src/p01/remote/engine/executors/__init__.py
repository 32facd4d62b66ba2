# SPDX-License-Identifier: ZPL-2.1
"""Where detached jobs run beside their worker's thread: threads, processes of its own, a Dask
cluster. Each has so many slots, and runs a job on behalf of an event loop, see asynchronous."""
from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from p01.remote.engine.context import Running
from p01.remote.engine.crew import CORES
from p01.remote.engine.seams import Executor
from p01.remote.exceptions import RemoteError
from p01.remote.ground.checks import DASK, PROCESSES
from p01.remote.options import WorkerOptions


def executorOf(name: str, options: WorkerOptions, changed: Callable[[], None]) -> Executor:
    """The executor of this name; changed() is called when it has other slots than before."""
    slots = options.slots or CORES
    if name == DASK:
        from p01.remote.engine.executors.cluster import Cluster  # needs what comes with dask

        return Cluster(options.dask, options.slots, changed)
    if name == PROCESSES:
        from p01.remote.engine.executors.processes import Processes

        return Processes(slots)
    from p01.remote.engine.executors.threads import Threads

    return Threads(slots)


def handOver(running: Running) -> object:
    """Have a job run by the executor that its worker has handed it to; to be awaited."""
    return running.home.executor.run(running)       # type: ignore[attr-defined]


def prove(options: WorkerOptions) -> None:
    """Raises RemoteError where a worker has no executor that it is to have."""
    if options.dask and find_spec('distributed') is None:
        raise RemoteError('--dask needs a package that is not installed; '
                          'pip install "p01.remote[dask]".')
