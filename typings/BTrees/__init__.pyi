# SPDX-License-Identifier: ZPL-2.1
