"""The engine room: implements Service over the loaded models."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from resift.errors import InputError, UnknownModel
from resift.protocols import Budget, Role
from resift.rerank.pointwise import Pointwise
from resift.serve.models import ServedModel
from resift.serve.service import ModelInfo, RerankAnswer, RerankRequest
from resift.types import Candidate, Document, Query, Ranking, Scores

if TYPE_CHECKING:
    from resift.protocols import FloatArray


class Room:
    """Runs requests on threads."""

    def __init__(self, models: Sequence[ServedModel]) -> None:
        self._models = {m.info.name: m for m in models}

    def models(self) -> Sequence[ModelInfo]:
        """The models served, the default one first."""
        return [m.info for m in self._models.values()]

    async def rerank(self, request: RerankRequest) -> RerankAnswer:
        """Order the documents; see Service."""
        began = time.perf_counter()
        model = self._find(request.model, scores=True)
        ranking = Ranking.unscored(_query(request.query), request.documents)
        assert model.reranker is not None
        stage = Pointwise(model.reranker.scorer)
        ranked = (await asyncio.to_thread(stage.run, [ranking], Budget()))[0].top(request.top_k)
        step = ranked.trace.steps[-1]
        name = model.info.name if ranked.trace.reranked else "input"
        return RerankAnswer(ranked, model.info.name, name, step.tokens, (time.perf_counter() - began) * 1e3)

    async def score(self, model: str, pairs: Sequence[tuple[str, str]]) -> Scores:
        """Score (query, document) pairs, in their order; see Service."""
        found = self._find(model, scores=True)
        assert found.reranker is not None
        asked = [(_query(q), Candidate(Document(str(i), d))) for i, (q, d) in enumerate(pairs)]
        return await asyncio.to_thread(found.reranker.scorer.score, asked)

    async def embed(self, model: str, texts: Sequence[str], role: Role) -> FloatArray:
        """Return (n, dims) vectors of length 1; see Service."""
        found = self._find(model, scores=False)
        assert found.embedder is not None
        return await asyncio.to_thread(found.embedder.embed, list(texts), role)

    def _find(self, name: str, *, scores: bool) -> ServedModel:
        """The model of that name; the first that can do the job for the empty name, or when only one can."""
        able = [m for m in self._models.values() if (m.reranker if scores else m.embedder) is not None]
        if name in self._models and self._models[name] in able:
            return self._models[name]
        if able and (not name or len(able) == 1):
            return able[0]
        task = "reranks" if scores else "embeds"
        known = ", ".join(m.info.name for m in able) or "none"
        raise UnknownModel(f"no model {name!r} that {task} is served; there is: {known}")


def _query(text: str) -> Query:
    if not text.strip():
        raise InputError("the query is empty; ask with at least one word")
    return Query(text)
