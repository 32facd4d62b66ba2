# SPDX-License-Identifier: ZPL-2.1
"""A small application: orders, and the receipts that are written for them.

    p01-remote worker tasks:app                     # in this folder
    p01-remote enqueue tasks:app order '["tea", 3]' --wait 10
    p01-remote status tasks:app
"""
import os
import time

from BTrees.IOBTree import IOBTree
from persistent.mapping import PersistentMapping

from p01.remote import App, JobError, current

app = App(os.environ.get('TASKS', 'sqlite:./jobs'))


def orders():
    """All orders by number. A BTree: keys in the root itself would make all who set one
    conflict."""
    return current.root.setdefault('orders', IOBTree())


@app.job
def order(item, count=1):
    """Store an order and enqueue its receipt: both, or neither."""
    if count < 1:
        # wrong today and tomorrow: not retried
        raise JobError(f'{count} is no number of things to order.')
    # two at once conflict, and one of them runs again
    number = (orders().maxKey() if orders() else 0) + 1
    orders()[number] = PersistentMapping(item=item, count=count)
    receipt.enqueue(number)
    return number


@app.job(queue='mail', retries=5)
def receipt(number):
    """Write the receipt of an order."""
    found = orders()[number]
    found['receipt'] = f"Order {number}: {found['count']} × {found['item']}"
    return found['receipt']


@app.job(queue='slow')
def wait(seconds):
    """Take a while; something to watch with `p01-remote status`."""
    started = time.monotonic()
    while (waited := time.monotonic() - started) < seconds:
        current.progress(waited, seconds)
        time.sleep(0.05)
    return seconds
