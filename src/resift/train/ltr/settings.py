"""How ranking trees are grown: the settings of both libraries under one name each, and the grid of the search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from resift.errors import InputError
from resift.rerank.tree_models import Library
from resift.train.ltr.gains import HIGHEST, Gain

MOST_ROUNDS = 300
PATIENCE = 30  # rounds without a better nDCG on the validation queries, after which growing ends
SMALL = 100_000  # rows; with more the search is left out unless it is asked for


@dataclass(frozen=True, slots=True)
class TreeSettings:
    """What a training depends on beside its rows.

    Attributes:
        library: whose trees.
        leaves: the most that one tree has.
        learning_rate: by which each tree's values are multiplied.
        rounds: how many trees.
        least_rows: the fewest rows in a leaf (LightGBM; XGBoost has `child_weight` in its place).
        row_share, feature_share: of rows and features, drawn anew for each tree.
        gain: of a label, for lambda weights and for nDCG.
        truncation: pairs count where one of the two stands among the first so many.
        cutoff: k of the nDCG@k that is watched.
        monotone: for features by name: 1 where more of it must never lower the score, -1 for the opposite.
        seed: of the draws; equal seeds give equal trees.
        threads: of the training; the trees do not depend on it.

    """

    library: Library = "lightgbm"
    leaves: int = 15
    learning_rate: float = 0.05
    rounds: int = 100
    least_rows: int = 20
    row_share: float = 0.9
    feature_share: float = 0.8
    gain: Gain = "exponential"
    truncation: int = 30
    cutoff: int = 10
    monotone: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        wrong = {name: sign for name, sign in self.monotone.items() if sign not in (-1, 0, 1)}
        if wrong:
            raise InputError(f"a monotone constraint is 1, 0 or -1; not {next(iter(wrong.values()))!r}")
        for name in ("leaves", "rounds", "least_rows", "truncation", "cutoff", "threads"):
            if getattr(self, name) < (2 if name == "leaves" else 1):
                raise InputError(f"{name} is a whole number of {2 if name == 'leaves' else 1} or more")
        if not 0 < self.learning_rate <= 1:
            raise InputError(f"a learning rate is above 0 and at most 1; not {self.learning_rate:g}")

    def signs(self, features: tuple[str, ...]) -> list[int]:
        """The constraint of each feature, 0 where there is none.

        Raises:
            InputError: a constraint on a feature that there is not.

        """
        if unknown := sorted(set(self.monotone) - set(features)):
            raise InputError(f"a monotone constraint names {unknown[0]!r}, which is no feature here")
        return [self.monotone.get(name, 0) for name in features]

    def limited_to(self, features: tuple[str, ...]) -> TreeSettings:
        """The same for fewer features."""
        return replace(self, monotone={name: s for name, s in self.monotone.items() if name in features})

    def summary(self) -> dict[str, Any]:
        """The settings as a model's summary has them."""
        return {
            "objective": "lambdarank" if self.library == "lightgbm" else "rank:ndcg",
            "leaves": self.leaves,
            "learning_rate": self.learning_rate,
            "rounds": self.rounds,
            "least_rows": self.least_rows,
            "row_share": self.row_share,
            "feature_share": self.feature_share,
            "gain": "2^label - 1" if self.gain == "exponential" else "label",
            "highest_label": HIGHEST[self.gain],
            "truncation": self.truncation,
            "measure": f"nDCG@{self.cutoff}",
            "monotone": dict(self.monotone),
            "seed": self.seed,
        }


def grid(settings: TreeSettings) -> Iterator[TreeSettings]:
    """What the search tries: few and many leaves, slow and quick learning; the rounds follow from validation."""
    for leaves in (7, 15, 31):
        for learning_rate in (0.05, 0.1):
            yield replace(settings, leaves=leaves, learning_rate=learning_rate)
