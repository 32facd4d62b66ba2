# SPDX-License-Identifier: ZPL-2.1
"""The dashboard as a WSGI application: who may come in, what all answers carry, and errors that
show nothing of the inside."""
from __future__ import annotations

import gzip
import hashlib
import logging
import re
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

from flask import Flask, Response, abort, g, make_response, redirect, render_template, request
from flask import url_for as addressOf
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as Answer

from p01.remote.app import App
from p01.remote.exceptions import InputError, JobNotFound, RemoteError, UnknownJob, UnknownSchedule
from p01.remote.exposition import exposition
from p01.remote.ground.foreign import short
from p01.remote.ground.values import clean
from p01.remote.views.figures import LATE
from p01.remote.web import words
from p01.remote.web.access import (
    ALL,
    COOKIE,
    READ,
    STRANGER,
    Access,
    Sessions,
    Visitor,
    bearerOf,
    checkedToken,
    isHost,
    isOne,
    isOurs,
)
from p01.remote.web.snapshot import Snapshot, tagOf, taken
from p01.remote.wire.deeds import Refused

WEBFILES = Path(__file__).parent
POLICY = ("default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
          "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
HEADERS = {'Content-Security-Policy': POLICY, 'X-Content-Type-Options': 'nosniff',
           'Referrer-Policy': 'same-origin', 'X-Frame-Options': 'DENY',
           'Cross-Origin-Opener-Policy': 'same-origin',
           'Cross-Origin-Resource-Policy': 'same-origin'}
FOREVER = 365 * 86400       # seconds; the address of a file changes with it
BODY = 1 << 20              # bytes of a form
WORTHWHILE = 1_000          # bytes that are worth to be made smaller
THEMES = ('', 'light', 'dark')
BROKEN = 'Something went wrong; the log of the server says what.'
DENIAL = 'You are not let in here.'

Show: TypeAlias = Callable[..., tuple[str, dict[str, Any]] | Answer]
Act: TypeAlias = Callable[..., Answer]

logger = logging.getLogger('p01.remote')


class Site:
    """The dashboard of an App. target: how commands name it; access: who may what, by the host's
    own users; sessions: who came with a token, where there are none; hosts: names that requests
    may be for, () for any; scrapers: tokens of those who may see the metrics and nothing else."""

    def __init__(self, app: App, target: str, access: Access | None, sessions: Sessions | None,
                 hosts: Collection[str] = (), scrapers: Collection[str] = ()) -> None:
        self.app = app
        self.target = target
        self.access = access
        self.sessions = sessions
        self.hosts = hosts
        if isinstance(scrapers, str):
            raise InputError(f'scrapers must be a list of tokens, not {short(scrapers)}.')
        self.scrapers = tuple(checkedToken(token, 'a scraper') for token in scrapers)
        self.flask = Flask('p01.remote.web', static_folder=str(WEBFILES / 'static'),
                           template_folder=str(WEBFILES / 'templates'))
        self.flask.config.update(MAX_CONTENT_LENGTH=BODY, MAX_FORM_PARTS=5_000,
                                 SEND_FILE_MAX_AGE_DEFAULT=FOREVER)
        self.flask.jinja_env.filters.update(words.FILTERS)
        self.flask.jinja_env.trim_blocks = self.flask.jinja_env.lstrip_blocks = True
        self.flask.jinja_env.globals.update(asset=self.asset, target=target, themes=THEMES,
                                             LATE=LATE)
        self.flask.before_request(self.admit)
        self.flask.after_request(self.finish)
        self.flask.register_error_handler(Exception, self.failed)
        self.flask.add_url_rule('/theme', 'theme', self.theme, methods=['POST'])
        self.flask.add_url_rule('/metrics', 'metrics', self.metrics)

    # -- who comes in

    def admit(self) -> Answer | None:
        """Look at a request before anything else; answers those that get no further."""
        if self.hosts and not isHost(request.host, self.hosts):
            abort(421, 'This address is not one of this server.')
        if request.endpoint == 'static':
            return None
        token = request.args.get('token')
        if token and self.sessions is not None and request.method == 'GET':
            return self.enter(token)
        if request.endpoint == 'metrics' and isOne(
                bearerOf(request.headers.get('Authorization', '')), self.scrapers):
            return None
        g.visitor = self.visitor()
        if g.visitor.may not in (ALL, READ):
            abort(403, DENIAL)
        if request.method not in ('GET', 'HEAD', 'OPTIONS'):
            if not isOurs(request.headers, request.host, request.scheme):
                abort(403, 'This did not come from a page of this dashboard.')
            if g.visitor.may != ALL and request.endpoint != 'theme':
                abort(403, 'You may look at all here, and change nothing.')
        return None

    def visitor(self) -> Visitor:
        """Who it is."""
        if self.access is not None:
            return self.access(request.environ) or STRANGER
        if self.sessions is not None:
            return self.sessions.visitorOf(request.cookies.get(cookieName(), '')) or STRANGER
        return STRANGER

    def enter(self, token: str) -> Answer:
        """Swap a token for a cookie; the address is without it from then on."""
        assert self.sessions is not None
        cookie = self.sessions.enter(token)
        if cookie is None:
            if self.visitor().may in (ALL, READ):       # the same link again, in the same browser
                return redirect(here(), 303)
            abort(403, 'This link was used already, or is not of this server; take the newest one '
                       'that stands in the terminal.')
        answer = redirect(here(), 303)
        answer.set_cookie(cookieName(), cookie, httponly=True, samesite='Lax',
                          secure=request.is_secure, path=request.script_root or '/')
        return answer

    # -- what is answered

    def page(self, path: str, name: str, show: Show) -> None:
        """Have a page at a path: show(snapshot, …) gives a template and its values, or an
        answer."""
        def answer(**given: Any) -> Answer:
            asked = {key: ' '.join(values) for key, values in request.args.lists()}
            with taken(self.app, self.target, g.visitor, asked) as snapshot:
                tag = self.tagged(snapshot)
                if request.if_none_match.contains_weak(tag):
                    found = Response(status=304)
                else:
                    shown = show(snapshot, **given)
                    if isinstance(shown, Answer):
                        return shown
                    found = make_response(self.rendered(shown[0], snapshot, shown[1]))
                found.set_etag(tag, weak=True)
                return found

        self.flask.add_url_rule(path, name, answer)

    def tagged(self, snapshot: Snapshot) -> str:
        """The tag of a page, as one browser sees it."""
        return f'{tagOf(snapshot)}-{request.cookies.get("theme", "")}'

    def action(self, path: str, name: str, act: Act) -> None:
        """Have an action at a path: act(site, visitor, form, …) answers."""
        def answer(**given: Any) -> Answer:
            return act(self, g.visitor, request.form, **given)

        self.flask.add_url_rule(path, name, answer, methods=['POST'])

    def rendered(self, template: str, snapshot: Snapshot | None, values: Mapping[str, Any]) -> str:
        """A page as text."""
        theme = request.cookies.get('theme', '')
        # what jobs were given and have raised may have what no encoding holds
        return clean(render_template(template, snapshot=snapshot,
                                     visitor=getattr(g, 'visitor', STRANGER),
                                     theme=theme if theme in THEMES else '', place=self.app.place,
                                     **values))

    def metrics(self) -> Answer:
        """What monitoring reads. Raises PackageMissing without its extra."""
        text, kind = exposition(self.app, request.headers.get('Accept', ''))
        return Response(text, content_type=kind)

    def theme(self) -> Answer:
        """Choose light or dark, and go back."""
        chosen = request.form.get('theme', '')
        back = request.form.get('back', '')
        answer = redirect(back if isLocal(back) else addressOf('overview'), 303)
        answer.set_cookie('theme', chosen if chosen in THEMES else '', max_age=FOREVER,
                          samesite='Lax', httponly=True, path=request.script_root or '/')
        return answer

    def finish(self, answer: Response) -> Response:
        """What all answers carry."""
        for name, value in HEADERS.items():
            answer.headers[name] = value
        if request.endpoint != 'static':
            answer.headers['Cache-Control'] = 'private, no-cache'
        answer.vary.add('Cookie')
        return smaller(answer)

    def failed(self, error: Exception) -> Answer:
        """A page for whatever goes wrong: a sentence, and nothing of the inside."""
        if isinstance(error, HTTPException) and error.code is not None:
            status, text = error.code, error.description or ''
            if status in (301, 302, 303, 307, 308):
                return error.get_response()
        elif isinstance(error, JobNotFound | UnknownSchedule):
            status, text = 404, str(error)
        elif isinstance(error, InputError | UnknownJob):
            status, text = 400, str(error)
        elif isinstance(error, Refused):
            status, text = 409, str(error)
        elif isinstance(error, RemoteError):
            status, text = 503, str(error)
            logger.warning('The dashboard could not answer %s: %s', request.path, error)
        else:
            status, text = 500, BROKEN
            logger.error('The dashboard could not answer %s', request.path, exc_info=error)
        try:
            body = self.rendered('problem.html', None, {'status': status, 'text': text})
        except Exception:
            logger.exception('The dashboard could not say what went wrong')
            body = BROKEN
        return make_response(body, status)

    # -- files

    @cached_property
    def versions(self) -> dict[str, str]:
        """The checksums of files, a part of their addresses."""
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:10]
                for path in (WEBFILES / 'static').iterdir()}

    def asset(self, name: str) -> str:
        """The address of a file."""
        return addressOf('static', filename=name, v=self.versions[name])


def cookieName() -> str:
    """The name of our cookie: those of one host are the same for all of its ports."""
    return f'{COOKIE}-{request.environ.get("SERVER_PORT", "")}'


def here() -> str:
    """The path of this request, as an address that leads nowhere else."""
    return '/' + quote(request.script_root + request.path).lstrip('/')


def isLocal(address: str) -> bool:
    """Whether an address leads back here: browsers drop some characters, and take others for a
    slash."""
    return re.match(r'/(?!/)[^\x00-\x1f\x7f\\]*\Z', address) is not None


def smaller(answer: Response) -> Response:
    """The same, compressed for who takes it. No answer has a secret in it beside what others
    wrote."""
    if not request.accept_encodings['gzip'] or answer.status_code != 200 \
            or not re.match('text/|.*javascript|image/svg', answer.mimetype or ''):
        return answer
    answer.direct_passthrough = False
    data = answer.get_data()
    if len(data) > WORTHWHILE:
        answer.set_data(gzip.compress(data, 5, mtime=0))
        answer.headers['Content-Encoding'] = 'gzip'
    answer.vary.add('Accept-Encoding')
    return answer
