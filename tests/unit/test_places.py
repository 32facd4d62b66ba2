# SPDX-License-Identifier: ZPL-2.1
"""Where a processor is: its path, and the worker that follows it there, or leaves."""
import pytest
import transaction
from BTrees.OOBTree import OOBTree
from persistent import Persistent
from persistent.mapping import PersistentMapping
from ZODB.tests.util import DB
from zope.container.btree import BTreeContainer
from zope.site.folder import Folder, rootFolder
from zope.site.site import LocalSiteManager

from p01.remote import testing, worker
from p01.remote.exceptions import OldProcessor, ProcessorGone, RemoteError
from p01.remote.processor import RemoteProcessor
from p01.remote.storage import places


class Thing(Persistent):
    """Holds others as attributes."""


@pytest.fixture
def db():
    db = DB()
    yield db
    worker.stopAll()
    db.close()


@pytest.fixture
def root(db):
    """The root in the thread's own transaction."""
    connection = db.open()
    yield connection.root()
    transaction.abort()
    connection.close()


def tree(root):
    """A processor in every kind of place; gives them by the paths that they have."""
    root['Application'] = app = rootFolder()
    app['site'] = Folder()
    app['site'].setSiteManager(LocalSiteManager(app['site']))
    root['other'] = PersistentMapping({'tree': OOBTree(), 'thing': Thing()})
    made = {path: RemoteProcessor() for path in (
        ('top',), ('inapp',), ('site', 'remote'), ('site', '++etc++site', 'default',
                                                   'remote'), ('other', 'tree', 'remote'),
        ('other', 'thing', 'remote'))}
    root['top'], app['inapp'], app['site']['remote'] = list(made.values())[:3]
    app['site'].getSiteManager()['default']['remote'] = made['site', '++etc++site', 'default',
                                                             'remote']
    root['other']['tree']['remote'] = made['other', 'tree', 'remote']
    root['other']['thing'].remote = made['other', 'thing', 'remote']
    transaction.commit()
    return made


def test_every_place_has_a_path_that_leads_there(root):
    made = tree(root)
    found, whole = places.search(root._p_jar, lambda here: isinstance(here, RemoteProcessor))
    assert whole and dict(found) == made
    for path, processor in made.items():
        assert processor.path() == path and places.traverse(root._p_jar, path) is processor


def test_zopes_root_folder_may_be_a_processor(root):
    root['Application'] = processor = RemoteProcessor()
    transaction.commit()
    assert processor.path() == ('Application',) \
        and places.traverse(root._p_jar, ('Application',)) is processor


def old(root):
    """A processor as 0.5.5 left it, and zodbupdate brought it to Python 3."""
    processor = RemoteProcessor.__new__(RemoteProcessor)
    processor.__setstate__({'_jobs': OOBTree(), '_processor': OOBTree(),
                            '_queue': PersistentMapping(), '_counter': 30,
                            '_scheduler': PersistentMapping(), '__name__': 'remote'})
    root['remote'] = processor
    transaction.commit()
    return processor


def test_a_processor_of_old_is_called_that(db, root, caplog):
    processor = old(root)
    for verb in (processor.processJobs,
                 processor.startProcessing, lambda: processor.processJob('echo'),
                 lambda: processor.getJob(1), lambda: processor.getJobStatus(
                     1), lambda: processor.getJobByName('echo'),
                 processor.pullNextJob, processor.removeJobs, processor.reScheduleItems,
                 lambda: processor.addJob('echo', testing.EchoJob())):
        with pytest.raises(OldProcessor, match=r'0\.5'):
            verb()
    transaction.abort()
    mine = worker.SimpleWorker(db, ['remote'])
    mine()                          # ends, and says why
    assert any('0.5' in record.getMessage() for record in caplog.records)


def test_a_search_ends(root):
    root['many'] = OOBTree({str(number): Thing() for number in range(places.WIDE + 1)})
    root['many']['remote'] = RemoteProcessor()
    transaction.commit()
    assert places.search(root._p_jar, lambda here: isinstance(here, RemoteProcessor)) == ([], False)
    assert root['many']['remote'].path() == ('RemoteProcessor',)


def test_there_is_nothing_at_a_path(root):
    root['thing'] = Thing()
    for path in ('nothing',), ('thing', 'nothing'), ('thing', '_p_oid'), ():
        with pytest.raises(RemoteError, match='no processor'):
            places.traverse(root._p_jar, path)


def runs(processor):
    """A job that was enqueued now has run."""
    jobid = processor.processJob('echo', 'now')
    transaction.commit()

    def done():
        transaction.begin()
        return processor.getJobStatus(jobid) == 'completed'
    return testing.waitFor(done, 20)


MOVES = {
    'renamed': lambda root: root['Application'].__setitem__('new', taken(root)),
    'moved': lambda root: root['Application']['site'].__setitem__('elsewhere', taken(root)),
    'out of Zope': lambda root: root.__setitem__('out', taken(root)),
    'its folder is renamed': lambda root: root['Application'].__setitem__('later', folder(root)),
}


def taken(root):
    processor = root['Application']['folder']['remote']
    del root['Application']['folder']['remote']
    return processor


def folder(root):
    found = root['Application']['folder']
    del root['Application']['folder']
    return found


@pytest.fixture
def processor(root):
    """One in a folder that has a site beside it, with its worker."""
    root['Application'] = app = rootFolder()
    app['folder'], app['site'] = BTreeContainer(), Folder()
    processor = app['folder']['remote'] = RemoteProcessor()
    processor.addJob('echo', testing.EchoJob())
    transaction.commit()
    processor.startProcessing()
    assert runs(processor)
    return processor


@pytest.mark.parametrize('how', MOVES)
def test_a_worker_follows_its_processor(root, processor, how):
    MOVES[how](root)
    transaction.commit()
    assert processor.isProcessing and runs(processor) and runs(processor)
    processor.stopProcessing()
    assert not processor.isProcessing


def test_a_worker_leaves_a_processor_that_was_deleted(root, processor, caplog):
    taken(root)
    # it is not taken for the old one
    root['Application']['folder']['remote'] = other = RemoteProcessor()
    transaction.commit()
    testing.waitFor(lambda: not processor.isProcessing, 20)
    assert any('no longer there' in record.getMessage() for record in caplog.records)
    assert not other.isProcessing


def test_a_worker_waits_for_a_processor_that_is_not_committed_yet(db, root):
    processor = root['remote'] = RemoteProcessor()
    processor.addJob('echo', testing.EchoJob())
    root._p_jar.add(processor)
    processor.startProcessing()
    assert processor.isProcessing and runs(processor)


def test_a_worker_that_has_found_its_processor_says_when_it_has_gone(db, root):
    processor = root['remote'] = RemoteProcessor()
    transaction.commit()
    mine = worker.SimpleWorker(db, ['remote'])
    assert mine.follower.locate(root._p_jar) is processor \
        and mine.follower.known == ('unnamed', processor._p_oid)
    del root['remote']
    transaction.commit()
    with pytest.raises(ProcessorGone):
        mine.follower.locate(root._p_jar)
