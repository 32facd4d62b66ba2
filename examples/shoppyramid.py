# SPDX-License-Identifier: ZPL-2.1
"""Orders by Pyramid with pyramid_tm and pyramid_zodbconn: a request's jobs are enqueued by the
request's own transaction.

The component is in that database, so that whatever manager the request has is the one that its jobs
are enqueued by.
"""
from BTrees.IOBTree import IOBTree
from pyramid.config import Configurator
from pyramid_zodbconn import get_connection

from p01.remote.processor import RemoteProcessor


def receipt(number):
    """Write the receipt of an order."""
    return f'receipt for order {number}'


def root(request):
    """The root of the database in the request's transaction, with what the application needs in
    it."""
    found = get_connection(request).root()
    if 'remote' not in found:
        found['orders'] = IOBTree()
        found['remote'] = RemoteProcessor()
        found['remote'].addJob('receipt', receipt)
    return found


def order(request):
    """Store an order and enqueue its receipt: both, or neither."""
    number = int(request.matchdict['number'])
    request.root['orders'][number] = request.params.get('item', 'tea')
    jobid = request.root['remote'].processJob('receipt', number)
    if 'fail' in request.params:
        raise ValueError('the order is not complete')
    return {'job': jobid}


def job(request):
    """How a job stands."""
    jobid = int(request.matchdict['jobid'])
    return {'status': request.root['remote'].getJobStatus(jobid),
            'result': request.root['remote'].getJobResult(jobid)}


def work(request):
    """Run what is due in this request's transaction, as a cron job's URL would; usually workers
    do."""
    return {'runs': request.root['remote'].processJobs()}


def main(config=None, **settings):
    """The WSGI application."""
    with Configurator(settings=settings) as config:
        config.include('pyramid_tm')
        config.include('pyramid_zodbconn')
        config.set_root_factory(root)
        config.add_route('order', '/orders/{number}')
        config.add_route('job', '/jobs/{jobid}')
        config.add_route('work', '/work')
        config.add_view(order, route_name='order', renderer='json')
        config.add_view(job, route_name='job', renderer='json')
        config.add_view(work, route_name='work', renderer='json')
    return config.make_wsgi_app()
