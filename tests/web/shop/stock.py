# SPDX-License-Identifier: ZPL-2.1
"""What there is of articles."""
from shop import app


@app.schedule('*/5 * * * *', kwargs={'depot': 'north'})
@app.job(queue='index', retries=3, backoff=300)
def sync(depot):
    """What a depot has."""
    if depot == 'south':
        raise ConnectionRefusedError(111, 'depot-south:8443')


@app.job(queue='index')
def reserve(order):
    """The lines of an order."""


@app.schedule('0 8-20 * * *', tz='Europe/Berlin', kwargs={'order': 'cart'})
@app.job(queue='clock')
def remind(order):
    """Carts that are left alone."""
