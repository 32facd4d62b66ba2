# SPDX-License-Identifier: ZPL-2.1
"""The edges of a job's life, one verb each, and what else changes the data: nobody else does.

Each is conditional on the state it starts from, and works within the transaction of the connection
that its store came from; see the table of edges in ARCHITECTURE.md.
"""
from p01.remote.verbs.adding import add
from p01.remote.verbs.claims import claim, claimInTurn
from p01.remote.verbs.editing import edit
from p01.remote.verbs.ends import complete, release, retry, settle
from p01.remote.verbs.intake import takeIn
from p01.remote.verbs.people import cancel, interrupt, note, pause, resume, revive
from p01.remote.verbs.removal import prune, remove, seal
from p01.remote.verbs.workers import absorb, evict, pulled, rise, sit

__all__ = ['absorb', 'add', 'cancel', 'claim', 'claimInTurn', 'complete', 'edit', 'evict',
           'interrupt', 'note', 'pause', 'prune', 'pulled', 'release', 'remove', 'resume', 'retry',
           'revive', 'rise', 'seal', 'settle', 'sit', 'takeIn']
