# SPDX-License-Identifier: ZPL-2.1
"""Schedules kept in step with the code, on every storage: deployments, rollbacks, what operators
have changed."""
import pytest

from p01.remote import events, verbs
from p01.remote.clock.schedule import BYCODE, HAND
from p01.remote.clock.settings import settled
from p01.remote.engine import declaring, scheduling
from p01.remote.engine.declaring import Declared, Declaring
from p01.remote.exceptions import InputError
from p01.remote.scheduler import Cron
from p01.remote.store.seats import Seat
from tests.conftest import START, commit
from tests.race.party import Party


def version(application='shop', **declared):
    """The code of a release: schedules by name, each with the settings of its own."""
    return Declaring({name: Declared({'job': 'echo', 'queue': 'default',
                                      **settled(None, given)}, ((name,), {}))
                      for name, given in declared.items()}, application.split())


OLD = version(a={'every': '1m'}, b={'every': '1m'})
NEW = version(b={'every': '2m'}, c={'every': '1m'})


@pytest.fixture
def step(processor):
    """Let a worker with some code look; returns what it tells."""
    def step(code):
        told = code.keep(processor)
        commit(processor)
        return told
    return step


@pytest.fixture
def live(processor):
    """Have workers with these codes, and no others."""
    def live(*codes):
        for name in list(processor.store.seats):
            del processor.store.seats[name]
        for number, code in enumerate(codes):
            seat = Seat(str(number), 'host', 1, 'process', 'box', 60.0, START)
            seat.declares = code.code
            verbs.sit(processor.store, seat)
        commit(processor)
    return live


def standing(processor):
    """The schedules that are fired, with their rates."""
    return {name: item.form.every for name, item in processor.scheduler.items()
            if item.retired is None}


def test_new_changed_and_gone(processor, step, live):
    live(OLD)
    assert step(OLD) == [events.SchedulesDeclared(('a', 'b'), (), ())]
    assert step(OLD) == []
    assert standing(processor) == {'a': 60.0, 'b': 60.0}
    scheduling.runNow(processor, 'a')
    live(NEW)
    assert step(NEW) == [events.SchedulesDeclared(('c',), ('b',), ()),
                         events.SchedulesDeclared((), (), ('a',))]
    assert standing(processor) == {'b': 120.0, 'c': 60.0}
    gone = processor.scheduler['a']
    assert gone.retired and len(gone.history) == 1 and gone.when is None
    live(OLD)
    assert step(OLD)[0] == events.SchedulesDeclared(('a',), ('b',), ())     # rolled back
    assert standing(processor) == {'a': 60.0, 'b': 60.0}
    assert len(processor.scheduler['a'].history) == 1


def test_two_versions_at_once_do_not_fight(processor, step, live):
    live(OLD)
    step(OLD)
    live(OLD, NEW)
    step(NEW)
    assert standing(processor) == {'a': 60.0, 'b': 120.0, 'c': 60.0}     # an old worker declares a
    for _ in range(3):
        assert step(OLD) == step(NEW) == []      # an old one is restarted, say
    assert standing(processor) == {'a': 60.0, 'b': 120.0, 'c': 60.0}
    live(NEW)
    assert step(NEW) == [events.SchedulesDeclared((), (), ('a',))]
    assert standing(processor) == {'b': 120.0, 'c': 60.0}


def test_a_rolling_rollback(processor, step, live):
    for code in (OLD, NEW):
        live(code)
        step(code)
    live(NEW, OLD)
    assert step(OLD) == []          # those with the newer one are still there
    live(OLD)
    step(OLD)
    assert standing(processor) == {'a': 60.0, 'b': 60.0}
    live(OLD, NEW)
    assert step(NEW) == []          # one that comes late is the older one now
    assert standing(processor) == {'a': 60.0, 'b': 60.0}


def test_applications_leave_each_other_alone(processor, step, live):
    other = version('billing', x={'every': '1m'})
    live(OLD)
    step(OLD)
    live(other)
    step(other)
    live()
    step(NEW)
    assert standing(processor) == {'b': 120.0, 'c': 60.0, 'x': 60.0}
    assert step(version('elsewhere')) == []
    step(version('shop'))           # no schedule any more
    assert standing(processor) == {'x': 60.0}


def test_one_name_in_two_applications(processor, step, live):
    shop, stock = (Declaring({'nightly': Declared({'job': f'{name}.job', 'queue': 'default',
                                                   'every': rate}, None)}, [name])
                   for name, rate in (('shop', 60.0), ('stock', 90.0)))
    live(shop)
    step(shop)
    live(shop, stock)
    [told] = step(stock)
    assert (told.key, told.jobName) == ('nightly', 'stock.job')
    assert told.reason == ("InputError: schedule 'nightly' is declared by another application, "
                           "with the job shop.job; give one of both another name.")
    assert step(stock) == step(shop) == [] and standing(processor) == {'nightly': 60.0}
    again = Declaring(stock.declared, ['stock'])        # restarted
    assert step(again) == [told] and step(again) == []
    live(stock)                     # its workers are the only ones that live now
    assert step(again) == [events.SchedulesDeclared((), ('nightly',), ())]
    assert standing(processor) == {'nightly': 90.0}
    live(shop, stock)
    [told] = step(Declaring(shop.declared, ['shop']))
    assert 'with the job stock.job' in told.reason and standing(processor) == {'nightly': 90.0}


