# SPDX-License-Identifier: ZPL-2.1
"""A connection to the server. Statements are sent together and answered together: one message there
and one back.

All statements are prepared when the connection is made, so that what is sent is a name and values
in binary. libpq's pipeline mode does it; nobody waits for an answer with Python's lock, and an
answer that nobody needs is taken with the next one.
"""
from __future__ import annotations

import select
from collections.abc import Sequence
from typing import Any, NamedTuple

from psycopg import OperationalError, pq
from ZODB.POSException import ConflictError

from p01.remote.storage.faults import Disconnected, Fault, Full, LockTimeout

# So that a connection that was cut without a word is noticed within a minute, and not after hours.
KEEPALIVE = {'connect_timeout': '10', 'keepalives_idle': '30', 'keepalives_interval': '10',
            'keepalives_count': '3',
            'tcp_user_timeout': '60000', 'fallback_application_name': 'p01.remote'}
# The server's words for the same: a host that is cut off within a commit would else keep its locks
# for hours.
SERVER = {'keepalives_idle': 'tcp_keepalives_idle',
          'keepalives_interval': 'tcp_keepalives_interval',
          'keepalives_count': 'tcp_keepalives_count', 'tcp_user_timeout': 'tcp_user_timeout'}
GOOD = {pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK}
SYNC = pq.ExecStatus.PIPELINE_SYNC
FAILEDSTATUS = pq.ExecStatus.FATAL_ERROR
OK = pq.ConnStatus.OK
# It can be read only, since a standby took the server's place; it has too many connections; it
# starts or ends.
AWAY = ('25006', '53300', '57P01', '57P02', '57P03', '57P05')
CONFLICTSTATES = ('40001', '40P01', '23505')


class Step(NamedTuple):
    """One statement of a message."""

    name: bytes                         # as it was prepared
    values: Sequence[bytes] | None = None
    formats: Sequence[int] | None = None    # 1 for each value in binary


class Refused(Fault):
    """The server refuses to serve."""

    def __init__(self, text: str, state: str = '') -> None:
        super().__init__(text)
        self.state = state              # its SQLSTATE, '' when it said none


class Link:
    """One connection, used by one thread at a time."""

    def __init__(self, conninfo: str, settings: str, statements: dict[bytes, str]) -> None:
        """Raises Refused; then nothing is left open."""
        self.raw = raw = connected(conninfo)
        # answers that are still to come, of what was sent together each
        self.awaited = 0
        try:
            asked(raw, f'SET client_min_messages TO error; {patience(raw)}{settings}')
            raw.nonblocking = 1
            raw.enter_pipeline_mode()
            self.reading, self.both = select.poll(), select.poll()
            self.reading.register(raw.socket, select.POLLIN)
            self.both.register(raw.socket, select.POLLIN | select.POLLOUT)
            for name, statement in statements.items():
                raw.send_prepare(name, statement.encode())
            raw.pipeline_sync()
            self.awaited += 1
            self.run()
        except BaseException:
            raw.finish()
            raise

    @property
    def broken(self) -> bool:
        """Whether it is of no use any more."""
        return bool(self.raw.status != OK)

    def send(self, *steps: Step) -> None:
        """Have statements executed, each only if those before it were; the answer is taken by and
        by. Raises nothing."""
        try:
            self.put(steps)
            self.raw.flush()
        except OperationalError:
            self.close()                # the next one who asks is told

    def run(self, *steps: Step | bytes, behind: Sequence[Step] = ()) -> list[Any]:
        """The results of statements. What stands behind them is executed, too, when they were, and
        not waited for.

        Raises Disconnected, ConflictError, LockTimeout, Full, Fault; but for the first, the
        connection can be used then.
        """
        try:
            earlier = self.awaited
            if steps:
                self.put(steps)
            for step in behind:
                self.put((step,))
            while self.raw.flush():
                self.both.poll()
                self.raw.consume_input()
            for _ in range(earlier if steps else earlier - 1):
                self.take()
            results, failed = self.take()
        except OperationalError as error:
            text = line(str(error))
            self.close()
            raise Disconnected(
                f'The connection to PostgreSQL was lost ({text}); try again.') from error
        except BaseException:
            # a signal came in between: what stands where is not known any more
            self.close()
            raise
        if failed is not None:
            raise self.told(failed)
        return results

    def put(self, steps: Sequence[Step | bytes]) -> None:
        """Into libpq's buffer."""
        send = self.raw.send_query_prepared
        for step in steps:
            if isinstance(step, bytes):
                self.raw.send_query_params(step, None, result_format=1)
            else:
                name, values, formats = step
                # psycopg 3.2 takes lists alone
                send(name, list(values or ()), list(formats or ()), 1)
        self.raw.pipeline_sync()
        self.awaited += 1

    def take(self) -> tuple[list[Any], Any]:
        """The results of what was sent together, and the one that is an error."""
        raw, failed = self.raw, None
        results: list[Any] = []
        while True:
            while raw.is_busy():
                self.reading.poll()
                raw.consume_input()
            result = raw.get_result()
            if result is None:          # between two statements, or for ever
                if raw.status != OK:
                    raise OperationalError(raw.get_error_message())
                continue
            status = result.status
            if status == SYNC:
                self.awaited -= 1
                return results, failed
            if status in GOOD:
                results.append(result)
            elif status == FAILEDSTATUS and failed is None:
                failed = result

    def told(self, result: Any) -> Exception:
        """An error of the server in our words."""
        text, state = line(result.get_error_message()), stateOf(result)
        if self.broken or not state or state.startswith('08') or state in AWAY:
            self.close()
            return Disconnected(f'The connection to PostgreSQL was lost ({text}); try again.')
        if state in CONFLICTSTATES:
            return ConflictError(text)
        if state == '55P03':
            return LockTimeout('Others have held for too long what this transaction changes '
                               f'({text}); see in pg_stat_activity what hangs there.')
        if state in ('53100', '53200'):
            return Full(f'PostgreSQL has no room left ({text}); make some there.')
        if state == '42501':
            return Fault(f'PostgreSQL does not let this user do that ({text}); GRANT it the rights '
                         'on the tables zodb_object, zodb_change and zodb_store, and on the '
                         'sequence zodb_block.')
        return Fault(f'PostgreSQL could not do it ({text}).')

    def close(self) -> None:
        """End it."""
        self.raw.finish()


def connected(conninfo: str) -> Any:
    """A connection of psycopg.pq. Raises Refused."""
    raw = pq.PGconn.connect(conninfo.encode())
    if raw.status != OK:
        text = line(raw.get_error_message())
        raw.finish()
        raise Refused(text)
    return raw


def patience(raw: Any) -> str:
    """Statements that make the server as patient with a connection as we are."""
    ours = {option.keyword.decode(): option.val for option in raw.info}
    return ''.join(f'SET {theirs} TO {int(ours[name])}; ' for name, theirs in SERVER.items()
                   if ours.get(name))


def asked(raw: Any, statements: str) -> list[str]:
    """The row that the last of some statements gives, as texts. Raises Refused."""
    result = raw.exec_(statements.encode())
    if result.status not in GOOD:
        raise Refused(line(result.get_error_message()), stateOf(result))
    return [(result.get_value(0, column) or b'').decode()
            for column in range(result.nfields if result.ntuples else 0)]


def line(text: str) -> str:
    """What libpq or the server says, in one line; libpq never says a password there."""
    return ' '.join(text.split()).rstrip('.') or 'it said nothing'


def stateOf(result: Any) -> str:
    """The SQLSTATE of an error."""
    return (result.error_field(pq.DiagnosticField.SQLSTATE) or b'').decode()
