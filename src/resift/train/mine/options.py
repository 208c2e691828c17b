"""What a caller says of mining."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from resift.errors import InputError
from resift.protocols import Embedder
from resift.train.choices import BM25, DENSE, Sampling


@dataclass(frozen=True, slots=True)
class MineOptions:
    """How negatives are mined.

    The judge is the last ranker: the model that rescores, else the last embedder, else BM25. Limits and margins are on
    its scores, and the score of a query's positives is their median.

    Attributes:
        retrievers: "bm25", "dense" (the bundled embedder for the language of the documents), the name of an embedder,
            or an embedder that is loaded.
        negatives: how many hard negatives a query gets at most.
        random: how many documents, drawn from all, it gets beside these.
        range_min, range_max: the ranks from which negatives are taken, in the list of any retriever, positives not
            counted: from range_min + 1 to range_max.
        min_score, max_score: the least and the highest score of a negative.
        absolute_margin: a negative's score is at least so much below that of the positives.
        relative_margin: as a share of the positives' score: at most p - margin x |p|. The default is that of Moreira et
            al., NV-Retriever (2024); None is no margin.
        sampling: the candidates of the highest scores, or any.
        keep_suspects: likely false negatives become negatives too.
        limit: a sample of so many queries.
        seed: of every sample.

    """

    retrievers: Sequence[str | Embedder] = (BM25, DENSE)
    negatives: int = 7
    random: int = 0
    range_min: int = 0
    range_max: int = 50
    min_score: float | None = None
    max_score: float | None = None
    absolute_margin: float | None = None
    relative_margin: float | None = 0.05
    sampling: Sampling = Sampling.TOP
    keep_suspects: bool = False
    limit: int | None = None
    seed: int = 0

    def check(self) -> None:
        """Refuse what does not fit together.

        Raises:
            InputError: no retriever, no negatives, an empty range of ranks or of scores, or a margin below 0.

        """
        if not self.retrievers:
            raise InputError("negatives are mined by at least one retriever: bm25, dense, or the name of an embedder")
        if self.negatives < 0 or self.random < 0 or self.negatives + self.random == 0:
            raise InputError("there are no negatives to mine; ask for one or more, hard (--negatives) or --random")
        if not 0 <= self.range_min < self.range_max:
            raise InputError(f"the ranks from {self.range_min + 1} to {self.range_max} are none; range_max is larger")
        if self.negatives > len(self.retrievers) * (self.range_max - self.range_min):
            raise InputError(
                f"{self.negatives} negatives can't come from {self.range_max - self.range_min} ranks of "
                f"{len(self.retrievers)} retrievers; raise range_max"
            )
        if self.min_score is not None and self.max_score is not None and self.min_score > self.max_score:
            raise InputError(f"no score is from {self.min_score:g} to {self.max_score:g}; exchange min and max")
        for name, margin in (("absolute", self.absolute_margin), ("relative", self.relative_margin)):
            if margin is not None and margin < 0:
                raise InputError(f"the {name} margin is 0 or more; not {margin:g}")