def test_an_application_that_gets_another_package_is_the_same(processor, step, live):
    live(OLD)
    step(OLD)
    more = version('shop tools', b={'every': '2m'}, c={'every': '1m'})
    live(OLD, more)
    step(more)
    assert step(OLD) == step(more) == []
    assert standing(processor) == {'a': 60.0, 'b': 120.0, 'c': 60.0}
    live(more)
    assert step(more) == [events.SchedulesDeclared((), (), ('a',))]
    live(OLD)                       # rolled back
    step(OLD)
    assert standing(processor) == {'a': 60.0, 'b': 60.0}
    assert list(processor.scheduler.codes) == ['shop']
    apart = version('shop stock', x={'every': '1m'})      # has no schedule in common
    step(apart)
    assert standing(processor) == {'a': 60.0, 'b': 60.0, 'x': 60.0}


def test_what_operators_have_changed_outlives_a_deployment_until_it_is_reset(processor, step, live):
    step(OLD)
    scheduling.change(processor, 'b', {'every': 7.0})
    scheduling.pause(processor, 'b', None)
    step(NEW)
    item = processor.scheduler['b']
    assert (item.form.every, item.active, item.edited,
            item.base['every']) == (7.0, False, True, 120.0)
    assert scheduling.reset(processor, 'b') and not scheduling.reset(processor, 'b')
    assert (item.form.every, item.active, item.edited) == (120.0, True, False)


def test_an_edit_that_makes_no_sense_any_more_is_dropped(processor, step):
    step(version(a={'every': '1h'}))
    scheduling.change(processor, 'a', {'jitter': 600.0})
    step(version(a={'every': '1m'}))
    assert processor.scheduler['a'].edits == {}
    assert processor.scheduler['a'].form.every == 60.0


def test_what_an_operator_has_added_is_his_until_code_declares_it(processor, step):
    scheduling.add(processor, 'a', {'job': 'echo', 'queue': 'default', 'every': 5.0}, ((1,), {}))
    scheduling.change(processor, 'a', {'every': 6.0})
    item = processor.scheduler['a']
    assert (item.source, item.base['every'], item.edits) == (HAND, 6.0, {})
    with pytest.raises(InputError, match="There is a schedule 'a' already"):
        scheduling.add(processor, 'a', {'job': 'echo', 'every': 5.0}, None)
    step(OLD)
    assert (item.source, item.form.every, item.edited,
            item.base['every']) == (BYCODE, 6.0, True, 60.0)
    with pytest.raises(InputError, match='is declared by code'):
        scheduling.remove(processor, 'a')
    step(NEW)
    scheduling.remove(processor, 'a')
    assert 'a' not in processor.scheduler


def test_a_declaration_takes_the_place_of_a_components_item(processor, step):
    key = processor.addScheduler(Cron('echo', minute=0))
    step(version(echo={'every': '1m'}))
    assert key == 'echo' and processor.scheduler['echo'].source == BYCODE \
        and len(processor.scheduler) == 1


def test_one_that_cannot_be_kept_hurts_no_other(processor, step, monkeypatch):
    processor.inputLimit = 100
    bad = Declaring({**OLD.declared,
                     'bad': Declared({'job': 'echo', 'every': 60.0}, (('x' * 200,), {}))}, ['shop'])
    failed, done = step(bad)
    assert (failed.key, 'more than the limit' in failed.reason) == ('bad', True)
    assert done.added == ('a', 'b')
    assert standing(processor) == {'a': 60.0, 'b': 60.0}


def test_other_input_is_a_change(processor, step):
    step(OLD)
    other = Declaring({'a': Declared(OLD.declared['a'].settings, (({2, 1},), {})),
                       'b': OLD.declared['b']}, ['shop'])
    assert step(other) == [events.SchedulesDeclared((), ('a',), ())]
    assert processor.scheduler['a'].input == (({1, 2},), {})
    due = processor.scheduler['a'].due
    assert step(OLD) == [events.SchedulesDeclared((), ('a',), ())]
    assert processor.scheduler['a'].due == due      # its ticks are the same


def test_the_code_of_a_set_does_not_depend_on_its_order():
    def code(value):
        return Declaring({'a': Declared({'job': 'x',
                                         'every': 1.0}, ((value,), {}))}, ['b', 'a']).code
    assert code({'x', 'y', 'z'}) == code({'z', 'y', 'x'}) != code({'x', 'y'})
    assert code({'x': 1, 'y': [2]}) == code({'y': [2], 'x': 1})


def test_workers_who_start_at_once(place, processor, step):
    """Each adds what is declared; one commits, and the others find it done."""
    parties = [Party(place, name) for name in ('left', 'right')]
    for party in parties:
        party.begin()
        OLD.keep(party.connection.root()['processor'])
    parties[0].commit()
    parties[1].refused()
    assert parties[1].do(lambda store: OLD.keep(parties[1].connection.root()['processor'])) == []
    processor._p_jar.transaction_manager.begin()
    assert standing(processor) == {'a': 60.0, 'b': 60.0}


def test_it_looks_now_and_then(processor, told, monkeypatch):
    code, looks = version(a={'every': '1m'}), []

    def do(work):
        looks.append(work)
        return work(processor)

    code.poll(do)
    code.poll(do)
    assert len(looks) == 1 and [type(each) for each in told] == [events.SchedulesDeclared]
    code.looked -= declaring.DECLAREEVERY
    code.poll(do)
    assert len(looks) == 2 and len(told) == 1
