# SPDX-License-Identifier: ZPL-2.1
"""p01-remote demo: an application, what one sees of it, and a check that nothing was lost."""
