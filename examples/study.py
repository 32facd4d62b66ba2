# SPDX-License-Identifier: ZPL-2.1
"""Many computations over several processes: each job simulates, the last line puts together what
they found.

    python -c 'import study; study.enqueue(2000)'   # in this folder
    p01-remote worker study:app --processes 4 --drain
    python -c 'import study; print(study.pi())'
"""
import os
import time

import numpy

from p01.remote import App, current
from p01.remote.views import grammar, listing

app = App(os.environ.get('STUDY', 'sqlite:./jobs'))
SAMPLES = 10_000


@app.job(detached=True, timeout='1m')
def hits(seed):
    """How many of so many points in a square lie within the circle in it."""
    points = numpy.random.default_rng(seed).random((SAMPLES, 2))
    return int(numpy.count_nonzero((points ** 2).sum(axis=1) < 1))


@app.job
def crash(seed):
    """What takes its process down now and then, as native code does; it runs again elsewhere."""
    if current.attempt.endswith('.1') and seed % 2:
        os.abort()
    return seed


def enqueue(number):
    """Enqueue so many, all or none; returns their ids."""
    with app.transaction():
        return [hits.enqueue(seed).id for seed in range(number)]


def pi():
    """What those that have completed say of pi."""
    with app.reading() as processor:
        which = grammar.parse('status:completed job:study.hits', time.time())
        done = listing.find(processor.store, which)
        found = [processor.filled(view).output for view in done]
    return 4 * sum(found) / (SAMPLES * len(found))
