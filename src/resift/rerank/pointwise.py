"""Orders candidates by the score of each query-document pair."""

from __future__ import annotations

from resift.protocols import Ask, Flow, Scorer
from resift.rerank.judged import judged
from resift.types import Ranking


class Pointwise:
    """Scores the first `depth` candidates of a ranking, all of them by default; see `judged` for the order."""

    def __init__(self, scorer: Scorer, depth: int | None = None) -> None:
        self.scorer, self.depth = scorer, depth

    @property
    def name(self) -> str:
        """The scorer's name."""
        return self.scorer.info.name

    def order(self, ranking: Ranking) -> Flow:
        """Ask for the head's scores, best first-stage ranks first."""
        head = ranking.candidates[: self.depth]
        scores = yield Ask(self.scorer, tuple((ranking.query, candidate) for candidate in head))
        return judged(ranking, head, scores)
