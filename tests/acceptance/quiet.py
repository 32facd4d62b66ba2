# SPDX-License-Identifier: ZPL-2.1
"""The jobs of tasks, in workers whose janitors look once, when they begin, and then not for an
hour."""
from p01.remote.engine import janitor
from tests.acceptance.tasks import app

__all__ = ['app']

janitor.ROUNDEVERY = 3600.0
