# SPDX-License-Identifier: ZPL-2.1
"""What an application does around its jobs, and what of the caller's context travels with them."""
from contextvars import ContextVar

import pytest
import transaction

from p01.remote import Ambient, App, current, trace
from p01.remote.exceptions import InputError, RegistrationError, RemoteError
from p01.remote.front.hooks import Hooks

tenant = ContextVar('tenant', default='nobody')
language = ContextVar('language')
application = App('memory:hooks', carry=[tenant, language])
plainly = App('memory:hooks-plainly')
seen = []


@application.job(retries=1, backoff=0)
def work(fails=''):
    seen.append(f'job {current.attempt}')
    current.root['job'] = current.root.get('job', 0) + 1
    if fails:
        raise ValueError(fails)
    return 'done'


@application.job(together=True, retries=0)
def shared(number):
    seen.append(f'job {number}')
    current.root[f'shared {number}'] = number
    if number == 2:
        raise ValueError('two')


@application.job(retries=0)
async def later(fails=''):
    import asyncio
    seen.append('job')
    await asyncio.sleep(0)
    if fails:
        raise ValueError(fails)
    return 'done'


@application.job(detached=True)
def context():
    return tenant.get(), language.get(None), dict(trace.get() or {})


@application.job
async def contextLater():
    return tenant.get(), language.get(None), dict(trace.get() or {})


@plainly.job
def bare():
    return dict(trace.get() or {})


@pytest.fixture(autouse=True)
def clean(request):
    seen.clear()
    kept, application.hooks = application.hooks, Hooks([tenant, language])
    yield
    application.hooks = kept


def root(app):
    with app.transaction() as found:
        return dict(found)


def declared():
    """Two of each kind."""
    for number in 1, 2:
        @application.around
        def within(number=number):
            seen.append(f'in {number}')
            yield
            seen.append(f'out {number}')

        @application.before
        def before(number=number):
            seen.append(f'before {number} {current.job.name.rpartition(".")[2]}')

        @application.after
        def after(error, number=number):
            seen.append(f'after {number} {error}')


def test_the_order(app):
    declared()
    handle = work.enqueue()
    app.drain()
    assert handle.result() == 'done'
    assert seen == ['in 1', 'in 2', 'before 1 work', 'before 2 work', 'job 1.1', 'after 2 None',
                    'after 1 None', 'out 2', 'out 1']


def test_each_run_has_them_and_after_has_the_error(app):
    declared()
    handle = work.enqueue('broken')
    app.drain()
    assert handle.status == 'error'
    once = ['in 1', 'in 2', 'before 1 work', 'before 2 work', 'job 1.1', 'after 2 broken',
            'after 1 broken']
    assert seen == once + [each.replace('1.1', '1.2') for each in once]


@pytest.mark.parametrize('kind', ['before', 'after'])
@pytest.mark.parametrize('error', [ValueError('hook'), SystemExit(3)], ids=type)
def test_one_that_fails_fails_no_job_and_leaves_nothing(app, caplog, kind, error):
    def hook(*args):
        current.root['hook'] = 'changed'
        current.root['job'] = 100
        raise error

    @getattr(application, kind)
    def before(*args):
        current.root['other'] = 'kept'

    getattr(application, kind)(hook)
    handle = work.enqueue()
    app.drain()
    assert handle.result() == 'done'
    found = root(app)
    assert found['job'] == 1 and 'hook' not in found and found['other'] == 'kept'
    [line] = [each.getMessage() for each in caplog.records if 'Hook' in each.getMessage()]
    assert 'hook raised around job 1 tests.contract.test_hooks.work' in line
    assert type(error).__name__ in line and 'Traceback' in line


def test_what_they_change_is_committed_with_the_job_or_not_at_all(app):
    @application.before
    def before():
        current.root['before'] = 1

    @application.after
    def after(error):
        current.root['after'] = 1

    @application.around
    def around():
        current.root['around'] = 1
        yield

    work.enqueue('broken')
    app.drain()
    assert not {'before', 'after', 'around', 'job'} & root(app).keys()
    work.enqueue()
    app.drain()
    assert {'before', 'after', 'around', 'job'} <= root(app).keys()


@pytest.mark.parametrize('where', ['entering', 'leaving'])
def test_one_that_is_around_fails_the_run(app, where):
    @application.around
    def around():
        if where == 'entering':
            raise ValueError('around')
        yield
        raise ValueError('around')

    handle = work.enqueue()
    app.drain()
    assert handle.status == 'error' and 'around' in handle.job.error
    assert 'job' not in root(app) and handle.job.runCounter == 2


