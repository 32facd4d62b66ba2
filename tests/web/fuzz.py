# SPDX-License-Identifier: ZPL-2.1
"""Requests of every kind and unkind to a served dashboard and its API, over the wire: each may be
refused, none may break anything or show anything of the inside. python -m tests.web.fuzz PLACE
serves."""
import gzip
import http.client
import logging
import os
import random
import re
import socket
import subprocess
import sys
import threading
import zlib
from pathlib import Path
from urllib.parse import quote, urlencode

ROOT = Path(__file__).resolve().parents[2]
TOKEN = 'a-token-that-may-do-all'
WAIT = 120.0        # seconds for an answer, on a loaded machine
# what an answer has in it when something of the inside came out
INSIDES = re.compile(b'site-packages|werkzeug|jinja2|<class |object at 0x|p01/remote/|f3a9-secret|'
                     + TOKEN.encode(), re.I)
METHODS = ['GET', 'POST', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'PATCH', 'TRACE', 'CONNECT', 'BREW',
           'get', 'G' * 300]
ODD = ['', ' ', '0', '-1', '1', '007', '1e9', '9' * 18, '9' * 400, 'nan', 'inf', '٣', 'true',
       'None', 'None\x00', '\x00', '\r\nX-In: 1', '\n', '\t', '\x1b[31m', '\x7f', '\u202e',
       '\ufeff', 'é', '𝒳', "'", '"', '"a', '\\', '/', '//', '../../etc/passwd', '..%2f..%2f', '%',
       '%zz', '%00', '%s%n', '{{7*7}}', '${x}', '<script>alert(1)</script>', '*', '?', '#', ';',
       '&a=b', ':', '-', '>', 'x' * 300, 'y' * 5000, '(' * 200, '1h', '10m', '-5s', '1e300d',
       '2026-01-31T08:30Z', '2026-13-99', '* * * * *', '*/0 * * * *', '@daily', 'Europe/Zurich',
       '/etc/localtime']
FIELDS = ['status', 'job', 'queue', 'age', 'since', 'before', 'error', 'worker', 'schedule', 'id',
          'key', 'nofield', '-status', '-']
ARGUMENTS = ['filter', 'below', 'after', 'find', 'did', 'n', 'left', 'more', 'span', 'all', 'token',
             'v', 'limit', 'cursor', 'x']
FORM = ['do', 'job', 'filter', 'all', 'back', 'for', 'count', 'cron', 'every', 'tz', 'queue',
        'process', 'theme', 'call', 'was-call', 'priority', 'was-queue', 'delay', 'now', 'to', 'x']
WORDS = ['retry', 'cancel', 'remove', 'move', 'stop', 'quiet', 'unquiet', 'dark', 'light', 'hour',
         'day', 'month', 'mail', 'index', 'completed', 'queued', 'error', 'receipt',
         'shop.stock.sync']
HEADERS = ['Accept', 'Accept-Encoding', 'Accept-Language', 'Authorization', 'Content-Type',
           'Cookie', 'Forwarded', 'From', 'Host', 'Idempotency-Key', 'If-Match',
           'If-Modified-Since', 'If-None-Match', 'If-Range', 'Origin', 'Range', 'Referer',
           'Sec-Fetch-Site', 'Upgrade', 'User-Agent', 'X-Forwarded-For', 'X-Forwarded-Host',
           'X-Forwarded-Proto', 'X-HTTP-Method-Override', 'X-Odd']
VALUES = ['*', 'W/"x"', '"x", "y"', 'bytes=0-', 'bytes=5-1,-3', 'gzip;q=0', 'gzip, br, *;q=0.1',
          'none', 'same-origin', 'cross-site', 'http://evil.example', 'null', '100-continue',
          'text/html;q=x', 'application/json', 'application/x-www-form-urlencoded; charset=utf-7',
          'multipart/form-data; boundary=b', 'multipart/form-data', 'Bearer', 'Basic eDp5',
          'Bearer ' + TOKEN, 'theme=dark', 'theme="\\000"', 'p01-remote-1=x; theme', 'a=b;' * 500,
          'Sat, 29 Oct 1994 19:43:31 GMT', 'localhost', 'evil.example', '[::1', 'x:99999']
BODIES = [b'', b'{}', b'[]', b'null', b'{"job":', b'{"for": 1e400}', b'[' * 100_000,
          b'\xff\xfe\x00', b'{"a":1,"a":2}',
          b'--b\r\nContent-Disposition: form-data; name="do"\r\n\r\nretry\r\n--b--',
          b'--b\r\nContent-Disposition: form-data; name="f"; filename="../x"\r\n\r\n\x00\r\n--b',
          b'&' * 20_000, b'=&' * 6_000, b'do=retry&job=' + b'1&job=' * 3_000, b'%' * 500]


