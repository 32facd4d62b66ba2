# SPDX-License-Identifier: ZPL-2.1
"""Words of other job queues, which many have in their fingers, and what to write here: each is
refused where it is met, by a sentence that says so."""
from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar

ENQUEUE = 'write job.enqueue(…), with the arguments of the function.'
LATER = "write job.using(delay='10m', queue='mail').enqueue(…)."
NEXT = 'enqueue the next job from within this one, which commits both or neither.'
CALL = 'call the job as the function that it is: job(…).'
WORKER = 'workers are processes: p01-remote worker MODULE:APP; app.drain() runs what is due here.'
REGULAR = "write @app.schedule('0 8 * * MON-FRI') above the function."
RESULT = 'write handle.result(timeout=10).'
STATUS = 'handle.status is a text, such as completed or error.'
CONTEXT = 'import current from p01.remote: it is the job that runs.'
KEPT = 'results are kept with their jobs, for as long as processor.retention says.'
FAILED = "subscribe to p01.remote.events, or enqueue what follows from within the job."
EARLIEST = "write job.using(delay='10m').enqueue(…)."
INSTANT = 'write job.using(at=…).enqueue(…), with an aware datetime.'
GROWING = "write @app.job(backoff='10s'): the pause before the second run, which then doubles."

JOBWORDS = {
    **dict.fromkeys(('delay', 'send', 'defer', 'submit', 'kiq', 'aenqueue', 'message'), ENQUEUE),
    **dict.fromkeys(('apply_async', 'send_with_options', 'configure', 'schedule', 'enqueue_in',
                     'enqueue_at'), LATER),
    **dict.fromkeys(('s', 'si', 'signature', 'subtask', 'then', 'pipe', 'link'), NEXT),
    **dict.fromkeys(('apply', 'call_local', 'run', 'fn', 'func'), CALL),
    **dict.fromkeys(('starmap', 'chunks', 'enqueue_many'), 'write job.enqueueMany(calls).'),
    'retry': "raise any exception, which is retried, or RunLater('10m') of p01.remote.exceptions.",
    'request': CONTEXT,
    'AsyncResult': 'write app.handle(id).',
}
HANDLEWORDS = {
    **dict.fromkeys(('get', 'wait', 'join', 'return_value', 'latest_result'), RESULT),
    **dict.fromkeys(('ready', 'is_finished'), 'write handle.done().'),
    **dict.fromkeys(('state', 'get_status', 'successful', 'failed', 'is_failed', 'info'), STATUS),
    **dict.fromkeys(('revoke', 'abort', 'delete'), 'write handle.cancel(running=True).'),
    **dict.fromkeys(('task_id', 'job_id', 'message_id', 'get_id', 'key'), 'write handle.id.'),
    **dict.fromkeys(('traceback', 'exc_info'), 'handle.exception() has it in its text.'),
    **dict.fromkeys(('args', 'kwargs'), 'handle.job is the whole job, with its input.'),
    'refresh': 'each question is answered as of now.',
    'forget': KEPT,
}
APPWORDS = {
    **dict.fromkeys(('task', 'actor', 'shared_task', 'register', 'register_task'),
                    'write @app.job above the function.'),
    **dict.fromkeys(('periodic_task', 'cron', 'crontab', 'add_periodic_task',
                     'on_after_configure', 'beat'), REGULAR),
    **dict.fromkeys(('enqueue', 'send_task', 'add_task', 'delay', 'submit', 'signature'),
                    'a job is enqueued by itself: job.enqueue(…), where @app.job made the job.'),
    **dict.fromkeys(('AsyncResult', 'fetch_job', 'get', 'get_job', 'result'),
                    'write app.handle(id).'),
    **dict.fromkeys(('worker_main', 'start', 'start_worker', 'run_worker', 'work', 'Worker'),
                    WORKER),
    **dict.fromkeys(('control', 'inspect'), 'see p01-remote workers --help.'),
    **dict.fromkeys(('purge', 'empty'), 'see p01-remote jobs cancel --help.'),
    **dict.fromkeys(('queue', 'queues'), "@app.job(queue='mail') names it, and "
                    'it is there; see p01-remote queues --help.'),
    **dict.fromkeys(('conf', 'config_from_object', 'update'),
                    'options are given where they belong: App(…), @app.job(…), p01-remote worker.'),
    'autodiscover_tasks': 'import the modules with jobs from that of the App.',
    'status': 'see p01-remote status --help.',
}
OPTIONWORDS = {
    **dict.fromkeys(('countdown', 'defer_by', 'schedule_in'), EARLIEST),
    **dict.fromkeys(('eta', 'run_at', 'defer_until', 'schedule_at'), INSTANT),
    **dict.fromkeys(('retry_delay', 'default_retry_delay', 'min_backoff', 'retry_backoff',
                     'max_backoff', 'retry_backoff_max', 'retry_jitter'), GROWING),
    **dict.fromkeys(('max_retries', 'max_tries', 'max_attempts', 'retry'),
                    'write @app.job(retries=5).'),
    **dict.fromkeys(('autoretry_for', 'throws', 'dont_autoretry_for'),
                    'every exception is retried; @app.job(final=(…,)) names those that are not.'),
    **dict.fromkeys(('time_limit', 'job_timeout', 'run_timeout'),
                    "write @app.job(timeout='10m')."),
    'soft_time_limit': "write @app.job(soft='9m', timeout='10m').",
    **dict.fromkeys(('ignore_result', 'store_results', 'result_ttl', 'failure_ttl', 'keep_result',
                     'result_expires'), KEPT),
    **dict.fromkeys(('ttl', 'max_age'), "write job.using(expires='1h').enqueue(…)."),
    **dict.fromkeys(('rate_limit', 'concurrency', 'concurrency_limit'),
                    'there are no limits of rates; a queue with workers of its own limits by '
                    'their number.'),
    **dict.fromkeys(('acks_late', 'acks_on_failure_or_timeout', 'reject_on_worker_lost'),
                    "the job's commit is its acknowledgement; deaths= says how often it runs again "
                    'after its worker died.'),
    **dict.fromkeys(('bind', 'context', 'pass_context', 'takes_context'), CONTEXT),
    **dict.fromkeys(('lock', 'queueing_lock', 'once', 'singleton'),
                    "write job.using(unique='key').enqueue(…)."),
    **dict.fromkeys(('cron', 'crontab', 'run_every'), REGULAR),
    **dict.fromkeys(('on_success', 'on_failure', 'link', 'link_error', 'depends_on'), FAILED),
    **dict.fromkeys(('queue_name', 'routing_key'), "write queue='mail'."),
    **dict.fromkeys(('actor_name', 'task_name'), "write name='receipt'."),
    'serializer': 'arguments and results are pickled.',
}


