# SPDX-License-Identifier: ZPL-2.1
"""The texts that run: the worker's documentation and the specification."""
import doctest
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('zope.site', reason='needs the extra p01.remote[test]')

from p01.remote import testing

ROOT = Path(__file__).resolve().parents[2]
# beside the checkout, not part of it
SPECIFICATION = ROOT.parent / 'shared' / 'seed' / 'run.py'
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL


def testWorkerText():
    text = ROOT / 'docs' / 'worker.rst'
    example = doctest.DocTestParser().get_doctest(text.read_text('utf-8'), {}, text.name,
                                                  str(text), 0)
    report = []
    testing.setUp(example)
    try:
        found = doctest.DocTestRunner(optionflags=FLAGS).run(example, out=report.append,
                                                             clear_globs=False)
    finally:
        testing.tearDown(example)
    assert found.attempted and not found.failed, ''.join(report)


@pytest.mark.skipif(not SPECIFICATION.exists(),
                    reason='the specification is not beside the checkout')
def testSpecification():
    path = os.pathsep.join([str(ROOT / 'src'), *filter(None, [os.environ.get('PYTHONPATH')])])
    run = subprocess.run([sys.executable, str(SPECIFICATION), '--times', '1'], capture_output=True,
                         text=True,
                         timeout=120, env={**os.environ, 'PYTHONPATH': path})
    assert run.returncode == 0, run.stdout + run.stderr


# -- setUp and tearDown themselves

class Example:
    """All that setUp asks of a test."""

    def __init__(self):
        self.globs = {}


def testSetUpAndTearDownLeaveNothing():
    from zope.component.hooks import getSite
    from zope.security.management import newInteraction, queryInteraction

    from p01.remote.processor import RemoteProcessor
    outer, inner = Example(), Example()
    assert RemoteProcessor.workerArguments == {'waitTime': 1.0}
    testing.setUp(outer)
    testing.setUp(inner)                    # nested: each tearDown undoes the newest
    root = inner.globs['root']
    assert getSite() is root and root.getSiteManager() is not None
    testing.logger.info('seen by both')
    testing.logger.debug('seen by neither')
    newInteraction()
    testing.tearDown(inner)
    assert queryInteraction() is None
    assert RemoteProcessor.workerArguments == {'waitTime': 0.0}
    testing.logger.info('seen by the outer one')
    testing.tearDown(outer)
    testing.tearDown(outer)                 # once too often does no harm
    assert RemoteProcessor.workerArguments == {'waitTime': 1.0} and getSite() is None
    testing.logger.warning('seen by neither')
    messages = [[record.getMessage() for record in test.globs['log_info'].records]
                for test in (outer, inner)]
    assert messages == [['seen by both', 'seen by the outer one'], ['seen by both']]
    assert testing.workerThreads() == []


def testRootIsStored():
    import transaction
    from ZODB.tests.util import DB
    test = Example()
    testing.setUp(test)
    db = DB()
    try:
        connection = db.open()
        connection.root()['Application'] = test.globs['root']
        transaction.commit()
        connection.close()
        with db.transaction() as other:
            assert other.root()['Application'].getSiteManager().__parent__ is other.root()[
                'Application']
    finally:
        testing.tearDown(test)
        db.close()


def testSetUpNamesTheExtra(monkeypatch):
    monkeypatch.setitem(sys.modules, 'zope.site.testing', None)
    with pytest.raises(ImportError,
                       match=r"needs zope.site.testing; pip install 'p01.remote\[test\]'"):
        testing.setUp(Example())


# -- time

def testFakeClock():
    clock = testing.FakeClock(100)
    assert (clock(), clock.advance(2.5), clock(), clock.set(50),
            clock()) == (100.0, 102.5, 102.5, 50.0, 50.0)


def testWaitFor():
    answers = iter([0, None, '', 'yes'])
    assert testing.waitFor(lambda: next(answers)) == 'yes'
    with pytest.raises(AssertionError, match='Not within 0 seconds: rain'):
        testing.waitFor(lambda: False, timeout=0, message='rain')
