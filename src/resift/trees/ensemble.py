"""The neutral record of additive regression trees, and its prediction in the arithmetic of the library it is from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from resift.errors import BrokenModel, InputError

Library = Literal["lightgbm", "xgboost"]
Matrix = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]

LEAF = -1


@dataclass(frozen=True, eq=False)
class Tree:
    """One tree as columns over its nodes; node 0 is the root.

    Attributes:
        feature: (n,) the column that a node asks, or LEAF.
        threshold: (n,) what a value is compared with; unused at leaves.
        default_left: (n,) whether a missing value (NaN) goes left.
        left, right: (n,) the children's places; LEAF at leaves.
        value: (n,) a leaf's output; 0 at other nodes.

    """

    feature: Ints
    threshold: Floats
    default_left: npt.NDArray[np.bool_]
    left: Ints
    right: Ints
    value: Floats

    def is_leaf(self, node: int) -> bool:
        """Whether a node has an output and no children."""
        return bool(self.feature[node] == LEAF)

    def nodes(self) -> Iterator[tuple[int, int]]:
        """Yield each node that can be reached, with its depth, a parent before its children, left before right."""
        waiting = [(0, 0)]
        while waiting:
            node, depth = waiting.pop()
            yield node, depth
            if not self.is_leaf(node):
                waiting += [(int(self.right[node]), depth + 1), (int(self.left[node]), depth + 1)]

    @property
    def depth(self) -> int:
        """How many nodes are asked at most before an output."""
        return max(depth for _, depth in self.nodes())


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Trees whose outputs are summed.

    Attributes:
        trees: in the order in which their outputs are added.
        features: names of the columns; empty where the file has none.
        width: how many columns a row has.
        library: whose arithmetic `predict` follows: LightGBM goes left on `x <= threshold` and adds in float64;
            XGBoost goes left on `x < threshold`, compares and adds in float32, and begins with the base score.
        base_score: what the sum begins with; 0 for LightGBM, whose first tree holds it.

    """

    trees: tuple[Tree, ...]
    features: tuple[str, ...]
    width: int
    library: Library
    base_score: float = 0.0

    def predict(self, rows: Matrix) -> Floats:
        """Sum the outputs of all trees, as the library's own prediction of raw scores does, bit for bit.

        Args:
            rows: (n, width), float32 or float64; NaN is a missing value.

        Returns:
            (n,) float64; of XGBoost, each is a float32 number.

        Raises:
            InputError: rows of another width.

        """
        if rows.ndim != 2 or rows.shape[1] != self.width:
            raise InputError(f"the trees read rows of {self.width} features; not an array of shape {rows.shape}")
        dtype = self.dtype
        compared: Matrix = rows.astype(np.float64) if dtype is np.float64 else rows.astype(np.float32)
        total = np.full(len(rows), self.base_score, dtype)
        for tree in self.trees:
            total += tree.value[self._leaves(tree, compared)].astype(dtype)
        return total.astype(np.float64)

    @property
    def dtype(self) -> type[np.float32] | type[np.float64]:
        """The precision in which values are compared and outputs added."""
        return np.float64 if self.library == "lightgbm" else np.float32

    @property
    def scale(self) -> float:
        """The largest absolute score that the trees could give: what rounding errors are measured by."""
        return abs(self.base_score) + sum(float(np.abs(tree.value).max()) for tree in self.trees)

    @property
    def depth(self) -> int:
        """The depth of the deepest tree."""
        return max((tree.depth for tree in self.trees), default=0)

    def splits(self) -> Iterator[tuple[Tree, int]]:
        """Yield each node that asks a feature, with its tree."""
        for tree in self.trees:
            for node, _ in tree.nodes():
                if not tree.is_leaf(node):
                    yield tree, node

    def goes_left(self, tree: Tree, node: int, value: float) -> bool:
        """Whether a row with this value of the node's feature goes left."""
        if np.isnan(value):
            return bool(tree.default_left[node])
        return bool(value <= tree.threshold[node] if self.library == "lightgbm" else value < tree.threshold[node])

    @property
    def missing_is_zero(self) -> bool:
        """Whether a missing value goes where 0 goes at every node, so that an engine may read it as 0."""
        return all(bool(tree.default_left[node]) == self.goes_left(tree, node, 0.0) for tree, node in self.splits())

    def used_features(self) -> frozenset[int]:
        """Return the columns that some node asks."""
        return frozenset(int(tree.feature[node]) for tree, node in self.splits())

    def _leaves(self, tree: Tree, rows: Matrix) -> Ints:
        at = np.zeros(len(rows), np.int32)
        every = np.arange(len(rows))
        threshold = tree.threshold.astype(rows.dtype)
        while (inner := tree.feature[at] != LEAF).any():
            here = at[inner]
            values = rows[every[inner], tree.feature[here]]
            compared = values <= threshold[here] if self.library == "lightgbm" else values < threshold[here]
            left = np.where(np.isnan(values), tree.default_left[here], compared)
            at[inner] = np.where(left, tree.left[here], tree.right[here])
        return at


def checked(tree: Tree, width: int, where: str) -> Tree:
    """Return the tree if every path from the root ends at a leaf, and every number is one.

    A threshold may be infinite: LightGBM so separates missing values from all others.

    Raises:
        BrokenModel: children outside the tree, a node on two paths, a feature that rows do not have, an output that is
            not finite, a threshold that is NaN.

    """
    size, seen = len(tree.feature), set()
    waiting = [0]
    while waiting:
        node = waiting.pop()
        if not 0 <= node < size or node in seen:
            raise BrokenModel(f"{where} is damaged: its nodes do not make a tree; save the model again")
        seen.add(node)
        if tree.is_leaf(node):
            broken = not np.isfinite(tree.value[node])
        else:
            if not 0 <= tree.feature[node] < width:
                raise BrokenModel(
                    f"{where} is damaged: it asks feature {tree.feature[node]} of {width}; save the model again"
                )
            broken = bool(np.isnan(tree.threshold[node]))
            waiting += [int(tree.left[node]), int(tree.right[node])]
        if broken:
            raise BrokenModel(f"{where} has an output or threshold that is no finite number; save the model again")
    return tree
