# SPDX-License-Identifier: ZPL-2.1
"""Letters to customers."""
from shop import app, smtp, works


@app.job(queue='mail', retries=2, backoff=1)
def receipt(order, copies=1, *, address='', token=''):
    """That an order was paid."""
    if order == 'order-slow':
        works(0.5, 2, 'waiting for the mail server')
    if order.endswith('7'):
        smtp.send(order, copies)
    return f'{copies} sent'


@app.job(queue='mail')
def signIn(user, password):
    """To the mail server."""
