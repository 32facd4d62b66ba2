# SPDX-License-Identifier: ZPL-2.1
"""What everything stands on: other people's code, processes, streams, values at the door. Knows
nothing of jobs."""
