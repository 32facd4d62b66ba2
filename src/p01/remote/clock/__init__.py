# SPDX-License-Identifier: ZPL-2.1
"""Schedules: their forms, their ticks, and what is kept of each."""