class Fuzz:
    """Requests, each of a number: the same one at each run. rules: paths as the sites have them,
    with their methods; known: names and ids that are there."""

    def __init__(self, rules, known, seed):
        self.rules, self.known, self.seed = rules, known, seed

    def request(self, number):
        """The method and the bytes of a request."""
        chance = random.Random(f'{self.seed}-{number}')
        rule, methods = chance.choice(self.rules)
        method = methods[0] if chance.random() < 0.8 else chance.choice([*methods, *METHODS])
        path = self.path(chance, rule)
        headers = self.headers(chance)
        bare = method in ('GET', 'HEAD') and chance.random() < 0.9
        body = b'' if bare else self.body(chance, headers)
        if body and chance.random() < 0.1:
            headers.append(('Transfer-Encoding', 'chunked'))
            body = b''.join(b'%x\r\n%b\r\n' % (len(part), part)
                            for part in (body[:7], body[7:]) if part) + b'0\r\n\r\n'
        elif body or chance.random() < 0.2:
            headers.append(('Content-Length', str(len(body))))
            if body and chance.random() < 0.05:
                headers.append(('Expect', '100-continue'))
        lines = [f'{method} {path} HTTP/1.{chance.choice("1110")}',
                 *(f'{name}: {value}' for name, value in headers), 'Connection: close']
        return method, '\r\n'.join(lines).encode('utf-8', 'replace') + b'\r\n\r\n' + body

    def value(self, chance):
        """A text: something that is there, a word, a filter, or anything odd."""
        kind = chance.random()
        if kind < 0.4:
            return str(chance.choice(self.known))
        if kind < 0.55:
            return chance.choice(WORDS)
        if kind < 0.7:
            return ' '.join(f'{chance.choice(FIELDS)}{chance.choice(":<>")}{self.value(chance)}'
                            for _ in range(chance.choice((1, 1, 2, 3))))
        if kind < 0.9:
            return chance.choice(ODD)
        return ''.join(chr(chance.choice((chance.randrange(1, 127), chance.randrange(0x2fff))))
                       for _ in range(chance.randrange(20)))

    def path(self, chance, rule):
        """A path of a rule, with a query."""
        safe = '/' if chance.random() < 0.5 else ''
        path = re.sub('<[^>]*>', lambda part: quote(self.fitting(chance, part[0]), safe=safe), rule)
        if chance.random() < 0.08:
            path = '/' + quote(self.value(chance), safe='/%;.&=') + path
        if chance.random() < 0.05:
            path += chance.choice(['/', '%ff', '%00', '/..', '//', ';x', '%2e%2e%2f', '.html'])
        if chance.random() < 0.5:
            path += '?' + urlencode([(chance.choice(ARGUMENTS), self.value(chance))
                                     for _ in range(chance.choice((1, 1, 1, 2, 3, 8)))])
        return path.replace(' ', '%20')

    def fitting(self, chance, part):
        """What may stand for a part of a path: half of it ids or names that are there."""
        if chance.random() < 0.5:
            return self.value(chance)
        return str(chance.choice([each for each in self.known
                                  if isinstance(each, int) == ('id' in part)]))

    def headers(self, chance):
        """Headers: mostly such as our pages send, of somebody who may do all."""
        found = [('Host', '127.0.0.1'),
                 ('X-Who', chance.choice(['all'] * 20 + ['read', 'read', 'denied', '']))]
        if chance.random() < 0.95:
            found.append(('Sec-Fetch-Site', 'same-origin'))
        if chance.random() < 0.9:
            found.append(('Authorization', f'Bearer {TOKEN}'))
        for _ in range(chance.choice((0, 0, 0, 1, 2, 5))):
            value = chance.choice(VALUES) if chance.random() < 0.8 else \
                re.sub('[\r\n\x00]', '', self.value(chance))
            found.append((chance.choice(HEADERS), value))
        return found

    def body(self, chance, headers):
        """A form, JSON, or whatever; rarely more than is taken."""
        kind = chance.random()
        if kind < 0.6:
            headers.append(('Content-Type', 'application/x-www-form-urlencoded'))
            return urlencode([(chance.choice(FORM), self.value(chance))
                              for _ in range(chance.randrange(1, 6))]).encode()
        headers.append(('Content-Type', chance.choice(
            ['application/json', 'multipart/form-data; boundary=b', 'text/plain'])))
        return b'x' * 1_200_000 if kind > 0.995 else chance.choice(BODIES)


