# SPDX-License-Identifier: ZPL-2.1
from BTrees.trees import TreeSet

class LLTreeSet(TreeSet[int]): ...
