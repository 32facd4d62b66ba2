# SPDX-License-Identifier: ZPL-2.1
"""What moves: the loop, the runner, and those who watch over them."""
