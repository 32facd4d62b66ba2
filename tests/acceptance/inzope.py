# SPDX-License-Identifier: ZPL-2.1
"""The door of a real Zope: run by test_zope.py in a process of its own, since Zope sets up
registries and hooks for good."""
import base64
import importlib
import inspect
import io
import pkgutil
import sys
import xmlrpc.client

import pytest
import transaction
import Zope2
from AccessControl import ClassSecurityInfo, getSecurityManager
from AccessControl.class_init import InitializeClass
from AccessControl.SecurityManagement import newSecurityManager, noSecurityManager
from AccessControl.unauthorized import Unauthorized
from AccessControl.ZopeGuards import guarded_getattr
from BTrees.OOBTree import OOBTree
from OFS.Folder import Folder
from OFS.SimpleItem import SimpleItem
from persistent import Persistent
from Products.PageTemplates.ZopePageTemplate import ZopePageTemplate
from Testing.makerequest import makerequest
from zExceptions import Forbidden, NotFound
from zExceptions import Unauthorized as Refused
from zope.component import provideAdapter
from zope.globalrequest import getRequest
from zope.interface import Interface
from zope.traversing.interfaces import ITraversable
from zope.traversing.namespace import attr, item
from Zope2.Startup.run import make_wsgi_app

import p01.remote
from p01.remote import testing
from p01.remote.job import Job
from p01.remote.processor import RemoteProcessor
from p01.remote.scheduler import Cron, Delay
from p01.remote.views import figures

CONF = """
instancehome {folder}
enable-xmlrpc on
debug-mode on
<zodb_db main>
  <mappingstorage/>
  mount-point /
</zodb_db>
"""
SITE = ('<configure xmlns="http://namespaces.zope.org/zope"><include '
        'package="Products.Five"/></configure>')
METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PROPFIND', 'PROPPATCH', 'MKCOL',
           'COPY', 'MOVE', 'LOCK']
USERS = [None, 'admin:secret']


class First(RemoteProcessor, SimpleItem):
    """A processor among OFS's items."""

    def refresh(self):
        """A method of the application's own."""
        return 'refreshed'


class Last(SimpleItem, RemoteProcessor):
    """The same with the bases in the other order."""

    refresh = First.refresh


class Shop(Folder, RemoteProcessor):
    """A folder that is a processor."""

    refresh = First.refresh


class Grandchild(Last):
    """A subclass of a subclass."""

    def other(self):
        """Another method."""
        return 'done'


class FolderishJob(Job, Folder):
    """A job among OFS's folders."""


class FolderishDelay(Folder, Delay):
    """A schedule's item among OFS's folders."""

    def __init__(self):
        Delay.__init__(self, 'echo')


class Open(SimpleItem, RemoteProcessor):
    """One that its application opens, and of it one method to all, one to managers."""

    __zpublishable__ = True
    security = ClassSecurityInfo()
    security.declareObjectPublic()

    @security.public
    def ask(self):
        """Asked by anybody."""
        return 'answered'

    @security.protected('Manage properties')
    def processJob(self, name='echo', input=None):
        """Enqueue, for managers."""
        return f'job {super().processJob(name, input)}'


InitializeClass(Open)


@pytest.fixture(scope='session')
def zope(tmp_path_factory):
    """A Zope with one of everything in it; gives what calls its WSGI application."""
    folder = tmp_path_factory.mktemp('zope')
    for name in ('etc', 'var'):
        (folder / name).mkdir()
    (folder / 'etc' / 'site.zcml').write_text(SITE)
    (folder / 'etc' / 'zope.conf').write_text(CONF.format(folder=folder))
    application = make_wsgi_app({}, str(folder / 'etc' / 'zope.conf'))
    # which walk past the publisher's own questions
    for name, factory in ('attribute', attr), ('item', item):
        provideAdapter(factory, (Interface,), ITraversable, name)
        provideAdapter(factory, (Interface, Interface), ITraversable, name)
    app = makerequest(Zope2.app())
    app.acl_users.userFolderAddUser('admin', 'secret', ['Manager'], [])
    fill(app)
    app._setObject('folder', Folder('folder'))
    fill(app.folder)
    app.tree = OOBTree()
    app.tree['plain'] = RemoteProcessor()
    for number, cls in enumerate(persistent()):
        blank = cls.__new__(cls)
        if issubclass(cls, Job | RemoteProcessor | Delay | Cron):
            setattr(app, f'blank{number}', blank)
    transaction.commit()
    return Client(application)


