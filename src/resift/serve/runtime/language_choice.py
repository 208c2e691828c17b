"""Chooses among the default models of a server by the language of a request that names none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from resift.api import Index
from resift.rerank.guard import Alternative, ByLanguage, choose_for_pairs
from resift.reranker import Reranker
from resift.serve.runtime.served_models import ServedModel
from resift.types import Ranking


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which model a request gets.

    Attributes:
        model: its name; None where none reads the texts, so that the order stays.
        ranking: of the request, with what the trace says of the choice.
        by_language: whether the language decided; the model then needs no guard.

    """

    model: str | None
    ranking: Ranking
    by_language: bool = False


class LanguageChoice:
    """See `rerank.guard.choose`; for candidates of the index the model whose token vectors it holds goes first.

    Args:
        models: those that are served by default, the one that is preferred first; none where the caller named models.
        index: of the server.

    """

    def __init__(self, models: Sequence[ServedModel], index: Index | None) -> None:
        rerankers = {model.info.name: model.reranker for model in models if model.reranker is not None}
        stored = [name for name, reranker in rerankers.items() if index is not None and index.store_for(reranker)]

        def stage(names: Sequence[str], because: str = "") -> ByLanguage:
            return ByLanguage([_alternative(name, rerankers[name]) for name in names], because)

        self._of_request = stage(list(rerankers))
        names = list(dict.fromkeys([*stored, *rerankers]))
        self._of_index = stage(names, "the index holds its token vectors" if names != list(rerankers) else "")

    def __call__(self, ranking: Ranking, of_index: bool) -> ModelChoice:
        """The model of a ranking."""
        stage = self._of_index if of_index else self._of_request
        choice = stage.choice(ranking)
        name = None if choice.position is None else stage.alternatives[choice.position].name
        return ModelChoice(name, ranking.noting(*choice.notes), True)

    def of_pairs(self, pairs: Sequence[tuple[str, str]]) -> str:
        """The name of the one model for all (query, document) pairs of a call; the last where none reads them."""
        alternatives = self._of_request.alternatives
        choice = choose_for_pairs([alternative.scorer for alternative in alternatives], pairs)
        return alternatives[choice].name


def _alternative(name: str, reranker: Reranker) -> Alternative:
    return Alternative(name, lambda: reranker.scorer, reranker.stage)
