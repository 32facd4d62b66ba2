# SPDX-License-Identifier: ZPL-2.1
"""What faces show, as plain values: each is of one snapshot, and changes nothing."""
