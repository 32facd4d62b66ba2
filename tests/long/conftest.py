# SPDX-License-Identifier: ZPL-2.1
"""What takes minutes is collected with P01_LONG=1 only; `make long` sets it."""
import os

collect_ignore_glob = [] if os.environ.get('P01_LONG') else ['test_*.py']
