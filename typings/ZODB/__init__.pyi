# SPDX-License-Identifier: ZPL-2.1
# What we use of ZODB with our own persistent objects; the rest of it carries no types.
from ZODB.DB import DB as DB
