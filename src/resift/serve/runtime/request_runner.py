"""The engine room: implements Service over the loaded models, one queue and its workers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resift.api import Index
from resift.errors import InputError, ModelFailed, TooLarge, UnknownModel
from resift.machine import cores
from resift.protocols import Ask, Role, Scorer
from resift.serve.http.logs import event, note, where
from resift.serve.runtime import jobs
from resift.serve.runtime.failover import Breaker, attempt
from resift.serve.runtime.metrics import Metrics
from resift.serve.runtime.queue_driver import UNLIMITED_REQUEST, QueueDriver, RequestLimits, cost_of
from resift.serve.runtime.served_models import ServedModel
from resift.serve.runtime.token_queue import Drain, Slice, TokenQueue, tokens_of
from resift.serve.runtime.workers import Compute, Limits, Workers
from resift.serve.service import OnError, RerankAnswer, RerankRequest, SearchRequest, ServedInfo
from resift.serve.settings import DEFAULTS, Settings
from resift.types import Candidate, Document, Note, NoteCode, Pair, Query, Ranking, Scores

if TYPE_CHECKING:
    from resift.protocols import FloatArray

_FIRST_GUESS = 1_000.0  # tokens a second, until it is measured: low, so that a deadline cuts small slices
_ANSWERING = 0.005  # seconds of a deadline kept back to put the answer together


@dataclass(frozen=True, slots=True)
class _Judges:
    """Whom a model's stages ask: for documents of a request, and for passages of the index."""

    rerank: Scorer | None
    search: Scorer | None


