# SPDX-License-Identifier: ZPL-2.1
"""A database that an earlier version of this layout has left is opened, shown and worked on by
today's code.

What stands in pickles is schema: classes by their paths, named tuples by their fields. A release
freezes both; what changes afterwards needs a migration.
"""
import importlib
import io
import pickletools
import pkgutil
import threading
from collections import Counter
from pathlib import Path

import pytest
from persistent import Persistent

import p01.remote
from p01.remote import testing
from p01.remote.engine.loop import Loop
from p01.remote.options import Policy, Retention, WorkerOptions
from p01.remote.store import records
from p01.remote.store.shards import Tally
from p01.remote.views import figures, listing
from p01.remote.views.filters import Filter
from tests.stored import jobs, make

GOLDEN = Path(make.__file__).with_name('classes.txt')


def classes():
    """All of ours that can stand in a database by their path, and the fields of those that are
    tuples."""
    for each in pkgutil.walk_packages(p01.remote.__path__, 'p01.remote.'):
        if not each.name.endswith('__main__'):
            importlib.import_module(each.name)
    found, waiting = set(), [Persistent]
    while waiting:
        more = {*waiting.pop().__subclasses__()} - found
        found |= more
        waiting += more
    lines = {f'{each.__module__}.{each.__qualname__}' for each in found
             if each.__module__.startswith('p01.remote.')}
    for each in (Tally, Policy, Retention):
        lines.add(f'{each.__module__}.{each.__qualname__}')
    for each in (records.Record, records.Attempt, records.Pending, records.Claim,
                 records.Conflicts, records.Outcome):
        lines.add(f'{each.__module__}.{each.__qualname__}({", ".join(each._fields)})')
    return sorted(lines)


def globalsOf(data):
    """The classes that pickles name, one behind the other as in a record, and those within their
    bytes."""
    stream, strings = io.BytesIO(data), []
    while stream.tell() < len(data):
        for code, value, _ in pickletools.genops(stream):
            if code.name == 'GLOBAL':
                yield value.replace(' ', '.')
            elif code.name == 'STACK_GLOBAL':
                yield '.'.join(strings[-2:])
            elif isinstance(value, str):
                strings.append(value)
            elif isinstance(value, bytes) and value[:1] == b'\x80':
                yield from globalsOf(value)


def test_the_paths_of_classes_and_the_fields_of_tuples_are_those_of_the_list():
    assert classes() == GOLDEN.read_text().split('\n')[
        :-1], 'These stand in databases: a change needs a migration.'


@pytest.fixture(params=make.KINDS)
def app(request, tmp_path):
    jobs.app.database = make.unpack(request.param, tmp_path)
    yield jobs.app
    jobs.app.close()


def test_what_it_names_is_there_and_in_the_list(app):
    golden = {line.partition('(')[0] for line in GOLDEN.read_text().split('\n')}
    seen = set()
    with app.reading() as processor:
        storage = processor._p_jar.db().storage
        for record in (record for transaction in storage.iterator() for record in transaction):
            seen.update(globalsOf(record.data))
    ours = {name for name in seen if name.startswith('p01.')}
    assert ours >= {'p01.remote.processor.RemoteProcessor', 'p01.remote.store.seats.Seat'}
    for name in ours:
        module, _, attribute = name.rpartition('.')
        assert getattr(importlib.import_module(module), attribute)
    assert ours <= golden


def test_it_shows_all_its_jobs(app):
    with app.reading() as processor:
        found = [processor.filled(view) for view in listing.find(processor.store)]
        counts = figures.exact(processor.store)
    by = Counter(job.status for job in found)
    assert set(by) == {'queued', 'delayed', 'processing', 'completed', 'error', 'cancelled'}
    assert sum((Counter(each) for each in counts.values()), Counter()) == by
    marks = [job for job in found if job.name.endswith('mark') and job.status == 'completed']
    assert [job.output for job in marks] == list(range(5, -1, -1)) \
        and len({job.tid for job in marks}) == 6
    assert [job.error for job in found if job.status == 'error'] == ['no']
    assert [len(job.attempts) for job in found if job.name.endswith('stumble')] == [1]
    assert [job.output for job in found if isinstance(job.output, dict)] == [{'a': [1, 2.5, None]}]


def test_its_worker_is_found_dead_and_its_jobs_are_done(app):
    """As well as those that were waiting; what is delayed, or paused, stays."""
    loop = Loop(app.db, app.locate, 'new', WorkerOptions(waitTime=0.1))
    thread = threading.Thread(target=loop.work)
    thread.start()
    try:
        def stati():
            with app.reading() as processor:
                return Counter((view.record.queue, view.status)
                               for view in listing.find(processor.store))
        testing.waitFor(lambda: not any(status == 'processing' or status == 'queued'
                                        and queue != 'paused'
                                        for queue, status in stati()), 60)
    finally:
        loop.stop()
        thread.join()
        loop.close()
    with app.reading() as processor:
        store = processor.store
        assert not store.seats
        done = {view.record.name: view for view in listing.find(store, Filter(('completed',)))}
        assert stati()['paused', 'queued'] == 1
        assert len(processor.scheduler) == 2
        root = processor._p_jar.root()
        assert set(root['marks']) == {*range(6), 'claimed', 'fresh'}
    assert f'{jobs.__name__}.mark' in done
