# SPDX-License-Identifier: ZPL-2.1
"""Jobs for assistants: a server of the Model Context Protocol, which `p01-remote mcp APP` runs. It
only looks, unless it may act; then an action first says what it would do, and is done with the
token that it answers. Needs the extra p01.remote[mcp]."""
