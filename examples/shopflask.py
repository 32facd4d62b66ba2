# SPDX-License-Identifier: ZPL-2.1
"""Visits counted by Flask, under gunicorn with workers forked from one parent; each visit is
followed up by a job.

    gunicorn --preload -w 3 --threads 2 shopflask:web   # in this folder
    p01-remote worker shopflask:app                     # beside it
"""
import os

from BTrees.Length import Length
from flask import Flask, jsonify

from p01.remote import App, current

app = App(os.environ.get('SHOP', 'sqlite:./jobs'))
web = Flask(__name__)


@app.job
def follow(number):
    """Follow a visit up. A Length adds up what others add at the same time, instead of meeting them
    in a conflict."""
    current.root['followed'].change(1)
    return number


def prepare(root):
    """What the database holds from the start."""
    for name in ('visits', 'followed'):
        root.setdefault(name, Length())


app.run(prepare)            # before the fork: the children open the database anew


@web.post('/visits')
def visit():
    """Count a visit and enqueue what follows: both, or neither."""
    def count(root):
        root['visits'].change(1)
        return follow.enqueue(root['visits']()).id

    return jsonify(job=app.run(count))
