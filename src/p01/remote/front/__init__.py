# SPDX-License-Identifier: ZPL-2.1
"""Behind App: which transaction is around a call, where the processor is, what can be a job."""
