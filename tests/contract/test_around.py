# SPDX-License-Identifier: ZPL-2.1
"""What is around a job: its worker's transaction, a site, an interaction. No job finds what another
one left."""
import pytest
import transaction
import zope.event
from ZODB.POSException import ConflictError
from zope.component.hooks import getSite, setSite
from zope.security.management import endInteraction, newInteraction, queryInteraction
from zope.site.folder import rootFolder
from zope.site.site import LocalSiteManager

from p01.remote import App, current, events
from p01.remote.engine import runner

application = App('memory:')
seen = []


class Participation:
    principal = interaction = None


def look():
    """What a job finds."""
    interaction = queryInteraction()
    seen.append((transaction.manager.manager is current.processor._p_jar.transaction_manager,
                 getSite(), interaction,
                 None if interaction is None else len(interaction.participations)))


@application.job
def plain(number):
    look()
    if number % 2:
        current.root['number'] = number


@application.job(retries=0)
def untidy(what):
    look()
    if what == 'participates':
        queryInteraction().add(Participation())
    elif what == 'ends':
        endInteraction()
    elif what == 'begins another':
        endInteraction()
        newInteraction(Participation())
    elif what == 'another site':
        setSite(None)
    elif what == 'another manager':
        transaction.manager.manager = transaction.TransactionManager()
    elif what == 'raises':
        queryInteraction().add(Participation())
        raise ValueError('no')


@application.job(retries=0)
def unstorable():
    current.root['function'] = lambda: None


@application.job(retries=0)
def contested():
    raise ConflictError('somebody else was faster')


@application.job(detached=True)
def apart():
    seen.append((queryInteraction(), getSite()))


@pytest.fixture
def app(place):
    """The application on this storage."""
    application.database, application._db = place.db, None
    seen.clear()
    own, transaction.manager.manager = transaction.manager.manager, transaction.TransactionManager()
    yield application
    transaction.manager.manager = own
    application.close()
    application.database = 'memory:'


def work(app):
    """Do all there is to do in this thread, which stays what it was; returns what the jobs
    found."""
    before = transaction.manager.manager, getSite(), queryInteraction()
    app.drain()
    assert (transaction.manager.manager, getSite(), queryInteraction()) == before
    return seen


def test_jobs_of_one_claim_share_them(app):
    with app.transaction():
        for number in range(6):
            plain.enqueue(number)
    found = work(app)
    assert len(found) == 6 and all(manager for manager, *_ in found)
    assert {(site, people) for _, site, _, people in found} == {(None, 0)}


@pytest.mark.parametrize('what', ['participates', 'ends', 'begins another', 'another site',
                                  'another manager', 'raises'])
def test_no_job_finds_what_another_one_left(app, what):
    with app.transaction() as root:
        root['site'] = rootFolder()
        root['site'].setSiteManager(LocalSiteManager(root['site']))
        app.processor.__parent__ = root['site']
    with app.transaction():
        for number in range(4):
            plain.enqueue(number)
            untidy.enqueue(what)
    found = work(app)
    assert len(found) == 8
    for manager, site, interaction, people in found:
        assert manager and site is not None and interaction is not None and people == 0


def test_an_interaction_of_the_thread_stays(app):
    with app.transaction():
        plain.enqueue(1)
        plain.enqueue(2)
    newInteraction(Participation())
    try:
        mine = queryInteraction()
        assert [interaction for *_, interaction, _ in work(app)] == [mine, mine]
    finally:
        endInteraction()


@pytest.mark.parametrize('what', ['ends', 'another site'])
def test_what_the_thread_has_stays(app, what):
    with app.transaction() as root:
        root['site'] = rootFolder()
        root['site'].setSiteManager(LocalSiteManager(root['site']))
        untidy.enqueue(what)
        plain.enqueue(2)
    with app.transaction() as root:
        setSite(root['site'])
        newInteraction(Participation())
        try:
            app.drain()
            assert getSite() is root['site']
            assert [people for *_, people in seen] == [1, 1] and queryInteraction() is not None
            assert [site for _, site, *_ in seen] == [root['site']] * 2
        finally:
            endInteraction()
            setSite(None)


def test_a_detached_job_has_none_of_them(app):
    with app.transaction():
        plain.enqueue(1)
        apart.enqueue()
        plain.enqueue(2)
    assert work(app)[1] == (None, None) and [people for *_, people in (seen[0], seen[2])] == [0, 0]


@pytest.fixture
def told():
    """The events of jobs, with what is around who is told of them."""
    found = []

    def subscriber(event):
        if isinstance(event, (events.JobStarted, events.JobCompleted, events.JobErred)):
            found.append((type(event).__name__, transaction.manager.manager, queryInteraction()))

    zope.event.subscribers.append(subscriber)
    yield found
    zope.event.subscribers.remove(subscriber)


@pytest.mark.parametrize('job', [unstorable, contested])
def test_a_job_whose_commit_fails_is_told_to_have_erred_and_not_completed(app, told, job,
                                                                          monkeypatch):
    monkeypatch.setattr(runner, 'CONFLICTS', 3)
    with app.transaction():
        job.enqueue()
    work(app)
    assert [name for name, *_ in told if name != 'JobStarted'] == ['JobErred']


def test_subscribers_are_told_in_the_threads_own(app, told):
    with app.transaction():
        plain.enqueue(1)
        plain.enqueue(2)
        untidy.enqueue('raises')
    own = transaction.manager.manager
    work(app)
    assert [(manager, interaction) for _, manager, interaction in told] == [(own, None)] * 6
    assert [name for name, *_ in told] == ['JobStarted',
                                           'JobCompleted'] * 2 + ['JobStarted', 'JobErred']
