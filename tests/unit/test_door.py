# SPDX-License-Identifier: ZPL-2.1
"""What others find in our persistent classes: annotations that are the objects' own, places that
give way. Zope's door has tests/acceptance/test_zope.py."""
import dataclasses
import importlib
import pkgutil
import typing

import pytest
import transaction
from persistent import Persistent
from ZODB.tests.util import DB
from zope.annotation.attribute import AttributeAnnotations
from zope.location.interfaces import ILocation

import p01.remote
from p01.remote.ground.door import Closed
from p01.remote.job import FunctionJob, Job
from p01.remote.processor import RemoteProcessor
from p01.remote.scheduler import Cron, Delay, Scheduler, SchedulerItem
from p01.remote.testing import EchoJob


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


class Hinted(Job):
    """A job of an application, with type hints."""

    rate: int = 5


@dataclasses.dataclass
class Mail(Job):
    """A job that is a dataclass, too."""

    to: str
    text: str = ''


class Bare(RemoteProcessor):
    """A processor of an application, without."""


@pytest.mark.parametrize('cls', persistent(), ids=lambda cls: cls.__name__)
def test_every_persistent_class_is_closed_and_leaves_annotations_to_its_objects(cls):
    assert issubclass(cls, Closed)
    # asking a class makes a dict of it where there was none
    assert isinstance(cls.__annotations__, dict)
    assert not hasattr(cls.__new__(cls), '__annotations__')


OBJECTS = [RemoteProcessor, Bare, EchoJob,
           Hinted, lambda: Mail('you'), lambda: FunctionJob('os.getcwd'), lambda: Delay('echo'),
           lambda: Cron('echo'), Scheduler]


@pytest.mark.parametrize('make', OBJECTS, ids=lambda make: getattr(make, '__name__', ''))
def test_annotations_are_stored_with_their_object(make):
    db = DB()
    connection = db.open()
    one, other = connection.root()['one'], connection.root()['other'] = make(), make()
    assert 'key' not in AttributeAnnotations(one) and not AttributeAnnotations(one)
    AttributeAnnotations(one)['key'] = 'value'
    transaction.commit()
    assert dict(AttributeAnnotations(other)) == {} and dict(AttributeAnnotations(make())) == {}
    connection.cacheMinimize()
    assert dict(AttributeAnnotations(one)) == {'key': 'value'} \
        and one.__annotations__['key'] == 'value'
    connection.close()
    connection = db.open()
    assert dict(AttributeAnnotations(connection.root()['one'])) == {'key': 'value'}
    db.close()


def test_hints_are_still_those_of_the_class():
    assert typing.get_type_hints(Hinted)['rate'] is int and Hinted.__annotations__ == {'rate': int}
    assert [field.name for field in dataclasses.fields(Mail)] == ['to', 'text'] \
        and Mail('you').to == 'you'


class Named:
    """Knows its name and parent, as an item of OFS does."""

    @property
    def __name__(self):
        return self.id

    __parent__ = 'its parent'


@pytest.mark.parametrize('cls', [RemoteProcessor, EchoJob, SchedulerItem, Scheduler])
def test_a_place_gives_way_to_that_of_another_base(cls):
    for bases in ((cls, Named), (Named, cls)):
        mixed = type('Mixed', bases, {'__init__': lambda self: None})()
        mixed.id = 'its id'
        assert (mixed.__name__, mixed.__parent__) == ('its id', 'its parent')
    plain = cls.__new__(cls)
    assert plain.__name__ is None and plain.__parent__ is None
    plain.__name__, plain.__parent__ = 'name', 'parent'
    assert (plain.__name__, plain.__parent__) == ('name', 'parent')
    assert cls is not RemoteProcessor or ILocation.providedBy(plain)


def test_the_parts_of_a_processor_whose_other_base_does_not_pass_on_are_made():
    class Folder:
        def __init__(self, id=None):
            self.id = id

    class Shop(Folder, RemoteProcessor):
        pass

    shop = Shop('shop')
    shop.addJob('echo', EchoJob())
    assert shop.processJob('echo', 1) == 1 and shop.store is shop.store \
        and shop.scheduler.__parent__ is shop


def test_a_subclass_opens_what_it_declares():
    class Open(RemoteProcessor):
        __roles__ = None
        __zpublishable__ = True

    class Still(Open):
        pass

    for cls in Open, Still:
        assert cls.__roles__ is None and cls.__zpublishable__ is True \
            and cls.removeJobs__roles__ == ()
    assert Bare.__roles__ == () and Bare.__zpublishable__ is False