def test_one_that_is_around_may_catch_what_a_job_raises_but_no_conflict(app):
    from ZODB.POSException import ConflictError
    conflicts = [ConflictError('met')]

    @application.around
    def around():
        try:
            yield
        except Exception as error:
            seen.append(type(error).__name__)

    @application.before
    def before():
        if conflicts:
            raise conflicts.pop()

    handle = work.enqueue('broken')
    app.drain()
    assert handle.result() is None and handle.job.runCounter == 1
    assert seen == ['ConflictError', 'job 1.1', 'ValueError']


def test_jobs_that_share_a_commit_each_have_them(app):
    declared()
    for number in 1, 2, 3:
        shared.enqueue(number)
    app.drain()
    assert [each for each in seen if each.startswith(('job', 'after 1'))][-2:] \
        == ['job 3', 'after 1 None']
    assert {'shared 1', 'shared 3'} <= root(app).keys() and 'shared 2' not in root(app)
    assert seen.count('after 1 two') == 1 or seen.count('job 2') == seen.count('after 1 two')


@pytest.mark.parametrize('fails', ['', 'broken'])
def test_jobs_that_await(app, caplog, fails):
    declared()

    @application.around
    async def within():
        seen.append('in async')
        yield
        seen.append('out async')

    @application.before
    async def before():
        seen.append(f'before async {current.job.name.rpartition(".")[2]}')

    @application.after
    async def after(error):
        raise KeyError('hook')

    handle, other = later.enqueue(fails), work.enqueue()
    app.drain()
    assert handle.status == ('error' if fails else 'completed')
    assert other.result() == 'done' and seen.count('in async') == 1
    mine = [each for each in seen if 'async' in each or 'later' in each]
    assert mine == ['in async', 'before 1 later', 'before 2 later', 'before async later',
                    *([] if fails else ['out async'])]
    assert any('hook' in each.getMessage() for each in caplog.records)


@pytest.mark.parametrize('error', [KeyError('hook'), SystemExit(3)], ids=type)
def test_one_that_awaits_and_fails_fails_no_job(app, caplog, error):
    @application.before
    async def before():
        raise error

    handle = later.enqueue()
    app.drain()
    assert handle.result() == 'done'
    assert any('Hook' in each.getMessage() for each in caplog.records)


def test_in_the_callers_own_transaction(app):
    declared()
    handle = work.enqueue()
    with app.transaction():
        app.processor.processNextJob()
    assert handle.result() == 'done' and seen[0] == 'in 1' and seen[-1] == 'out 1'


@pytest.mark.parametrize('what, function, told', [
    ('before', lambda: (yield), 'write @app.around'),
    ('around', lambda: None, 'write @app.before or @app.after'),
    ('before', lambda one: None, 'no arguments; ask current'),
    ('after', lambda: None, 'what the job has raised, or None'),
    ('before', work, 'is for a function that is no job'),
    ('after', 3, 'is for a function that is no job')])
def test_what_cannot_be_one_is_refused_where_it_is_declared(what, function, told):
    with pytest.raises(RegistrationError, match=told):
        getattr(application, what)(function)


# -- what travels

@pytest.mark.parametrize('job', [context, contextLater], ids=str)
def test_variables_travel_and_nothing_of_them_stays(app, job):
    token = tenant.set('acme')
    try:
        first = job.enqueue()
    finally:
        tenant.reset(token)
    second = job.enqueue()
    app.drain()
    assert first.result() == ('acme', None, {}) and second.result() == ('nobody', None, {})
    assert tenant.get() == 'nobody'


def test_what_cannot_travel_is_refused_at_the_door(app):
    token = tenant.set(lambda: None)
    try:
        with pytest.raises(InputError, match="The value of the context variable 'tenant' that "
                                             'travels with the job cannot be pickled'):
            context.enqueue()
    finally:
        tenant.reset(token)
    assert context.enqueue().id


@pytest.mark.parametrize('carry', [['tenant'], 'tenant', 3, tenant.name])
def test_only_variables_can_be_carried(carry):
    with pytest.raises(InputError, match='carry is a list of context variables'):
        App('memory:', carry=carry)


def test_two_of_one_name_cannot():
    with pytest.raises(InputError, match='same name'):
        App('memory:', carry=[tenant, ContextVar('tenant')])


PARENT = '00-' + 32 * 'a' + '-' + 16 * 'b' + '-01'


