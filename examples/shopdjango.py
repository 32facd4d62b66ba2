# SPDX-License-Identifier: ZPL-2.1
"""Django and p01.remote: the jobs go into their own database once Django's transaction has
committed.

Workers load this module, which sets Django up; `django.setup()` stands above what uses models.

    p01-remote worker shopdjango:app                # in this folder
"""
import os

import django
from django.conf import settings
from django.db import close_old_connections, connection, transaction

from p01.remote import App

if not settings.configured:
    settings.configure(DATABASES={'default': {'ENGINE': 'django.db.backends.sqlite3',
                                              'NAME': os.environ.get('SHOP_SQL', 'shop.sqlite')}})
    django.setup()

app = App(os.environ.get('SHOP', 'sqlite:./jobs'))


def prepare():
    """The table."""
    with connection.cursor() as cursor:
        cursor.execute('CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY, receipt '
                       'TEXT)')


@app.job(retries=5)
def receipt(number):
    """Write the receipt of an order. Django's commit and the job's are two: the update may be done
    twice, and does no harm."""
    close_old_connections()
    with connection.cursor() as cursor:
        cursor.execute('UPDATE orders SET receipt = %s WHERE number = %s', [f'receipt {number}',
                                                                            number])
    return number


def order(number):
    """Store an order; its receipt is enqueued when, and only when, Django has committed."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute('INSERT INTO orders (number) VALUES (%s)', [number])
        transaction.on_commit(lambda: receipt.enqueue(number))
