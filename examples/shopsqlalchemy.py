# SPDX-License-Identifier: ZPL-2.1
"""SQLAlchemy and p01.remote in one transaction, by zope.sqlalchemy: rows and jobs commit together,
or not at all.

    p01-remote worker shopsqlalchemy:app            # in this folder
"""
import os

import transaction
from sqlalchemy import create_engine, text
from sqlalchemy.orm import scoped_session, sessionmaker
from zope.sqlalchemy import mark_changed, register

from p01.remote import App

app = App(os.environ.get('SHOP', 'sqlite:./jobs'))
engine = create_engine(os.environ.get('SHOP_SQL', 'sqlite:///shop.sqlite'))
Session = scoped_session(sessionmaker(engine))
register(Session)


def prepare():
    """The table."""
    with engine.begin() as sql:
        sql.execute(text('CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY, receipt '
                         'TEXT)'))


def write(statement, **values):
    """A statement in the session of the thread's transaction."""
    session = Session()
    session.execute(text(statement), values)
    # SQL of one's own: else the session does not know that there is something to commit
    mark_changed(session)


@app.job(retries=5)
def receipt(number):
    """Write the receipt of an order: the row and the job's completion are one transaction of the
    thread."""
    write('UPDATE orders SET receipt = :text WHERE number = :number', text=f'receipt {number}',
          number=number)
    return number


def order(number):
    """Store an order and enqueue its receipt: both, or neither."""
    with transaction.manager:
        write('INSERT INTO orders (number) VALUES (:number)', number=number)
        return receipt.enqueue(number)
