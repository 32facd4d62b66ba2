# SPDX-License-Identifier: ZPL-2.1
"""What @app.job makes of a function."""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from p01.remote.exceptions import InputError, RegistrationError, UnknownJob
from p01.remote.handle import Handle
from p01.remote.job import Arguments, FunctionJob
from p01.remote.processor import RemoteProcessor

OPTIONS = {'priority', 'delay', 'at', 'queue', 'unique', 'expires'}


class JobFunction:
    """A function that can be enqueued. Calling it calls the function."""

    def __init__(self, app: Any, name: str, function: Callable[..., Any], prototype: FunctionJob,
                 options: dict[str, Any]) -> None:
        functools.update_wrapper(self, function)
        self.app = app
        self.name = name
        self.function = function
        self.prototype = prototype
        self.options = options
        self.proven = False     # that workers find it

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def using(self, **options: Any) -> JobFunction:
        """The same job, enqueued with other options: priority, delay, at, queue, unique, expires."""
        unknown = options.keys() - OPTIONS
        if unknown:
            raise InputError(f'using() does not know {", ".join(sorted(unknown))}; it takes {", ".join(sorted(OPTIONS))}.')
        return JobFunction(self.app, self.name, self.function, self.prototype, {**self.options, **options})

    def enqueue(self, *args: Any, **kwargs: Any) -> Handle:
        """Enqueue a call in the current transaction. Raises ArgumentsError and InputError, the transaction stays usable."""
        processor = self.app.processor
        if not self.proven:
            self.prove(processor)
        # by its path, which a worker can import whatever it knows of this App; the name is for people
        jobid = processor.enqueue(self.prototype.path, self.prototype, Arguments(args, kwargs), **self.options)
        return Handle(self.app, jobid, processor._p_jar.transaction_manager.get())

    def prove(self, processor: RemoteProcessor) -> None:
        """Raises RegistrationError when workers would not find the job under the path of its function."""
        path = self.prototype.path
        try:
            processor.getJobByName(path)
        except UnknownJob as error:
            raise RegistrationError(f'{path} is not what app.job made of it, and no worker would know the job; write @app.job '
                                    'above the function.') from error
        self.proven = True

    def __repr__(self) -> str:
        return f'<job {self.name}>'