def fill(folder):
    """Put one of everything into a folder."""
    folder.plain = RemoteProcessor()
    for name, cls in ('first', First), ('last', Last), ('shop',
                                                        Shop), ('grandchild', Grandchild), ('open',
                                                                                            Open):
        made = cls()
        made.id = name
        folder._setObject(name, made)
    for name in ('plain', 'first', 'last', 'shop', 'grandchild', 'open'):
        processor = getattr(folder, name)
        for job in 'echo', 'look', 'change':
            processor.addJob(job, {'echo': testing.EchoJob(), 'look': Looks(),
                                   'change': Changes()}[job])
        processor.addScheduler(Delay('echo', 3600))
    folder.job, folder.item, folder.cron = testing.EchoJob(), Delay('echo'), Cron('echo')
    folder.folderishJob, folder.folderishDelay = FolderishJob(), FolderishDelay()
    folder.store, folder.scheduler = folder.plain.store, folder.plain.scheduler


class Client:
    """Calls a WSGI application; says what came of it."""

    def __init__(self, application):
        self.application = application

    def __call__(self, path, method='GET', user=None, body=b'', kind=''):
        """Its status and body; the class of what it raises, which debug-mode lets through."""
        environ = {'REQUEST_METHOD': method, 'PATH_INFO': path, 'QUERY_STRING': '',
                   'SCRIPT_NAME': '', 'CONTENT_TYPE': kind,
                   'SERVER_NAME': 'localhost', 'SERVER_PORT': '80', 'SERVER_PROTOCOL': 'HTTP/1.1',
                   'wsgi.url_scheme': 'http',
                   'wsgi.input': io.BytesIO(body), 'wsgi.errors': sys.stderr,
                   'CONTENT_LENGTH': str(len(body))}
        if user:
            environ['HTTP_AUTHORIZATION'] = 'Basic ' + base64.b64encode(user.encode()).decode()
        told = []
        try:
            found = b''.join(
                self.application(environ, lambda status, headers, error=None: told.append(status)))
        except (NotFound, Forbidden, Refused) as error:
            return type(error).__name__, str(error)
        return told[-1], found.decode(errors='replace')

    def rpc(self, name, user=None):
        """The same by XML-RPC."""
        return self('/', 'POST', user, xmlrpc.client.dumps((), name).encode(), 'text/xml')


def shut(answer):
    """Whether nothing was published."""
    return answer[0] in ('NotFound', 'Forbidden', 'Unauthorized') \
        or answer[0][:3] in ('401', '403', '404') \
        or '<fault>' in answer[1] \
        and ('Unauthorized' in answer[1] or 'NotFound' in answer[1]
             or 'not publishable' in answer[1])


def persistent():
    """Every persistent class of the package."""
    found = set()
    for info in pkgutil.walk_packages(p01.remote.__path__, 'p01.remote.'):
        if not info.name.endswith('__main__'):
            module = importlib.import_module(info.name)
            found.update(value for value in vars(module).values() if isinstance(value, type)
                         and issubclass(value, Persistent)
                         and value.__module__.startswith('p01.remote'))
    return sorted(found, key=lambda cls: f'{cls.__module__}.{cls.__name__}')


def names(value):
    """The public names of an object."""
    return sorted({name for name in [*dir(type(value)), *vars(value)]
                   if not name.startswith('_') and not name.endswith('__roles__')})


def closed():
    """Where something stands that must not be reached, with its object."""
    app = makerequest(Zope2.app())
    for place, folder in ('', app), ('/folder', app.folder):
        for name in ('plain', 'first', 'last', 'shop', 'grandchild', 'job', 'item', 'cron',
                     'folderishJob', 'folderishDelay',
                     'store', 'scheduler'):
            yield f'{place}/{name}', getattr(folder, name)
    yield '/tree/plain', app.tree['plain']
    yield '/folder/acl_users/last', app.last
    for name in sorted(vars(app)):
        if name.startswith('blank'):
            yield f'/{name}', getattr(app, name)


def test_nothing_is_reached_by_any_name_method_or_user(zope):
    breaches, count = [], 0
    for path, value in closed():
        for user in USERS:
            for method in METHODS:
                found = zope(path, method, user)
                count += 1
                if not shut(found):
                    breaches.append((method, path, user, found))
            for name in [*names(value), 'index_html', 'manage_main', '@@absolute_url',
                         '++attribute++store', '++item++x']:
                start, _, last = path.rpartition('/')
                for way in f'{path}/{name}', f'{start}/++attribute++{last}/{name}':
                    for method in 'GET', 'POST', 'PUT', 'DELETE':
                        found = zope(way, method, user)
                        count += 1
                        if not shut(found):
                            breaches.append((method, way, user, found))
                found = zope.rpc(f'{path.strip("/").replace("/", ".")}.{name}', user)
                count += 1
                if not shut(found):
                    breaches.append(('XML-RPC', path, name, user, found))
    assert not breaches, breaches[:10]
    assert count > 5_000
    assert figures.exact(Zope2.app().first.store) == {}


