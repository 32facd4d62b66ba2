# SPDX-License-Identifier: ZPL-2.1
"""What the jobs of the stored databases do."""
from p01.remote import App, JobError, RunLater, current, testing
from p01.remote.options import Policy

DAY = 86_400.0
app = App('memory:')


@app.job
def mark(key):
    current.root['marks'][key] = current.job.id
    return key


@app.job(queue='mail', priority=5)
def plain(value=None):
    return value


@app.job(retries=2, backoff=DAY)
def stumble(text):
    raise ValueError(text)


@app.job(retries=0)
def fail(text):
    raise JobError(text)


@app.job
def later(seconds):
    if current.job.runCounter == 1:
        raise RunLater(seconds)


class Mine(testing.EchoJob):
    """A job of an application's own, with a policy."""

    policy = Policy(retries=1, timeout=60)