@pytest.mark.parametrize('job', [context, contextLater], ids=str)
def test_the_trace_that_an_application_has_set_travels(app, job):
    token = trace.set({'traceparent': PARENT, 'tracestate': 'a=b', 'other': 'x'})
    try:
        handle = job.enqueue()
    finally:
        trace.reset(token)
    app.drain()
    assert handle.result()[2] == {'traceparent': PARENT, 'tracestate': 'a=b'}
    assert job.enqueue().id and app.drain() and trace.get() is None


def test_a_trace_of_another_form_is_refused(app):
    token = trace.set({'traceparent': 'mine'})
    try:
        with pytest.raises(InputError, match='the W3C wants'):
            context.enqueue()
    finally:
        trace.reset(token)


def test_the_trace_of_opentelemetry_travels_without_any_hook():
    from opentelemetry import context as otel
    from opentelemetry.trace import (
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        get_current_span,
        set_span_in_context,
    )
    span = SpanContext(int('a' * 32, 16), int('b' * 16, 16), False, TraceFlags(1))
    token = otel.attach(set_span_in_context(NonRecordingSpan(span)))
    try:
        handle = bare.enqueue()
    finally:
        otel.detach(token)
    found = []
    plainly.hooks.before.clear()

    @plainly.before
    def before():
        found.append(get_current_span().get_span_context())

    try:
        plainly.drain()
        assert handle.result() == {'traceparent': PARENT}
        assert (found[0].trace_id, found[0].span_id) == (span.trace_id, span.span_id)
        assert not get_current_span().get_span_context().is_valid
    finally:
        plainly.hooks = Hooks()
        plainly.close()


def test_nothing_is_stored_for_who_uses_none(app):
    before = work.enqueue()
    token = tenant.set('acme')
    try:
        handle = work.enqueue()
        application.hooks.ambients.clear()
        behind = work.enqueue()
    finally:
        tenant.reset(token)
    with app.reading() as processor:
        assert set(processor.store.entry(handle.id)[1].extras) == {'around'}
        assert [processor.store.entry(each.id)[1].extras for each in (before, behind)] == [None] * 2


class Flag(Ambient):
    """A framework's own."""

    name = 'flag'

    def __init__(self):
        self.here, self.told = 'up', []

    def capture(self):
        return self.here

    def enter(self, value, connection):
        if value == 'gone':
            raise RemoteError('The flag is gone.')
        before, self.here = self.here, value
        self.told.append((value, connection is not None))
        return before

    def leave(self, before):
        self.here = before


def test_a_framework_adds_its_own(app):
    flag = Flag()
    application.ambients.append(flag)
    work.enqueue()
    flag.here = 'down'
    context.enqueue()
    flag.here = 'gone'
    lost = work.enqueue()
    flag.here = 'now'
    app.drain()
    assert flag.told == [('up', True), ('down', False)] and flag.here == 'now'
    assert lost.status == 'error' and lost.job.error.endswith('The flag is gone.')


def test_the_principal_and_the_site_of_zope(app):
    from zope.authentication.interfaces import IAuthentication, PrincipalLookupError
    from zope.component.hooks import getSite, setSite
    from zope.interface import implementer
    from zope.security.management import endInteraction, newInteraction, queryInteraction
    from zope.site.folder import Folder, rootFolder
    from zope.site.site import LocalSiteManager

    from p01.remote.engine.ambients import Participation, Principal, Site

    class Person:
        id = 'zope.manager'

    @implementer(IAuthentication)
    class People:
        def getPrincipal(self, name):
            if name != Person.id:
                raise PrincipalLookupError(name)
            return Person()

    import zope.component
    people = People()
    zope.component.getGlobalSiteManager().registerUtility(people, IAuthentication)
    application.ambients[:] = [Principal(), Site()]

    @application.before
    def look():
        seen.append(([part.principal.id for part in queryInteraction().participations],
                     getSite().__name__))

    with app.transaction() as found:
        found['Application'] = rootFolder()
        site = found['Application']['site'] = Folder()
        site.setSiteManager(LocalSiteManager(site))
    try:
        with app.transaction() as found:
            setSite(found['Application']['site'])
            newInteraction(Participation(Person()))
            first = work.enqueue()
            endInteraction()
            newInteraction(Participation(type('Gone', (), {'id': 'gone'})()))
            lost = work.enqueue()
        endInteraction()
        setSite(None)
        app.drain()
        assert seen[0] == (['zope.manager'], 'site') and first.result() == 'done'
        assert lost.status == 'error'
        assert "enqueued by 'gone', whom the site does not know" in lost.job.error
        assert queryInteraction() is None and getSite() is None
    finally:
        endInteraction()
        setSite(None)
        zope.component.getGlobalSiteManager().unregisterUtility(people, IAuthentication)
        transaction.abort()
