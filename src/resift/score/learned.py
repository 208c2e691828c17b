"""Learning to rank as a scorer: all pairs of a query are one list of candidates, and are scored beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from resift.errors import InputError
from resift.models.contract import Contract
from resift.models.folder import ModelFolder
from resift.rerank.learned import LearnedModel, corrected, open_learned
from resift.score.options import LoadOptions
from resift.types import Candidate, Judgement, ModelInfo, Pair, Query, Ranking, Scores


class LearnedScorer:
    """A learned model over pairs; unlike other scorers' its scores depend on the query's other pairs in the call.

    As a stage it is `rerank.learned.Learned`; this is what `resift.load` and `Reranker.score` need of it.
    """

    def __init__(self, folder: ModelFolder, contract: Contract, model: LearnedModel) -> None:
        self.folder, self.contract, self.model = folder, contract, model

    @property
    def info(self) -> ModelInfo:
        """Name, kind and fingerprint."""
        library = self.model.summary.library
        return replace(self.contract.info(self.folder.fingerprint, library, "windows"), name=self.model.name)

    def score(self, pairs: Sequence[Pair]) -> Scores:
        """Score the pairs of each query as one list, its candidates in the order of the pairs.

        Raises:
            InputError: the model corrects scores, and some candidates have none.

        """
        places: dict[Query, list[int]] = {}
        for i, (query, _) in enumerate(pairs):
            places.setdefault(query, []).append(i)
        values: dict[int, float] = {}
        for query, of_query in places.items():
            candidates: tuple[Candidate, ...] = tuple(pairs[i][1] for i in of_query)
            rows = self.model.usable(self.model.matrix(Ranking(query, candidates)).values)
            scores = self.model.function.predict(rows)
            if self.model.function.is_correction:
                scores = corrected(self._scored(candidates), scores, 1.0, as_they_are=True)
            values |= zip(of_query, scores.tolist(), strict=True)
        judgements = tuple(Judgement(values[i]) for i in range(len(pairs)))
        return Scores(judgements, self.contract.kind, self.model.name)

    def _scored(self, candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        if any(candidate.score is None for candidate in candidates):
            raise InputError(
                f"{self.model.name} corrects scores, and some candidates have none; give them scores, or name it in a "
                "pipeline behind the stages that it was trained with"
            )
        return candidates


def open_scorer(folder: ModelFolder, contract: Contract, options: LoadOptions) -> LearnedScorer:
    """The scorer of a learned model's folder; of the options none applies."""
    return LearnedScorer(folder, contract, open_learned(folder.path))