USINGWORDS = ('priority', 'delay', 'at', 'queue', 'unique', 'expires')     # of JobFunction.using


def mendOf(names: Iterable[str]) -> str:
    """The end of a sentence about arguments that a function does not take: the first one may be an
    option, here or elsewhere."""
    for name in names:
        if name in USINGWORDS:
            return f'; it is an option: job.using({name}=…).enqueue(…).'
        if name in OPTIONWORDS:
            return f'; {OPTIONWORDS[name]}'
    return '.'


class Told:
    """Something whose lacking attributes are told of: with what to write, or what was probably
    meant."""

    _habits: ClassVar[dict[str, str]] = {}

    if not TYPE_CHECKING:       # to which all would be there
        def __getattr__(self, name: str) -> Any:
            kind = type(self)
            text = f'{kind.__name__!r} object has no attribute {name!r}'
            if not name.startswith('_'):
                near = get_close_matches(name, [each for each in dir(kind) if each[0] != '_'], 1)
                mend = kind._habits.get(name) or (f'did you mean {near[0]}?' if near else '')
                what = 'A job' if kind.__name__ == 'JobFunction' else f'{kind.__name__}'
                text = f'{what} has no {name}{"; " if mend else "."}{mend}'
            raise AttributeError(text, name=name, obj=self)
