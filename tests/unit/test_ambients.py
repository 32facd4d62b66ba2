# SPDX-License-Identifier: ZPL-2.1
"""What a thread has of its own beside transaction, site and interaction: no job leaves its user,
request or context there."""
import sys
from contextvars import ContextVar

import pytest
import transaction
from AccessControl.SecurityManagement import (
    getSecurityManager,
    newSecurityManager,
    noSecurityManager,
)
from AccessControl.users import system
from pyramid.threadlocal import manager as pyramid
from zope.component.hooks import getSite, setSite
from zope.globalrequest import clearRequest, getRequest, setRequest
from zope.site.folder import Folder, rootFolder
from zope.site.site import LocalSiteManager

from p01.remote import App, current, testing, worker
from p01.remote.engine import surroundings
from p01.remote.processor import RemoteProcessor

application = App('memory:ambients')
variable = ContextVar('variable', default='none')
seen = []


def look():
    """What is there now."""
    return (getSecurityManager().getUser().getUserName(),
            getSecurityManager().calledByExecutable(), getRequest(),
            len(pyramid.stack), variable.get())


NOTHING = ('Anonymous User', 0, None, 0, 'none')


def change(what):
    if what == 'user':
        newSecurityManager(None, system)
    elif what == 'stack':
        getSecurityManager().addContext(object())
    elif what == 'none':
        noSecurityManager()
    elif what == 'request':
        setRequest('a request')
    elif what == 'pyramid':
        pyramid.push({'request': 'a request', 'registry': None})
    elif what == 'variable':
        variable.set('changed')


@application.job(retries=0)
def tidy():
    seen.append(look())


@application.job(retries=0)
def untidy(what, end='returns'):
    seen.append(look())
    change(what)
    if end == 'commits':
        current.root[what] = 1
        transaction.get().addBeforeCommitHook(lambda: seen.append(('hook', look())))
    elif end == 'raises':
        raise ValueError('no')


@application.job(detached=True, retries=0)
def apart(what):
    change(what)


@pytest.fixture(autouse=True)
def thread():
    """A thread with nothing of its own."""
    seen.clear()
    for clear in (noSecurityManager, clearRequest, pyramid.clear):
        clear()
    yield
    for clear in (noSecurityManager, clearRequest, pyramid.clear):
        clear()
    application.close()


WHAT = ['user', 'stack', 'none', 'request', 'pyramid', 'variable']


@pytest.mark.parametrize('end', ['returns', 'commits', 'raises'])
@pytest.mark.parametrize('what', WHAT)
def test_no_job_finds_what_another_one_left(what, end):
    for _ in range(3):
        with application.transaction():
            untidy.enqueue(what, end)
            tidy.enqueue()
    application.drain()
    assert [found for found in seen if found[0] != 'hook'] == [NOTHING] * 6 and look() == NOTHING


@pytest.mark.parametrize('what', WHAT)
def test_a_detached_job_leaves_nothing(what):
    with application.transaction():
        apart.enqueue(what)
        tidy.enqueue()
    application.drain()
    assert seen == [NOTHING] and look() == NOTHING


@pytest.mark.parametrize('what', WHAT)
@pytest.mark.parametrize('byHand', [True, False], ids=['by hand', 'drain'])
def test_jobs_find_what_the_thread_has_and_leave_it(what, byHand):
    newSecurityManager(None, system)
    setRequest('mine')
    pyramid.push({'request': 'mine', 'registry': None})
    mine, manager = look(), getSecurityManager()
    with application.transaction():
        untidy.enqueue(what)
        untidy.enqueue(what, 'raises')
        tidy.enqueue()
    if byHand:
        with application.transaction():
            application.processor.processJobs()
    else:
        application.drain()
    assert seen == [mine] * 3 and look() == mine and getSecurityManager() is manager


def test_the_hooks_of_a_jobs_commit_run_in_its_surroundings():
    with application.transaction() as root:
        root['site'] = rootFolder()
        root['site'].setSiteManager(LocalSiteManager(root['site']))
        application.processor.__parent__ = root['site']
        untidy.enqueue('user', 'commits')
        tidy.enqueue()
    application.drain()
    assert seen[1][1][0] == system.getUserName() \
        and [found for found in seen if found[0] != 'hook'] == [NOTHING] * 2


def test_what_a_job_imports_is_taken_back_as_well(tmp_path, monkeypatch):
    (tmp_path / 'latecomer.py').write_text('value = None\n')
    monkeypatch.syspath_prepend(str(tmp_path))

    class Late:
        def __init__(self, module):
            self.module = module

        def intact(self):
            return self.module.value is None

        def leave(self):
            self.module.value = None

        @staticmethod
        def clear(module):
            module.value = None

    monkeypatch.setitem(surroundings.AMBIENTS, 'latecomer', Late)
    with application.transaction():
        late.enqueue()
        late.enqueue()
    application.drain()
    assert seen == [None, None] and sys.modules.pop('latecomer').value is None


@application.job(retries=0)
def late():
    import latecomer
    seen.append(latecomer.value)
    latecomer.value = 'left'


def test_by_hand_the_nearest_site_is_the_site():
    with application.transaction() as root:
        root['site'] = rootFolder()
        root['site'].setSiteManager(LocalSiteManager(root['site']))
        application.processor.__parent__ = root['site']
        sited.enqueue()
    with application.transaction() as root:
        other = rootFolder()
        other.setSiteManager(LocalSiteManager(other))
        setSite(other)
        try:
            application.processor.processJobs()
            assert seen == [root['site']] and getSite() is other
        finally:
            setSite(None)


@pytest.mark.parametrize('byHand', [True, False], ids=['by hand', 'worker'])
def test_an_attribute_of_a_site_is_in_it(byHand):
    with application.transaction() as root:
        root['Application'] = rootFolder()
        root['Application']['site'] = site = Folder()
        site.setSiteManager(LocalSiteManager(site))
        site.remote = RemoteProcessor()         # as in OFS: it knows neither name nor parent
        site.remote.addJob('sited', sited)
        site.remote.processJob('sited')
    with application.transaction() as root:
        remote = root['Application']['site'].remote
        if byHand:
            remote.processJobs()
        else:
            assert worker.SimpleWorker(application.db, remote.path()).processNextJob()
    assert [found.__name__ for found in seen] == ['site']


@application.job(retries=0)
def sited():
    seen.append(getSite())


def test_a_worker_does_not_inherit_the_user_of_a_thread_that_has_ended(monkeypatch):
    with application.transaction() as root:
        root['remote'] = RemoteProcessor()
        root['remote'].addJob('tidy', tidy)
        root['remote'].processJob('tidy')
    begun = worker.begin

    def recycled(target):               # the system gave this thread the number of one that ended
        newSecurityManager(None, system)
        begun(target)

    monkeypatch.setattr(worker, 'begin', recycled)
    with application.transaction() as root:
        root['remote'].startProcessing()
        testing.waitFor(lambda: seen, 20)
        root['remote'].stopProcessing()
    assert seen == [NOTHING]


def test_what_only_looks_like_a_site_is_none():
    class Item:
        __parent__ = None

        def getSiteManager(self):
            raise LookupError('No component registry defined.')

    place = Item()
    assert surroundings.siteOf(place) is None
