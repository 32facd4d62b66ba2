# SPDX-License-Identifier: ZPL-2.1
"""The dashboard, as a WSGI application: `wsgi(app, access=…)` is mounted by whoever serves the web,
`p01-remote dash APP` serves it alone. Needs the extra p01.remote[dash]."""
from __future__ import annotations

from collections.abc import Collection

from p01.remote.app import App
from p01.remote.exceptions import RemoteError

try:
    import flask  # noqa: F401
except ImportError as error:
    raise RemoteError('The dashboard needs Flask; pip install "p01.remote[dash]" brings it.') \
        from error

from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from p01.remote.web import actions, edits, orders, pages, places
from p01.remote.web.access import ALL, DENIED, READ, Access, Sessions, Visitor
from p01.remote.web.site import Act, Site

__all__ = ['ALL', 'DENIED', 'READ', 'Access', 'Sessions', 'Visitor', 'wsgi']


def wsgi(app: App, *, target: str = 'tasks:app', access: Access | None = None,
         sessions: Sessions | None = None, hosts: Collection[str] = (),
         api: Flask | None = None, scrapers: Collection[str] = ()) -> Flask:
    """The dashboard of an App, for any server of WSGI, below any path.

    access(environ) says who looks and what he may, as Visitor('ann', ALL), READ or DENIED; None is
    nobody. Without it, and without sessions, nobody is let in. target is how the lines to copy name
    the application; hosts are those that pages may be asked of, () for any. api, as web.api.wsgi
    makes it, is served below /api/v1; it asks for tokens of its own. scrapers: tokens of those who
    may read /metrics and nothing else, beside all who may look.
    """
    site = Site(app, target, access, sessions, hosts, scrapers)
    for path, name, show in ROUTES:
        site.page(path, name, show)
    for path, name, act in ACTIONS:
        site.action(path, name, act)
    if api is not None:
        site.flask.wsgi_app = DispatcherMiddleware(     # type: ignore[method-assign]
            site.flask.wsgi_app, {'/api/v1': api})
    return site.flask


ROUTES = (('/', 'overview', pages.overview), ('/jobs', 'jobs', pages.jobs),
         ('/jobs/<int:jobid>', 'job', pages.job), ('/errors', 'errors', pages.errors),
         ('/errors/<key>', 'failure', pages.failure), ('/queues', 'queues', places.queues),
         ('/workers', 'workers', places.workers), ('/schedules', 'schedules', places.schedules),
         ('/schedules/<path:name>', 'schedule', places.schedule),
         ('/system', 'system', places.system))
ACTIONS: tuple[tuple[str, str, Act], ...] = (
    ('/jobs/act', 'act', actions.act), ('/jobs/<int:jobid>/edit', 'edit', edits.edit),
    ('/jobs/<int:jobid>/again', 'again', edits.again),
    ('/jobs/<int:jobid>/stack', 'stack', orders.stack),
    ('/errors/<key>/retry', 'retryKind', actions.retryKind),
    ('/errors/<key>/remove', 'removeKind', actions.removeKind),
    ('/queues/pause/<path:name>', 'pauseQueue', orders.pauseQueue),
    ('/queues/resume/<path:name>', 'resumeQueue', orders.resumeQueue),
    ('/workers/order', 'orderWorkers', orders.orderWorkers),
    ('/workers/stack', 'stackOfWorker', orders.stackOfWorker),
    *((f'/schedules/{word}/<path:name>', f'{word}Schedule', act)
      for word, act in orders.SCHEDULES.items()))
