# SPDX-License-Identifier: ZPL-2.1
"""python -m p01.remote is p01-remote."""
import sys

from p01.remote.cli import main

if __name__ == '__main__':      # worker processes import this module under another name
    sys.exit(main())