class Served:
    """The dashboard and its API in a process of its own, as p01-remote dash has it."""

    def __init__(self, place, log):
        self.log = log
        with log.open('wb') as stream:
            self.process = subprocess.Popen(
                [sys.executable, '-m', 'tests.web.fuzz', place], cwd=ROOT, stderr=stream,
                stdout=subprocess.PIPE, text=True,
                env={**os.environ, 'SHOP': place, 'PYTHONPATH': f'{ROOT}:{ROOT}/tests/web'})
        self.port = int(self.process.stdout.readline())

    def memory(self):
        """The MiB that it takes."""
        pages = int(Path(f'/proc/{self.process.pid}/statm').read_text().split()[1])
        return pages * os.sysconf('SC_PAGESIZE') / 2 ** 20

    def ask(self, method, request):
        """The status, the headers and the body that a request is answered with."""
        with socket.create_connection(('127.0.0.1', self.port), WAIT) as link:
            try:
                link.sendall(request)
            except ConnectionError:
                pass            # it has refused what is too long before all of it was sent
            answer = http.client.HTTPResponse(link, method=method)
            answer.begin()
            return answer.status, answer.headers, answer.read()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        """End it; it has said nothing."""
        self.process.terminate()
        self.process.wait(30)
        self.process.stdout.close()
        assert self.log.read_text() == ''


def faultOf(status, headers, body):
    """What is wrong with an answer; '' for nothing."""
    if status >= 500:
        return f'status {status}'
    if headers.get('Content-Encoding') == 'gzip':
        try:
            body = gzip.decompress(body) if body else b''
        except (OSError, EOFError, zlib.error):
            return 'no gzip'
    if status >= 400 and b'Traceback' in body:      # a job's own is shown with it
        return 'a traceback came out'
    found = INSIDES.search(body) or INSIDES.search(str(headers).encode())
    return f'{found[0]!r} came out' if found else ''


def hail(served, fuzz, numbers, threads=4):
    """Ask all of these numbers; gives what was wrong, with the requests."""
    faults, left = [], iter(numbers)
    guard = threading.Lock()

    def work():
        while len(faults) < 20:
            with guard:
                number = next(left, None)
            if number is None:
                return
            method, request = fuzz.request(number)
            try:
                fault = faultOf(*served.ask(method, request))
            except (OSError, http.client.HTTPException) as error:
                fault = repr(error)
            if fault:
                faults.append(f'{fuzz.seed}-{number}: {fault} for {request[:1500]!r}')

    crowd = [threading.Thread(target=work) for _ in range(threads)]
    for each in crowd:
        each.start()
    for each in crowd:
        each.join()
    return faults


def siteOf(app):
    """The dashboard with its API; the header X-Who says who comes."""
    from p01.remote.web import Visitor, wsgi
    from p01.remote.web.api import Caller
    from p01.remote.web.api import wsgi as apiOf
    from p01.remote.web.api.door import SCOPES
    api = apiOf(app, {TOKEN: Caller('all', list(SCOPES))}, list(app.jobs), rate=1e6, burst=10 ** 6)
    site = wsgi(app, target='shop:app', api=api, hosts=('127.0.0.1', 'localhost'),
                access=lambda environ: Visitor('ann', environ.get('HTTP_X_WHO', '')))
    return site, [(before + rule.rule, sorted(rule.methods - {'OPTIONS'}))
                  for before, served in (('', site), ('/api/v1', api))
                  for rule in served.url_map.iter_rules()]


def fuzzOf(town, seed):
    """Requests to the shop."""
    from p01.remote.views.errors import failuresOf
    with town.app.reading() as processor:
        kinds = failuresOf(processor.store).kinds
        found = {*town.ids.values(), *(jobid for kind in kinds for jobid in kind.jobids[:5]),
                 *(kind.key for kind in kinds), *processor.scheduler, 'mail', 'index', 'image'}
    return Fuzz(siteOf(town.app)[1], sorted(found, key=str), seed)


def serve():
    """Serve until somebody ends it."""
    import shop
    from waitress import create_server

    from p01.remote.cli.dash import BYTESHELD, OBJECTSHELD, SERVING
    logging.getLogger('waitress').setLevel(logging.ERROR)
    shop.app.db.setCacheSize(OBJECTSHELD)
    shop.app.db.setCacheSizeBytes(BYTESHELD)
    server = create_server(siteOf(shop.app)[0], host='127.0.0.1', port=0, threads=SERVING,
                           ident=None)
    print(server.effective_port, flush=True)
    server.run()


if __name__ == '__main__':
    serve()
