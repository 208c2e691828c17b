"""The engine room: implements Service over the loaded models, one queue and its workers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from resift.api import Index
from resift.engine.native import cores
from resift.errors import InputError, ModelFailed, TooLarge, UnknownModel
from resift.protocols import Budget, Role, Scorer
from resift.rerank.blend import Blend
from resift.rerank.pointwise import Pointwise
from resift.serve import lanes
from resift.serve.logs import event, note, where
from resift.serve.metrics import Metrics
from resift.serve.models import ServedModel
from resift.serve.policy import Breaker, attempt
from resift.serve.queue import Drain, Slice, TokenQueue, Work, tokens_of
from resift.serve.service import ModelInfo, OnError, RerankAnswer, RerankRequest, SearchRequest
from resift.serve.settings import DEFAULTS, Settings
from resift.serve.workers import Compute, Limits, Workers
from resift.types import Candidate, Document, Pair, Query, Ranking, Scores

if TYPE_CHECKING:
    from resift.protocols import FloatArray

_FIRST_GUESS = 1_000.0  # tokens a second, until it is measured: low, so that a deadline cuts small slices
_ANSWERING = 0.005  # seconds of a deadline kept back to put the answer together


class _Known:
    """A Scorer that says what was computed already."""

    def __init__(self, name: str, scores: Scores) -> None:
        self.name, self._scores = name, scores

    def score(self, pairs: Sequence[Pair]) -> Scores:
        return self._scores


@dataclass(frozen=True, slots=True)
class _Job:
    """The items of a ranking that a lane is to score, what they cost, and what may be spent on them.

    `until` is on the monotonic clock; with `may_shrink` fewer items from the first will do.
    """

    ranking: Ranking
    items: Sequence[lanes.PairItem]
    costs: Sequence[int]
    until: float | None
    may_shrink: bool

    @classmethod
    def of(
        cls, ranking: Ranking, depth: int | None, truncate_to: int | None, until: float | None, may_shrink: bool
    ) -> _Job:
        items = lanes.pair_items(ranking.query, ranking.candidates[:depth], truncate_to)
        return cls(ranking, items, [_cost(item) for item in items], until, may_shrink)


class Room:
    """Runs requests: see Service. Nothing starts before the first request, or `warm`."""

    def __init__(
        self, models: Sequence[ServedModel], settings: Settings = DEFAULTS, index: Index | None = None
    ) -> None:
        self.metrics, self._settings, self._index = Metrics(), settings, index
        self._models = {m.info.name: m.shared(self.metrics) for m in models}
        if unknown := [n for n in settings.fallback if n not in self._models]:
            raise InputError(f"the fallback {unknown[0]} is not served; there is {', '.join(self._models)}")
        self._lanes: dict[str, Compute] = {}
        for name, model in self._models.items():
            self._open_lanes(name, model)
        self._breakers = {n: Breaker(settings.breaker_failures, settings.breaker_rest_s) for n in self._models}
        self.queue = TokenQueue(settings.queue_tokens, settings.queue_seconds, Drain(_FIRST_GUESS))
        self.workers = Workers(self.queue, self._lanes, Limits(cores(), settings.stall_s), self)
        self.metrics.watch_queue(self.queue)
        self.ready = False

    def _open_lanes(self, name: str, model: ServedModel) -> None:
        """What workers compute for a model: scores, scores with stored vectors, vectors in both roles."""
        if model.reranker is not None:
            scorer: Scorer = model.reranker.scorer
            self._lanes[f"score {name}"] = lanes.score_lane(scorer, getattr(scorer, "tokens", None))
            self._lanes[f"search {name}"] = self._lanes[f"score {name}"]
            store = self._index.store_for(model.reranker) if self._index else None
            if store is not None:
                self._lanes[f"search {name}"] = lanes.score_lane(scorer.with_store(store), None)  # type: ignore[attr-defined]
        if model.embedder is not None:
            self._lanes[f"query {name}"] = lanes.embed_lane(model.embedder, "query")
            self._lanes[f"document {name}"] = lanes.embed_lane(model.embedder, "document")

    def models(self) -> Sequence[ModelInfo]:
        """The models served, the default one first."""
        return [m.info for m in self._models.values()]

    async def rerank(self, request: RerankRequest) -> RerankAnswer:
        """Order the documents; see Service."""
        began, until = time.perf_counter(), self._until(request.deadline_ms)
        model = self._find(request.model, scores=True)
        self._check(request.query, [d.text for d in request.documents])
        ranking = Ranking.unscored(_query(request.query), request.documents)
        note(documents=len(ranking))
        job = _Job.of(ranking, None, request.truncate_to, until, request.may_shrink)

        async def run(name: str) -> Ranking:
            if not job.may_shrink:
                self.queue.check(job.costs)  # before anything is looked at in vain
            chosen = self._models[name].reranker
            foreign = await asyncio.to_thread(chosen.misfit, ranking) if chosen is not None else ""
            if chosen is not None and foreign and not chosen.named:
                return ranking.noting(foreign)
            return (await self._ranked(name, f"score {name}", job)).noting(foreign)

        ranked, stage = await self._governed(model.info.name, request.on_error, ranking, "input", run)
        return self._answer(ranked.top(request.top_k), model.info.name, stage, began)

    async def search(self, request: SearchRequest) -> RerankAnswer:
        """Search the index and order what was found; see Service."""
        began, until = time.perf_counter(), self._until(request.deadline_ms)
        if self._index is None:
            raise InputError("this server has no index; start it with --index DIR")
        model = self._find(request.model, scores=True)
        assert model.reranker is not None
        self._check(request.query, [])
        pool = max(request.depth, request.top_k)
        if pool > (most := self._settings.max_documents):
            raise TooLarge(f"{pool} candidates are asked for; {most} are allowed in one request")
        self.queue.check([1])  # before anything is looked for in vain
        found = await asyncio.to_thread(self._index.retriever.retrieve, [_query(request.query)], pool)
        first = found[0].trace.reason
        ranking = found[0]
        note(documents=len(ranking))
        bare = replace(ranking, trace=replace(ranking.trace, reason=""))
        job = _Job.of(bare, request.depth, None, until, request.may_shrink)

        async def run(name: str) -> Ranking:
            chosen = self._models[name].reranker
            foreign = await asyncio.to_thread(chosen.misfit, ranking) if chosen is not None else ""
            if chosen is not None and foreign and not chosen.named:
                return ranking.noting(foreign)
            ranked = (await self._ranked(name, f"search {name}", job)).noting(first).noting(foreign)
            if request.blend is False or chosen is None:
                return ranked
            weight = chosen.contract.blend_weight if request.blend is True else request.blend
            return Blend(chosen.scorer.name, weight).run([ranked])[0]

        ranked, stage = await self._governed(model.info.name, request.on_error, ranking, "index", run)
        return self._answer(ranked.top(request.top_k), model.info.name, stage, began)

    async def score(self, model: str, pairs: Sequence[tuple[str, str]]) -> Scores:
        """Score (query, document) pairs, in their order; see Service."""
        found = self._find(model, scores=True)
        name, kind = found.info.name, found.info.kind
        assert kind is not None
        self._count([d for _, d in pairs])
        for query in {q for q, _ in pairs}:
            self._check(query, [])
            _query(query)
        note(documents=len(pairs), model=name)
        items = [lanes.PairItem((Query(q), Candidate(Document(str(i), d)))) for i, (q, d) in enumerate(pairs)]

        async def run(chosen: str) -> Scores:
            outcomes = await self._outcomes(f"score {chosen}", items, [tokens_of(q) + tokens_of(d) for q, d in pairs])
            scores = lanes.as_scores(outcomes, kind, chosen)
            self.metrics.scored(chosen, scores.lengths)
            return scores

        attempted = await attempt([name], self._breakers, run, "raise")
        assert attempted.answer is not None
        note(tokens=attempted.answer.tokens)
        return attempted.answer

    async def embed(self, model: str, texts: Sequence[str], role: Role) -> FloatArray:
        """Return (n, dims) vectors of length 1; see Service."""
        import numpy as np

        found = self._find(model, scores=False)
        name = found.info.name
        assert found.embedder is not None
        self._count(texts)
        note(documents=len(texts), model=name)
        if not texts:
            return np.zeros((0, found.embedder.dims), np.float32)

        async def run(chosen: str) -> FloatArray:
            outcomes = await self._outcomes(f"{role} {chosen}", list(texts), [tokens_of(t) for t in texts])
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
            if model.reranker is not None:
                await asyncio.to_thread(self._lanes[f"score {name}"], _samples(model.info.max_tokens))
            if model.embedder is not None:
                await asyncio.to_thread(self._lanes[f"document {name}"], ["a lamp"])
        default = next((n for n, m in self._models.items() if m.reranker is not None), None)
        if default is not None:
            items = _lamps(96, 24)
            costs = [_cost(item) for item in items]
            began = time.perf_counter()
            lanes.raise_if_all_failed(await self._outcomes(f"score {default}", items, costs))
            self.queue.drain.assume(sum(costs) / (time.perf_counter() - began))
        self.ready = True

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
        if attempted.answer is None:
            return replace(ranking, trace=replace(ranking.trace, reason=attempted.reason)), stage
        ranked = attempted.answer
        self.metrics.ranked(stage, ranked)
        if attempted.reason:
            said = "; ".join(r for r in (attempted.reason, ranked.trace.reason) if r)
            ranked = replace(ranked, trace=replace(ranked.trace, reason=said))
        return ranked, stage if ranked.trace.reranked else first

    async def _ranked(self, name: str, lane: str, job: _Job) -> Ranking:
        """Score a ranking with one lane of a model, as far as time and room allow."""
        began = time.perf_counter()
        kind = self._models[name].info.kind
        assert kind is not None
        outcomes = await self._outcomes(lane, job.items, job.costs, job.until, job.may_shrink)
        scores = lanes.as_scores(outcomes, kind, name)
        self.metrics.scored(name, scores.lengths)
        ranked = Pointwise(_Known(name, scores)).run([job.ranking], Budget(depth=len(job.items)))[0]
        step = replace(ranked.trace.steps[-1], ms=(time.perf_counter() - began) * 1e3)
        trace = replace(
            ranked.trace, steps=(*ranked.trace.steps[:-1], step), reason=_partly(scores) or ranked.trace.reason
        )
        return replace(ranked, trace=trace)

    async def _outcomes(
        self,
        lane: str,
        items: Sequence[Any],
        costs: Sequence[int],
        until: float | None = None,
        may_shrink: bool = False,
    ) -> list[Any]:
        """Queue items and wait for what comes of them until the time is up; a flag's name stands for each that is left.

        Raises:
            Overloaded: no room in the queue.
            InputError: the items can't be computed, through no fault of the model.
            ModelFailed: every item that was computed failed.

        """
        if not items:
            return []
        fitting = max(1, self.queue.fitting(costs)) if may_shrink else len(items)
        work = Work(lane, items[:fitting], costs[:fitting], until)
        self.workers.submit(work)
        try:
            async with asyncio.timeout(None if until is None else max(0.0, until - time.monotonic())):
                await work.finished.wait()
        except TimeoutError:
            pass  # what is done by now is the answer
        finally:
            self.queue.drop(work)
        done = ["deadline" if o is None else o for o in work.outcomes]
        lanes.raise_if_all_failed(done)
        return done + ["overload"] * (len(items) - fitting)

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


def _cost(item: lanes.PairItem) -> int:
    query, candidate = item.pair
    document = tokens_of(candidate.document.text) + (tokens_of(t) if (t := candidate.document.title) else 0)
    return tokens_of(query.text) + (document if item.truncate_to is None else min(document, item.truncate_to))


def _partly(scores: Scores) -> str:
    """Why some documents have no score, where time, room or the model was the reason; else empty."""
    scored = sum(v is not None for v in scores.values)
    missing = {flag for flags in scores.flags for flag in flags} & {"deadline", "overload", "failed"}
    return f"{', '.join(sorted(missing))}: scored {scored}/{len(scores)}" if missing else ""


def _samples(longest: int) -> list[lanes.PairItem]:
    """Pairs of lengths from a few tokens to over `longest`, filling a few batches."""
    lengths = [words for words in (4, 16, 48, 96, 192, 384) if words <= max(longest, 16)]
    return [item for words in lengths for item in _lamps(words, max(2, 512 // words))]


def _lamps(words: int, count: int) -> list[lanes.PairItem]:
    """Pairs whose documents have so many words, no two alike."""
    query = Query("what does a keeper do with a lamp")
    texts = [" ".join(f"lamp {i + j}" for j in range(words // 2)) for i in range(count)]
    return lanes.pair_items(query, [Candidate(Document(str(i), text)) for i, text in enumerate(texts)])
