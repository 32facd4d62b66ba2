# SPDX-License-Identifier: ZPL-2.1
"""The names of OpenTelemetry's conventions for messaging, which are in development: here is what
changes when they do."""
from __future__ import annotations

SYSTEM, OURSYSTEM = 'messaging.system', 'p01_remote'
OPERATION, OPERATIONTYPE = 'messaging.operation.name', 'messaging.operation.type'
SENDOP, PROCESSOP = 'send', 'process'           # what an operation is
DESTINATION = 'messaging.destination.name'  # the queue
MESSAGEID = 'messaging.message.id'            # the id of a job
BATCH = 'messaging.batch.message_count'
CLIENT = 'messaging.client.id'              # the worker
ERRORTYPE = 'error.type'
# of our own, where there is no convention
JOBNAME, ATTEMPT, REPEATED = 'p01.job.name', 'p01.job.attempt', 'p01.job.repeated'
# metrics, with their units
SENT = 'messaging.client.sent.messages', '{message}'
CONSUMED = 'messaging.client.consumed.messages', '{message}'
DURATION = 'messaging.process.duration', 's'
