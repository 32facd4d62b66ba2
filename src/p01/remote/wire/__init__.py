# SPDX-License-Identifier: ZPL-2.1
"""What faces that serve others have in common, be it over HTTP or for assistants: what is shown as
JSON, and what is done for people, in transactions that say who did it."""
