# SPDX-License-Identifier: ZPL-2.1
"""Jobs that wait are changed, and those that have ended run again, edited: the form for both, and
what it does."""
from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from flask import redirect
from flask import url_for as addressOf
from werkzeug.wrappers import Response

from p01.remote.engine.editing import Calling, changesOf
from p01.remote.exceptions import InputError
from p01.remote.ground.foreign import listed
from p01.remote.store.views import View
from p01.remote.views.literal import argumentsOf, textOf
from p01.remote.web import lists
from p01.remote.web.access import Visitor
from p01.remote.web.actions import Form, told
from p01.remote.web.site import Site
from p01.remote.web.snapshot import Snapshot, taken
from p01.remote.wire import deeds
from p01.remote.wire.commits import change
from p01.remote.wire.functions import functionOf, namesOf

NOTKNOWN = 'this dashboard does not know the function'


class Editor(NamedTuple):
    """What a form begins with: the arguments as a text, or why they cannot be edited; names of
    queues to choose from."""

    call: str
    why: str
    queues: list[str]


def editorOf(at: Snapshot, view: View) -> Editor:
    """The form of a job."""
    name = view.record.name
    if functionOf(at.app, name) is None:
        call, why = '', NOTKNOWN
    else:
        call, why = textOf(view.record.input, namesOf(at.app, name))
    return Editor(call, why, sorted(at.queues.all)[:lists.CHOICES])


def changed(form: Form, field: str) -> str | None:
    """What was written into a field; None where that is what stood there before."""
    text = form.get(field, '').replace('\r\n', '\n').strip()
    return None if text == form.get(f'was-{field}', '').replace('\r\n', '\n').strip() else text


def wantedOf(site: Site, visitor: Visitor, form: Form,
             jobid: int) -> tuple[dict[str, Any], Calling | None]:
    """The fields of a job that a form changes, and what it is to be called with, None for what it
    was called with. Raises InputError, JobNotFound."""
    priority, call = changed(form, 'priority'), changed(form, 'call')
    changes = changesOf(changed(form, 'queue'),
                        None if priority is None else lists.priorityOf(priority),
                        form.get('delay', '').strip() or None, None, 'now' in form)
    if call is None:
        return changes, None
    with taken(site.app, site.target, visitor, {}) as at:
        name = at.processor.store.entry(jobid)[1].name
    deeds.proveWritten(name)
    function = functionOf(site.app, name)
    if function is None:
        raise InputError(f'The arguments of job {jobid} cannot be edited here: {NOTKNOWN}.')
    return changes, Calling(function.prototype, argumentsOf(call))


def edit(site: Site, visitor: Visitor, form: Form, jobid: int) -> Response:
    """Change a job that waits."""
    changes, calling = wantedOf(site, visitor, form, jobid)
    back = addressOf('job', jobid=jobid)
    if not changes and calling is None:
        return redirect(back, 303)
    names = listed([*changes, *(['call'] if calling is not None else [])])
    change(site.app, visitor.name, f'edit job {jobid}: {names}',
           partial(deeds.edit, jobid=jobid, changes=changes, calling=calling))
    return redirect(told(back, 'edit', 1), 303)


def again(site: Site, visitor: Visitor, form: Form, jobid: int) -> Response:
    """Enqueue a job like one that has ended, and go to it."""
    changes, calling = wantedOf(site, visitor, form, jobid)
    new = change(site.app, visitor.name, f'run job {jobid} again as another one',
                 partial(deeds.edit, jobid=jobid, changes=changes, calling=calling, again=True))
    return redirect(told(addressOf('job', jobid=new), 'run', 1), 303)
