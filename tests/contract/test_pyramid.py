# SPDX-License-Identifier: ZPL-2.1
"""The real pyramid_tm and pyramid_zodbconn, with the thread's manager and with one for each
request."""
import pytest
import transaction
import webtest
from pyramid.config import Configurator
from pyramid.response import Response
from pyramid_zodbconn import get_connection

from p01.remote import App
from p01.remote.exceptions import RemoteError
from p01.remote.storage.transactions import begun
from p01.remote.views import listing
from tests.conftest import leftOpen

application = App('memory:')


@application.job
def ship(order):
    return order


def view(request):
    """Enqueues as the request says."""
    root, how = get_connection(request).root(), request.params['how']
    root['orders'] = root.get('orders', 0) + 1
    if how == 'within':
        with application.within(get_connection(request)):
            handle = ship.enqueue(how)
    elif how == 'manager':
        with application.within(request.tm):
            handle = ship.enqueue(how)
    elif how == 'block':
        with application.transaction():
            handle = ship.enqueue(how)
    else:
        handle = ship.enqueue(how)
    if request.params.get('fail') == 'raise':
        raise KeyError('no')
    if request.params.get('fail') == 'doom':
        request.tm.doom()
    return Response(str(handle.id))


@pytest.fixture(params=['thread', 'explicit'])
def served(request):
    settings = {'zodbconn.uri': 'memory://'}
    if request.param == 'explicit':
        settings['tm.manager_hook'] = 'pyramid_tm.explicit_manager'
    with Configurator(settings=settings) as config:
        config.include('pyramid_tm')
        config.include('pyramid_zodbconn')
        config.add_route('view', '/')
        config.add_view(view, route_name='view')
        web = config.make_wsgi_app()
    application.database = web.registry._zodb_databases['']
    application.open()
    yield request.param, webtest.TestApp(web)
    transaction.abort()
    application.close()
    application.database = 'memory:'


def inputs():
    with application.reading() as processor:
        return sorted(processor.getJob(jobid).input[0][0] for jobid in listing.ids(processor.store))


@pytest.mark.parametrize('how', ['within', 'manager', 'bare'])
@pytest.mark.parametrize('fail', ['', 'raise', 'doom'])
def test_an_enqueue_in_a_request_is_in_its_transaction(served, how, fail):
    hook, web = served
    if how == 'bare' and hook == 'explicit':
        with pytest.raises(RemoteError, match=r'app\.within'):
            web.get('/', {'how': how, 'fail': fail})
        assert inputs() == []
    elif fail == 'raise':
        with pytest.raises(KeyError):
            web.get('/', {'how': how, 'fail': fail})
        assert inputs() == []
    else:
        web.get('/', {'how': how, 'fail': fail})
        assert inputs() == ([] if fail else [how])
    assert begun(transaction.manager) is None
    assert leftOpen(application.db) == []
    web.get('/', {'how': 'within'})
    with application.transaction() as root:
        assert len(inputs()) == root['orders']


def test_a_block_in_a_request_is_a_transaction_of_its_own(served):
    _, web = served
    with pytest.raises(KeyError):
        web.get('/', {'how': 'block', 'fail': 'raise'})
    assert inputs() == ['block']
