# SPDX-License-Identifier: ZPL-2.1
from typing import Any, Generic

from BTrees.trees import Tree, TreeSet
from typing_extensions import TypeVar

K = TypeVar('K', default=Any)
V = TypeVar('V', default=Any)

class OOBTree(Tree[K, V], Generic[K, V]): ...
class OOTreeSet(TreeSet[K], Generic[K]): ...
