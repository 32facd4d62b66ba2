# SPDX-License-Identifier: ZPL-2.1
"""What users write, and how checkers of types see it; checked, and never run."""
from datetime import datetime, timedelta
from typing import assert_type

from p01.remote import App
from p01.remote.handle import Handle

app = App('memory:')


@app.job
def add(one: int, two: int = 0) -> int:
    """With nothing in brackets."""
    return one + two


@app.job(queue='mail', retries=5, timeout='30s', backoff=timedelta(seconds=1), final=(ValueError,))
def greet(*, name: str) -> str:
    """With options."""
    return f'Hello {name}'


@app.job()
def nothing() -> None:
    """Returns nothing."""


@app.schedule('0 8 * * MON-FRI', tz='Europe/Zurich', args=(1,))
@app.schedule(every='15m', name='often', missed='all', jitter=5)
@app.job
def timed(one: int) -> int:
    """By the clock."""
    return one


@app.schedule('@daily', start=datetime(2030, 1, 1), overlap='queue')
def daily() -> str:
    """By the clock alone."""
    return 'day'


@app.job(queue='web')
async def fetch(url: str, *, tries: int = 1) -> bytes:
    """On an event loop."""
    async with app.transaction() as root:
        root['urls'] = url
    return await other(url)


@app.job
async def other(url: str) -> bytes:
    """With nothing in brackets."""
    return url.encode()


@app.transaction()
def within(number: int) -> int:
    """Each call is a transaction."""
    return number


assert_type(fetch.enqueue('a', tries=2).result(), bytes)
assert_type(other.using(priority=5).enqueue('a'), Handle[bytes])
assert_type(other.map(['a']), list[Handle[bytes]])
assert_type([each.result() for each in fetch.enqueueMany(['a'])], list[bytes])
assert_type(within(1), int)
assert_type(timed.enqueue(1).result(), int)
assert_type(daily.enqueue().result(), str)
assert_type(app.schedules.preview('often'), list[datetime])
assert_type(add(1), int)
assert_type(add.enqueue(1, two=2), Handle[int])
assert_type(add.enqueue(1).result(), int)
assert_type(greet.enqueue(name='you').result(timeout='1m'), str)
assert_type(nothing.enqueue().result(), None)
assert_type(add.using(priority=5, delay='10m', unique='one').enqueue(1), Handle[int])
assert_type(greet.using(at=datetime(2030, 1, 1), queue='other',
                        expires=3600).enqueue(name='you').result(5), str)
assert_type(add.map([1, 2]), list[Handle[int]])
assert_type([each.result() for each in greet.enqueueMany([{'name': 'you'}])], list[str])
assert_type(add.enqueue(1).exception() is None, bool)
later = app.handle(7)
later.result()
