# SPDX-License-Identifier: ZPL-2.1
"""A mail server that hangs up."""


class SMTPServerDisconnected(Exception):
    """Connection unexpectedly closed."""


def send(order, copies):
    """Never works."""
    for part in range(copies):
        raise SMTPServerDisconnected(f'Connection unexpectedly closed in part {part + 1}')