class Room:
    """Runs requests: see Service. Nothing starts before the first request, or `warm`."""

    def __init__(
        self, models: Sequence[ServedModel], settings: Settings = DEFAULTS, index: Index | None = None
    ) -> None:
        self.metrics, self._settings, self._index = Metrics(), settings, index
        self._models = {m.info.name: m.shared(self.metrics) for m in models}
        if unknown := [n for n in settings.fallback if n not in self._models]:
            raise InputError(f"the fallback {unknown[0]} is not served; there is {', '.join(self._models)}")
        self._breakers = {n: Breaker(settings.breaker_failures, settings.breaker_rest_s) for n in self._models}
        self.queue = TokenQueue(settings.queue_tokens, settings.queue_seconds, Drain(_FIRST_GUESS))
        lanes: dict[str, Compute] = {}
        self.workers = Workers(self.queue, lanes, Limits(cores(), settings.stall_s), self)
        self.driver = QueueDriver(self.queue, self.workers, lanes, self.metrics)
        self._judges = {name: self._opened(name, model, lanes) for name, model in self._models.items()}
        self.metrics.watch_queue(self.queue)
        self.ready = False

    def _opened(self, name: str, model: ServedModel, lanes: dict[str, Compute]) -> _Judges:
        """Open a model's lanes: scores, scores with stored vectors, vectors in both roles."""
        if model.embedder is not None:
            lanes[f"query {name}"] = jobs.embed_texts(model.embedder, "query")
            lanes[f"document {name}"] = jobs.embed_texts(model.embedder, "document")
        if model.reranker is None:
            return _Judges(None, None)
        judge = model.reranker.judge
        self.driver.open_lane(f"score {name}", judge)
        stored = model.reranker.with_store(self._index.store_for(model.reranker) if self._index else None)
        if stored is not judge:
            self.driver.open_lane(f"search {name}", stored)
        return _Judges(judge, stored)

    def models(self) -> Sequence[ServedInfo]:
        """The models served, the default one first."""
        return [m.info for m in self._models.values()]

    async def rerank(self, request: RerankRequest) -> RerankAnswer:
        """Order the documents; see Service."""
        began, until = time.perf_counter(), self._until(request.deadline_ms)
        model = self._find(request.model, scores=True)
        self._check(request.query, [d.text for d in request.documents])
        ranking = Ranking.unscored(_query(request.query), request.documents)
        note(documents=len(ranking))
        limits = RequestLimits(until, request.truncate_to, request.may_shrink)
        costs = [cost_of((ranking.query, candidate), request.truncate_to) for candidate in ranking]

        async def run(name: str) -> Ranking:
            if not request.may_shrink:
                self.queue.check(costs)  # before anything is looked at in vain
            stage = self._models[name].stage(self._judges[name].rerank, False, None)
            return await self.driver.drive(stage, ranking, limits, name)

        ranked, stage = await self._governed(model.info.name, request.on_error, ranking, "input", run)
        return self._answer(ranked.top(request.top_k), model.info.name, stage, began)

    async def search(self, request: SearchRequest) -> RerankAnswer:
        """Search the index and order what was found; see Service."""
        began, until = time.perf_counter(), self._until(request.deadline_ms)
        if self._index is None:
            raise InputError("this server has no index; start it with --index DIR")
        model = self._find(request.model, scores=True)
        self._check(request.query, [])
        pool = max(request.depth, request.top_k)
        if pool > (most := self._settings.max_documents):
            raise TooLarge(f"{pool} candidates are asked for; {most} are allowed in one request")
        self.queue.check([1])  # before anything is looked for in vain
        (ranking,) = await asyncio.to_thread(self._index.retriever.retrieve, [_query(request.query)], pool)
        note(documents=len(ranking))
        limits = RequestLimits(until, None, request.may_shrink)

        async def run(name: str) -> Ranking:
            stage = self._models[name].stage(self._judges[name].search, request.blend, request.depth)
            return await self.driver.drive(stage, ranking, limits, name)

        ranked, stage = await self._governed(model.info.name, request.on_error, ranking, "index", run)
        return self._answer(ranked.top(request.top_k), model.info.name, stage, began)

    async def score(self, model: str, pairs: Sequence[tuple[str, str]]) -> Scores:
        """Score (query, document) pairs, in their order; see Service."""
        served = self._find(model, scores=True)
        name = served.info.name
        judge = self._judges[name].rerank
        if judge is None:
            raise InputError(f"{name} orders lists and has no score for a pair; ask for a ranking")
        self._count([d for _, d in pairs])
        for query in {q for q, _ in pairs}:
            self._check(query, [])
            _query(query)
        note(documents=len(pairs), model=name)
        asked = tuple((Query(q), Candidate(Document(str(i), d))) for i, (q, d) in enumerate(pairs))

        async def run(chosen: str) -> Scores:
            return await self.driver.answer(Ask(judge, asked), UNLIMITED_REQUEST, chosen)

        attempted = await attempt([name], self._breakers, run, "raise")
        assert attempted.answer is not None
        note(tokens=attempted.answer.tokens)
        return attempted.answer

    async def embed(self, model: str, texts: Sequence[str], role: Role) -> FloatArray:
        """Return (n, dims) vectors of length 1; see Service."""
        import numpy as np

        served = self._find(model, scores=False)
        name = served.info.name
        assert served.embedder is not None
        self._count(texts)
        note(documents=len(texts), model=name)
        if not texts:
            return np.zeros((0, served.embedder.dims), np.float32)

        async def run(chosen: str) -> FloatArray:
            outcomes = await self.driver.outcomes(f"{role} {chosen}", list(texts), [tokens_of(t) for t in texts])
            if failed := [o for o in outcomes if isinstance(o, Exception)]:
                raise ModelFailed(f"{len(failed)} of {len(outcomes)} texts can't be embedded") from failed[0]
            return np.stack(outcomes)

        attempted = await attempt([name], self._breakers, run, "raise")
        assert attempted.answer is not None
        return attempted.answer

    def slice_done(self, slice_: Slice, seconds: float, errors: Sequence[Exception], hung: bool) -> None:
        """Count a slice, and log what failed in it."""
        self.metrics.slice_done(slice_, seconds, errors, hung)
        if errors and not isinstance(errors[0], InputError):
            event("slice failed", logging.ERROR, lane=slice_.lane, items=len(slice_.parts), failed=len(errors),
                  hung=hung, **where(errors[0]))  # fmt: skip

    async def warm(self) -> None:
        """Run every lane on the shapes that will come, and measure how fast the queue drains.

        Raises:
            ModelError: a model can't be used after all.

        """
        for name, model in self._models.items():
            if (judge := self._judges[name].rerank) is not None:
                await asyncio.to_thread(judge.score, _samples(model.info.max_tokens))
            if model.embedder is not None:
                await asyncio.to_thread(model.embedder.embed, ["a lamp"], "document")
        default = next((n for n, judges in self._judges.items() if judges.rerank is not None), None)
        if default is not None:
            await self._measure(default)
        self.ready = True

    async def _measure(self, name: str) -> None:
        """Tell the queue how many tokens a second a model gets through."""
        judge, pairs = self._judges[name].rerank, _lamps(96, 24)
        assert judge is not None
        began = time.perf_counter()
        await self.driver.answer(Ask(judge, tuple(pairs)), UNLIMITED_REQUEST, name)
        self.queue.drain.assume(sum(cost_of(pair, None) for pair in pairs) / (time.perf_counter() - began))

    async def _governed(
        self,
        name: str,
        on_error: OnError | None,
        ranking: Ranking,
        first: str,
        run: Callable[[str], Awaitable[Ranking]],
    ) -> tuple[Ranking, str]:
        """The ranking and who made it; where nobody could, the one given, with the reason."""
        chain = [name, *(n for n in self._settings.fallback if n != name)]
        attempted = await attempt(chain, self._breakers, run, on_error or self._settings.on_error)
        stage = attempted.model or first
        if stage != name:
            self.metrics.fallbacks.labels(name, stage).inc()
        failures = [Note(NoteCode.FAILED, reason) for reason in attempted.reasons]
        if attempted.answer is None:
            return ranking.noting(*failures), stage
        ranked = attempted.answer.noting(*failures)
        self.metrics.ranked(stage, ranked)
        return ranked, stage if ranked.trace.reranked else first

    def _answer(self, ranking: Ranking, model: str, stage: str, began: float) -> RerankAnswer:
        tokens = sum(step.tokens for step in ranking.trace.steps)
        ms = (time.perf_counter() - began) * 1e3
        note(model=model, stage=stage, tokens=tokens, reranked=ranking.trace.reranked, reason=ranking.trace.reason)
        return RerankAnswer(ranking, model, stage, tokens, ms)

    def _until(self, deadline_ms: float | None) -> float | None:
        """When to stop computing, on the monotonic clock."""
        ms = self._settings.deadline_ms if deadline_ms is None else deadline_ms
        return time.monotonic() + max(0.0, ms / 1e3 - _ANSWERING) if ms else None

    def _check(self, query: str, documents: Sequence[str]) -> None:
        """Refuse what is too large before anything is done with it."""
        limits = self._settings
        if len(query) > limits.max_query_chars:
            raise TooLarge(f"the query has {len(query)} characters; {limits.max_query_chars} are allowed")
        self._count(documents)

    def _count(self, documents: Sequence[str]) -> None:
        limits = self._settings
        if len(documents) > limits.max_documents:
            raise TooLarge(f"there are {len(documents)} documents; {limits.max_documents} are allowed in one request")
        for i, text in enumerate(documents):
            if len(text) > limits.max_document_chars:
                raise TooLarge(
                    f"document {i} has {len(text)} characters; {limits.max_document_chars} are allowed in one document"
                )

    def _find(self, name: str, *, scores: bool) -> ServedModel:
        """The model of that name; the first that can do the job for the empty name, or when only one can."""
        able = [m for m in self._models.values() if (m.reranks if scores else m.embedder is not None)]
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


def _samples(longest: int) -> list[Pair]:
    """Pairs of lengths from a few tokens to over `longest`, filling a few batches."""
    lengths = [words for words in (4, 16, 48, 96, 192, 384) if words <= max(longest, 16)]
    return [item for words in lengths for item in _lamps(words, max(2, 512 // words))]


def _lamps(words: int, count: int) -> list[Pair]:
    """Pairs whose documents have so many words, no two alike."""
    query = Query("what does a keeper do with a lamp")
    texts = [" ".join(f"lamp {i + j}" for j in range(words // 2)) for i in range(count)]
    return [(query, Candidate(Document(str(i), text))) for i, text in enumerate(texts)]
