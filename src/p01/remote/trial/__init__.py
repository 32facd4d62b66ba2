# SPDX-License-Identifier: ZPL-2.1
"""Tests of applications: the fixture `jobs` of pytest, with a database of its own, a clock that
goes forward, and workers that die where a test says so. See docs/testing.md."""
