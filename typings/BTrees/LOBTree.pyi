# SPDX-License-Identifier: ZPL-2.1
from typing import Any, Generic

from BTrees.trees import Tree
from typing_extensions import TypeVar

V = TypeVar('V', default=Any)

class LOBTree(Tree[int, V], Generic[V]): ...