def test_every_persistent_class_is_closed_whatever_it_is_mixed_with():
    for cls in persistent():
        for kind in [cls, *mixed(cls)]:
            assert kind.__roles__ == () and kind.__zpublishable__ is False, kind
            assert not kind.__allow_access_to_unprotected_subobjects__, kind
            for name in [name for name in vars(cls) if not name.startswith('_')
                         and not name.endswith('__roles__')]:
                # else it is the other's
                if next(base for base in kind.__mro__ if name in vars(base)) is cls:
                    assert getattr(kind, f'{name}__roles__') == (), (kind, name)


def mixed(cls):
    """Subclasses with OFS's classes, where the layouts allow them."""
    for bases in ((cls, SimpleItem), (SimpleItem, cls), (cls, Folder), (Folder, cls)):
        try:
            yield type(SimpleItem)('Mixed', bases, {})
        except TypeError:
            continue


@pytest.mark.parametrize('user', ['nobody', 'admin'])
def test_restricted_code_gets_nowhere(zope, user):
    app = makerequest(Zope2.app())
    if user == 'admin':
        newSecurityManager(None, app.acl_users.getUser('admin').__of__(app.acl_users))
    try:
        for path, value in closed():
            start, _, last = path.rpartition('/')
            if 'tree' not in path:
                with pytest.raises((Unauthorized, NotFound)):
                    app.unrestrictedTraverse(start or '/').restrictedTraverse(last)
                with pytest.raises(Unauthorized):
                    guarded_getattr(app.unrestrictedTraverse(start or '/'), last)
            ours = {name for cls in type(value).__mro__ if cls.__module__.startswith('p01.remote')
                    for name in vars(cls)}
            for name in set(names(value)) & {*ours, 'refresh'}:
                with pytest.raises((Unauthorized, AttributeError)):     # a blank one lacks much
                    guarded_getattr(value, name)
        template = ZopePageTemplate('template',
                                    '<p tal:content="here/last/removeJobs"/>').__of__(app)
        with pytest.raises((Unauthorized, NotFound)):
            template()
    finally:
        noSecurityManager()


def test_an_application_opens_what_it_declares(zope):
    assert zope('/open/ask') == ('200 OK', 'answered')
    assert shut(zope('/open/processJob'))
    status, text = zope('/open/processJob', user='admin:secret')
    assert status == '200 OK' and text.startswith('job ')
    for name in ('removeJobs', 'store', 'jobs', 'scheduler', 'startProcessing', 'getJob',
                 'retention', 'workerFactory', 'path'):
        for user in USERS:
            for method in 'GET', 'POST':
                assert shut(zope(f'/open/{name}', method, user)), name
        assert shut(zope.rpc(f'open.{name}', 'admin:secret')), name


class Looks(Job):
    """Tells what is around it."""

    def __call__(self, remoteProcessor):
        user = getSecurityManager().getUser()
        return (user.getUserName(), getRequest() is None, inspect.isclass(type(remoteProcessor)))


class Changes(Job):
    """Leaves a user and a request behind."""

    def __call__(self, remoteProcessor):
        from AccessControl.users import system
        from zope.globalrequest import setRequest
        newSecurityManager(None, system)
        setRequest('left behind')
        remoteProcessor.changed = True
        return getSecurityManager().getUser().getUserName()


PLACES = [(place, name) for place in ('', 'folder') for name in ('plain', 'first', 'last', 'shop')]


@pytest.mark.parametrize('place, name', PLACES,
                         ids=[f'{place or "root"}-{name}' for place, name in PLACES])
def test_jobs_run_below_the_application_root(zope, place, name):
    app = makerequest(Zope2.app())
    processor = app.unrestrictedTraverse(f'{place}/{name}'.strip('/'))
    ids = [processor.processJob(job) for job in ('change', 'look', 'change', 'look')]
    transaction.commit()
    assert not processor.isProcessing
    processor.startProcessing()
    try:
        assert processor.isProcessing \
            and getattr(app.unrestrictedTraverse(place or '/'), name).isProcessing
        testing.waitFor(lambda: all(status(app, processor, jobid) == 'completed' for jobid in ids),
                        30)
        assert [processor.getJobResult(jobid)
                for jobid in ids] == ['System Processes', ('Anonymous User', True, True)] * 2
    finally:
        processor.stopProcessing()
    assert not processor.isProcessing
    app._p_jar.close()


def status(app, processor, jobid):
    """A job's status as of now."""
    transaction.begin()
    assert processor.getJobStatus(jobid) != 'error', processor.getJobError(jobid)
    return processor.getJobStatus(jobid)
