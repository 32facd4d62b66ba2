# SPDX-License-Identifier: ZPL-2.1
"""The boundary: whatever foreign code raises is a value, and whatever it is can be told."""
import asyncio
import threading

import pytest

from p01.remote.ground.foreign import (
    REASON,
    TRACE,
    Raised,
    described,
    guarded,
    reasonOf,
    shown,
    traced,
)


class Cunning(type):
    """A class of errors that hides its name."""

    @property
    def __name__(cls):
        raise SystemExit('no name')


class Text(str):
    """A text that is code."""

    def __getitem__(self, at):
        raise SystemExit('no part')

    def __len__(self):
        raise SystemExit('no length')


class Evil(Exception, metaclass=Cunning):
    def __str__(self):
        raise SystemExit('no text')

    __repr__ = __str__


class Sly(Exception):
    def __str__(self):
        return Text('told')

    __repr__ = __str__


class Silent(Exception):
    def __str__(self):
        return None

    __repr__ = __str__


RAISED = [ValueError('x'), SystemExit(3), GeneratorExit(), asyncio.CancelledError(), MemoryError(),
          StopIteration(),
          BaseException(), Evil(), Sly(), Silent()]


def throw(error):
    raise error


def within(function):
    """What a function returns in a thread that is not the main one."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


@pytest.mark.parametrize('error', RAISED, ids=lambda error: type.__repr__(type(error)))
def testWhateverIsRaisedIsAValueThatCanBeTold(error):
    assert guarded(throw, error) == Raised(error)
    for text in (described(error), reasonOf(error), traced(error), shown(error), shown([error])):
        assert type(text) is str


def testWhatIsReturnedIsTheValue():
    assert guarded(divmod, 7, 2) == (3, 1)


def testOnlyTheMainThreadIsInterrupted():
    with pytest.raises(KeyboardInterrupt):
        guarded(throw, KeyboardInterrupt())
    assert isinstance(within(lambda: guarded(throw, KeyboardInterrupt())), Raised)


def testErrorsSayWhatTheyAre():
    assert reasonOf(Evil()) == 'Evil: (its text cannot be shown)'
    assert reasonOf(Sly()) == 'Sly: told'
    assert reasonOf(SystemExit('SETTING is not set')) == 'SystemExit: SETTING is not set'


def testTextsAreBounded():
    assert len(reasonOf(ValueError('x' * 5_000))) == REASON
    assert len(traced(ValueError('x' * 50_000))) == TRACE + 1
    assert len(shown(list(range(1_000)), 60)) == 60


@pytest.mark.parametrize('value, text', [
    (10 ** 6000, '<int that cannot be shown: ValueError>'), ({'a': 1}, "{'a': 1}"),
    (Evil(), '<Evil that cannot be shown: SystemExit>'), (Sly(), 'told'),
    (Silent(), '<Silent that cannot be shown: TypeError>')],
                         ids=['number', 'dict', 'evil', 'sly', 'silent'])
def testValuesAreShownSomehow(value, text):
    assert shown(value) == text


def testAListInItselfIsShown():
    value = []
    value.append(value)
    assert shown(value) == '[[...]]'
