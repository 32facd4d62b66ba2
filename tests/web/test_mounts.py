# SPDX-License-Identifier: ZPL-2.1
"""The dashboard within other people's applications, below a path of theirs, with their users."""
import asyncio
import re

import pytest

from p01.remote.web import ALL, READ, Visitor, wsgi
from tests.web.conftest import OURS

PATH = '/admin/jobs'


def access(environ):
    """Users as the host knows them."""
    name = environ.get('HTTP_X_USER')
    return None if name is None else Visitor(name, ALL if name == 'ann' else READ)


@pytest.fixture
def dashboard(town):
    return wsgi(town.app, target='shop:app', access=access)


def ask(application, path, user='ann', method='GET', **headers):
    """What a WSGI application answers: status and text."""
    from werkzeug.test import Client
    answer = Client(application).open(path, method=method, headers={
        **({'X-User': user} if user else {}), **headers})
    return answer.status_code, answer.text, answer.headers


def walked(application):
    """Every page is there, its links stay below the path, its files load, and rights hold."""
    assert ask(application, f'{PATH}/', user=None)[0] == 403
    for page in ('/', '/jobs', '/errors', '/queues', '/workers', '/schedules', '/system'):
        status, text, _ = ask(application, PATH + page, user='bob')
        assert status == 200, (page, text)
        links = re.findall(r'(?:href|src|action|hx-get)="(/[^"]*)"', text)
        assert links and all(link.startswith(PATH) for link in links)
    style = re.search(r'href="([^"]*components\.css[^"]*)"', text)[1]
    assert ask(application, style)[0] == 200
    assert ask(application, f'{PATH}/queues/pause/mail', 'bob', 'POST', **OURS)[0] == 403
    status, _, headers = ask(application, f'{PATH}/queues/pause/mail', 'ann', 'POST', **OURS)
    assert status == 303 and f'{PATH}/queues?' in headers['Location']


def test_in_flask(dashboard):
    from flask import Flask
    from werkzeug.middleware.dispatcher import DispatcherMiddleware
    host = Flask('host')
    host.add_url_rule('/', 'home', lambda: 'home')
    host.wsgi_app = DispatcherMiddleware(host.wsgi_app, {PATH: dashboard})
    assert ask(host, '/')[1] == 'home'
    walked(host)


def test_in_pyramid(dashboard):
    from pyramid.config import Configurator
    from pyramid.wsgi import wsgiapp2
    with Configurator() as config:
        config.add_route('jobs', f'{PATH}*subpath')
        config.add_view(wsgiapp2(dashboard), route_name='jobs')
        walked(config.make_wsgi_app())


def test_in_django(dashboard):
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django.urls import path
    from werkzeug.middleware.dispatcher import DispatcherMiddleware
    urls = type('urls', (), {'urlpatterns': [path('', lambda request: HttpResponse('home'))]})
    if not settings.configured:
        settings.configure(ROOT_URLCONF=urls, ALLOWED_HOSTS=['*'], SECRET_KEY='x')
    host = DispatcherMiddleware(WSGIHandler(), {PATH: dashboard})
    walked(host)


def test_in_fastapi(dashboard):
    httpx = pytest.importorskip('httpx', reason='it asks applications of ASGI; see [test]')
    from a2wsgi import WSGIMiddleware
    from fastapi import FastAPI
    host = FastAPI()
    host.mount(PATH, WSGIMiddleware(dashboard))

    async def walk():
        transport = httpx.ASGITransport(app=host)
        async with httpx.AsyncClient(transport=transport, base_url='http://host') as client:
            assert (await client.get(f'{PATH}/')).status_code == 403
            for page in ('/', '/jobs', '/errors', '/queues', '/schedules'):
                answer = await client.get(PATH + page, headers={'X-User': 'bob'})
                assert answer.status_code == 200
                links = re.findall(r'(?:href|src|action)="(/[^"]*)"', answer.text)
                assert links and all(link.startswith(PATH) for link in links)
            answer = await client.post(f'{PATH}/queues/pause/mail',
                                       headers={'X-User': 'ann', **OURS})
            assert answer.status_code == 303

    asyncio.run(walk())


def test_in_paste_deploy(dashboard, tmp_path, monkeypatch):
    deploy = pytest.importorskip('paste.deploy', reason='it comes with Zope; see [test]')
    monkeypatch.setattr('tests.web.test_mounts.application', lambda conf: dashboard, raising=False)
    ini = tmp_path / 'site.ini'
    ini.write_text('[app:main]\npaste.app_factory = tests.web.test_mounts:application\n')
    from werkzeug.middleware.dispatcher import DispatcherMiddleware
    application = deploy.loadapp(f'config:{ini}')
    walked(DispatcherMiddleware(lambda environ, start: [], {PATH: application}))
