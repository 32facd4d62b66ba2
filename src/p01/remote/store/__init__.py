# SPDX-License-Identifier: ZPL-2.1
"""What is in the database: segments, shards, seats, and the verbs that change them."""
