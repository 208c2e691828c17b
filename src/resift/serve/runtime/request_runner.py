"""Runs requests: implements Service over the loaded models, one queue and its workers."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resift.api import Index
from resift.errors import InputError, ModelFailed, TooLarge, UnknownModel
from resift.machine import cores
from resift.pipeline import boosts, without_models
from resift.protocols import Ask, Role, Scorer
from resift.rerank.drive import drive
from resift.serve.http.logs import add_facts, error_facts, event
from resift.serve.runtime import jobs
from resift.serve.runtime.failover import CircuitBreaker, ask_in_turn
from resift.serve.runtime.language_choice import LanguageChoice, ModelChoice
from resift.serve.runtime.metrics import Metrics
from resift.serve.runtime.queue_driver import UNLIMITED_REQUEST, QueueDriver, RequestLimits, cost_of
from resift.serve.runtime.search_plan import search_plan
from resift.serve.runtime.served_models import ServedModel
from resift.serve.runtime.token_queue import Operation, QueueSlice, Throughput, TokenQueue, tokens_of
from resift.serve.runtime.workers import WorkerLimits, Workers
from resift.serve.service import OnError, RerankAnswer, RerankRequest, SearchRequest, ServedInfo
from resift.serve.settings import DEFAULTS, Settings
from resift.types import Candidate, Document, Note, NoteCode, Pair, Query, Ranking, Scores

if TYPE_CHECKING:
    from resift.protocols import FloatArray

_FIRST_GUESS = 1_000.0  # tokens a second, until it is measured: low, so that a deadline cuts small slices
_ANSWER_SECONDS = 0.005  # of a deadline that are kept for putting the answer together


@dataclass(frozen=True, slots=True)
class _Operations:
    """What the workers do with one model's items; kept as long as the server, so that all requests share them.

    Attributes:
        judge: scores documents of a request; None where the model is an embedder or a custom stage.
        stored: scores passages of the index, with stored token vectors where there are any.
        scoring: the operations of these two.
        embedding: those of an embedder, by role.

    """

    judge: Scorer | None
    stored: Scorer | None
    scoring: tuple[Operation, ...]
    embedding: dict[Role, Operation]


class RequestRunner:
    """Runs requests: see Service. Nothing starts before the first request, or `warm`."""

    def __init__(
        self, models: Sequence[ServedModel], settings: Settings = DEFAULTS, index: Index | None = None
    ) -> None:
        self.metrics, self._settings, self._index = Metrics(), settings, index
        self._models = {model.info.name: model.with_shared_engine(self.metrics) for model in models}
        if unknown := [name for name in settings.fallback if name not in self._models]:
            raise InputError(f"the fallback {unknown[0]} is not served; there is {', '.join(self._models)}")
        self._breakers = {
            name: CircuitBreaker(settings.breaker_failures, settings.breaker_rest_s) for name in self._models
        }
        self.queue = TokenQueue(settings.queue_tokens, settings.queue_seconds, Throughput(_FIRST_GUESS))
        self.workers = Workers(self.queue, WorkerLimits(cores(), settings.stall_s), self)
        self.driver = QueueDriver(self.queue, self.workers, self.metrics, settings.stall_s)
        self._operations = {name: self._operations_of(name, model) for name, model in self._models.items()}
        self._by_language = LanguageChoice([model for model in self._models.values() if model.by_language], index)
        self._plan = None if index is None else search_plan(settings.pipeline, index, self._models)
        self.metrics.watch_queue(self.queue)
        self.ready = False

    def _operations_of(self, name: str, model: ServedModel) -> _Operations:
        embedding: dict[Role, Operation] = {}
        if model.embedder is not None:
            embedding["query"] = Operation(f"query {name}", jobs.embed_texts(model.embedder, "query"))
            embedding["document"] = Operation(f"document {name}", jobs.embed_texts(model.embedder, "document"))
        if model.reranker is None:
            return _Operations(None, None, (), embedding)
        judge = model.reranker.judge
        stored = model.reranker.with_store(self._index.store_for(model.reranker) if self._index else None)
        scoring = (self.driver.operation(f"score {name}", judge), self.driver.operation(f"search {name}", stored))
        return _Operations(judge, stored, scoring, embedding)

    def models(self) -> Sequence[ServedInfo]:
        """The models served, the default one first."""
        return [model.info for model in self._models.values()]

    async def rerank(self, request: RerankRequest) -> RerankAnswer:
        """Order the documents; see Service."""
        began, deadline = time.perf_counter(), self._deadline(request.deadline_ms)
        model = self._find(request.model, scores=True)
        self._check(request.query, [document.text for document in request.documents])
        ranking = Ranking.unscored(_query(request.query), request.documents)
        add_facts(documents=len(ranking))
        limits = RequestLimits(deadline, request.truncate_to, request.may_shrink)
        costs = [cost_of((ranking.query, candidate), request.truncate_to) for candidate in ranking]
        custom = model.custom_stage is not None  # only the stage knows how many pairs it asks for
        if not request.may_shrink:
            self.queue.check([1] if custom else costs)  # a request that can't be let in costs no work
        choice = await self._choice(model, request.model, ranking, of_index=False)
        if choice.model is None:
            return self._answer(choice.ranking.top(request.top_k), model.info.name, "input", began)

        async def run(name: str) -> Ranking:
            served, guard = self._models[name], not (choice.by_language and name == choice.model)
            stage = served.stage(self._operations[name].judge, False, None, request.min_relevance, guard)
            quick = served.custom_stage is None
            return await self.driver.drive(stage, choice.ranking, limits, name, quick=quick)

        ranked, stage = await self._ranked(choice.model, request.on_error, choice.ranking, "input", run)
        return self._answer(ranked.top(request.top_k), choice.model, stage, began)

    async def search(self, request: SearchRequest) -> RerankAnswer:
        """Search the index and order what was found; see Service."""
        began, deadline = time.perf_counter(), self._deadline(request.deadline_ms)
        if self._plan is None:
            raise InputError("this server has no index; start it with --index DIR")
        plan = self._plan
        model = self._find(request.model, scores=True)
        self._check(request.query, [])
        pool = max(request.depth, request.top_k)
        if pool > (most := self._settings.max_documents):
            raise TooLarge(f"{pool} candidates are asked for; {most} are allowed in one request")
        self.queue.check([1])  # a request that can't be let in costs no search
        (ranking,) = await asyncio.to_thread(plan.retriever.retrieve, [_query(request.query)], pool)
        add_facts(documents=len(ranking))
        limits = RequestLimits(deadline, None, request.may_shrink)
        choice = await self._choice(model, request.model, ranking, of_index=True)
        if choice.model is None:
            return self._answer(self._boosted(choice.ranking).top(request.top_k), model.info.name, "index", began)

        async def run(name: str) -> Ranking:
            served, guard = self._models[name], not (choice.by_language and name == choice.model)
            scorer = self._operations[name].stored
            rule = os.path.expanduser(self._settings.when)
            boost, behind = self._settings.boost, plan.behind_of(name, request.blend)
            stage = served.stage(
                scorer, request.blend, request.depth, request.min_relevance, guard, rule, boost, behind
            )
            return await self.driver.drive(stage, choice.ranking, limits, name, quick=served.custom_stage is None)

        ranked, stage = await self._ranked(choice.model, request.on_error, choice.ranking, "index", run, self._boosted)
        return self._answer(ranked.top(request.top_k), choice.model, stage, began)

    def _boosted(self, ranking: Ranking) -> Ranking:
        """What of a search no model ordered, with the boosts of the settings."""
        return drive(without_models(boosts(self._settings.boost)), [ranking])[0]

    async def _choice(self, model: ServedModel, requested: str, ranking: Ranking, of_index: bool) -> ModelChoice:
        """The model of a request: what it names, or where the language decides the one that reads the texts."""
        if not model.by_language or requested == model.info.name:
            return ModelChoice(model.info.name, ranking)
        return await asyncio.to_thread(self._by_language, ranking, of_index)

    async def score(self, model: str, pairs: Sequence[tuple[str, str]]) -> Scores:
        """Score (query, document) pairs, in their order; see Service."""
        served = self._find(model, scores=True)
        name = served.info.name
        if served.by_language and model != name:
            name = await asyncio.to_thread(self._by_language.of_pairs, pairs)
        judge = self._operations[name].judge
        if judge is None:
            raise InputError(f"{name} orders lists and has no score for a pair; ask for a ranking")
        self._check_documents([document for _, document in pairs])
        for query in {query for query, _ in pairs}:
            self._check(query, [])
            _query(query)
        add_facts(documents=len(pairs), model=name)
        ask = Ask(judge, tuple((Query(q), Candidate(Document(str(i), d))) for i, (q, d) in enumerate(pairs)))

        async def run(name: str) -> Scores:
            return await self.driver.answer(ask, UNLIMITED_REQUEST, name)

        scores = (await ask_in_turn([name], self._breakers, run, "raise")).answer
        assert scores is not None
        add_facts(tokens=scores.tokens)
        return scores if served.reranker is None else served.reranker.converted(scores)

    async def embed(self, model: str, texts: Sequence[str], role: Role) -> FloatArray:
        """Return (n, dims) vectors of length 1; see Service."""
        import numpy as np

        served = self._find(model, scores=False)
        name = served.info.name
        assert served.embedder is not None
        self._check_documents(texts)
        add_facts(documents=len(texts), model=name)
        if not texts:
            return np.zeros((0, served.embedder.dims), np.float32)

        async def run(name: str) -> FloatArray:
            operation, costs = self._operations[name].embedding[role], [tokens_of(text) for text in texts]
            outcomes = await self.driver.compute(operation, list(texts), costs)
            if errors := [outcome for outcome in outcomes if isinstance(outcome, Exception)]:
                raise ModelFailed(f"{len(errors)} of {len(outcomes)} texts can't be embedded") from errors[0]
            return np.stack(outcomes)

        vectors = (await ask_in_turn([name], self._breakers, run, "raise")).answer
        assert vectors is not None
        return vectors

    def slice_done(self, slice_: QueueSlice, seconds: float, errors: Sequence[Exception], hung: bool) -> None:
        """Count a slice, and log what failed in it."""
        self.metrics.slice_done(slice_, seconds, errors, hung)
        if errors and not isinstance(errors[0], InputError):
            event("slice failed", logging.ERROR, lane=slice_.operation.name, items=len(slice_.parts),
                  failed=len(errors), hung=hung, **error_facts(errors[0]))  # fmt: skip

    async def warm(self) -> None:
        """Run every model on the shapes that will come, and measure how many tokens a second the workers compute.

        Rerankers run without their caches: a pair that was scored before would warm nothing and take no time.

        Raises:
            ModelError: a model can't be used after all.

        """
        for model in self._models.values():
            if model.reranker is not None:
                await asyncio.to_thread(model.reranker.scorer.score, _samples(model.info.max_tokens))
            if model.embedder is not None:
                await asyncio.to_thread(model.embedder.embed, ["a lamp"], "document")
            if model.custom_stage is not None:
                query, documents = _lamps(16, 8)[0][0], [candidate.document for _, candidate in _lamps(16, 8)]
                ranking = Ranking.unscored(query, documents)
                await self.driver.drive(model.custom_stage, ranking, UNLIMITED_REQUEST, model.info.name)
        default = next((model for model in self._models.values() if model.reranker is not None), None)
        if default is not None and default.reranker is not None:
            await self._measure(default.info.name, default.reranker.scorer)
        self.ready = True

    async def _measure(self, name: str, scorer: Scorer) -> None:
        """Tell the queue how many tokens a second a model computes."""
        pairs, began = _lamps(96, 24), time.perf_counter()
        await self.driver.answer(Ask(scorer, tuple(pairs)), UNLIMITED_REQUEST, name)
        self.queue.throughput.reset(sum(cost_of(pair, None) for pair in pairs) / (time.perf_counter() - began))

    async def _ranked(
        self,
        name: str,
        on_error: OnError | None,
        ranking: Ranking,
        first: str,
        run: Callable[[str], Awaitable[Ranking]],
        otherwise: Callable[[Ranking], Ranking] = lambda ranking: ranking,
    ) -> tuple[Ranking, str]:
        """The ranking and the name of the model that made it.

        Where none could, what `otherwise` makes of the first order, with the reason.
        """
        chain = [name, *(other for other in self._settings.fallback if other != name)]
        answered = await ask_in_turn(chain, self._breakers, run, on_error or self._settings.on_error)
        stage = answered.model or first
        if stage != name:
            self.metrics.fallbacks.labels(name, stage).inc()
        failures = [Note(NoteCode.FAILED, reason) for reason in answered.reasons]
        if answered.answer is None:
            return otherwise(ranking.noting(*failures)), stage
        ranked = answered.answer.noting(*failures)
        self.metrics.ranked(stage, ranked)
        return ranked, stage if ranked.trace.reranked else first

    def _answer(self, ranking: Ranking, model: str, stage: str, began: float) -> RerankAnswer:
        tokens = sum(step.tokens for step in ranking.trace.steps)
        ms = (time.perf_counter() - began) * 1e3
        add_facts(model=model, stage=stage, tokens=tokens, reranked=ranking.trace.reranked, reason=ranking.trace.reason)
        return RerankAnswer(ranking, model, stage, tokens, ms)

    def _deadline(self, deadline_ms: float | None) -> float | None:
        """When to stop computing, on the monotonic clock."""
        ms = self._settings.deadline_ms if deadline_ms is None else deadline_ms
        return time.monotonic() + max(0.0, ms / 1e3 - _ANSWER_SECONDS) if ms else None

    def _check(self, query: str, documents: Sequence[str]) -> None:
        """Refuse what is too large before anything is done with it."""
        limits = self._settings
        if len(query) > limits.max_query_chars:
            raise TooLarge(f"the query has {len(query)} characters; {limits.max_query_chars} are allowed")
        self._check_documents(documents)

    def _check_documents(self, documents: Sequence[str]) -> None:
        limits = self._settings
        if len(documents) > limits.max_documents:
            raise TooLarge(f"there are {len(documents)} documents; {limits.max_documents} are allowed in one request")
        for i, text in enumerate(documents):
            if len(text) > limits.max_document_chars:
                raise TooLarge(
                    f"document {i} has {len(text)} characters; {limits.max_document_chars} are allowed in one document"
                )

    def _find(self, name: str, *, scores: bool) -> ServedModel:
        """The model of that name; the first that can do the job for the empty name, or when only one can.

        Models among which the language decides count as one, the first of them.
        """
        able = [model for model in self._models.values() if (model.reranks if scores else model.embedder is not None)]
        if name in self._models and self._models[name] in able:
            return self._models[name]
        if able and (not name or sum(not model.by_language for model in able) + any(m.by_language for m in able) == 1):
            return able[0]
        task = "reranks" if scores else "embeds"
        names = ", ".join(model.info.name for model in able) or "none"
        raise UnknownModel(f"no model {name!r} that {task} is served; there is: {names}")


def _query(text: str) -> Query:
    if not text.strip():
        raise InputError("the query is empty; ask with at least one word")
    return Query(text)


def _samples(longest: int) -> list[Pair]:
    """Pairs of lengths from a few tokens to over `longest`, filling a few batches."""
    lengths = [words for words in (4, 16, 48, 96, 192, 384) if words <= max(longest, 16)]
    return [pair for words in lengths for pair in _lamps(words, max(2, 512 // words))]


def _lamps(words: int, count: int) -> list[Pair]:
    """Pairs whose documents have so many words, no two alike."""
    query = Query("what does a keeper do with a lamp")
    texts = [" ".join(f"lamp {i + j}" for j in range(words // 2)) for i in range(count)]
    return [(query, Candidate(Document(str(i), text))) for i, text in enumerate(texts)]
