# SPDX-License-Identifier: ZPL-2.1
"""Orders by FastAPI; their receipts are jobs, enqueued together with the order.

    uvicorn shopfastapi:web --workers 2             # in this folder
    p01-remote worker shopfastapi:app               # beside it
"""
import os
from contextlib import asynccontextmanager

from BTrees.IOBTree import IOBTree
from fastapi import FastAPI, HTTPException

from p01.remote import App, current
from p01.remote.exceptions import JobNotFound

app = App(os.environ.get('SHOP', 'sqlite:./jobs'))


@asynccontextmanager
async def lifespan(web):
    app.run(prepare)
    yield
    app.close()


web = FastAPI(lifespan=lifespan)


def prepare(root):
    """BTrees: two who write different keys of them do not conflict, as they would in the root
    itself."""
    for name in ('orders', 'receipts'):
        root.setdefault(name, IOBTree())


@app.job(queue='mail', retries=5)
def receipt(number):
    """Write the receipt of an order."""
    text = current.root['receipts'][number] = f"receipt for {current.root['orders'][number]}"
    return text


@web.post('/orders/{number}')
def order(number: int, item: str = 'tea'):
    """Store an order and enqueue its receipt: both, or neither."""
    with app.transaction() as root:
        root['orders'][number] = item
        return {'job': receipt.enqueue(number).id}


@web.post('/reminders/{number}')
async def remind(number: int):
    """Enqueue alone: a transaction of its own, committed when it returns."""
    return {'job': receipt.enqueue(number).id}


@web.get('/jobs/{jobid}')
def job(jobid: int):
    """How a job stands."""
    handle = app.handle(jobid)
    try:
        return {'status': handle.status, 'result': handle.result(0) if handle.done() else None}
    except JobNotFound as error:
        raise HTTPException(404, str(error)) from error
