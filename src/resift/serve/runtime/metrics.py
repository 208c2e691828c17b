"""What Prometheus reads; one registry per server, so that two in a process don't mix."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean, pstdev

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from resift.engine.batching import Batch, Engine, FloatArray
from resift.machine import resident
from resift.serve.runtime.token_queue import QueueSlice, TokenQueue
from resift.types import Flag, Ranking

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_LENGTHS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 16384)
_DOCUMENTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10000)
_RECENT = 1000  # requests over which the share of unchanged orders is measured


class Metrics:
    """Counters, histograms and gauges, named resift_*."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.requests = Counter("resift_requests", "Answers by route and status.", ("route", "status"), registry=r)
        self.seconds = Histogram(
            "resift_request_seconds", "Arrival to answer.", ("route",), buckets=_SECONDS, registry=r
        )
        self.documents = Histogram(
            "resift_request_documents", "Documents per request.", ("model",), buckets=_DOCUMENTS, registry=r
        )
        self.tokens = Counter("resift_tokens", "Tokens that models read, padding left out.", ("model",), registry=r)
        self.padding = Counter("resift_padding_tokens", "Slots of batches filled with padding.", ("model",), registry=r)
        self.batch_rows = Histogram(
            "resift_batch_rows", "Inputs per model call.", ("model",), buckets=_DOCUMENTS, registry=r
        )
        self.batch_tokens = Histogram(
            "resift_batch_tokens", "Tokens per model call, padding left out.", ("model",), buckets=_LENGTHS, registry=r
        )
        self.slice_seconds = Histogram(
            "resift_slice_seconds", "Time of one slice of the queue.", ("lane",), buckets=_SECONDS, registry=r
        )
        self.truncated = Counter("resift_truncated_documents", "Documents that were cut.", ("model",), registry=r)
        self.lengths = Histogram("resift_pair_tokens", "Tokens per pair.", ("model",), buckets=_LENGTHS, registry=r)
        self.failed = Counter("resift_failed_documents", "Documents that could not be scored.", ("model",), registry=r)
        self.hung = Counter("resift_stalled_slices", "Slices that hung and were left behind.", ("lane",), registry=r)
        self.fallbacks = Counter(
            "resift_fallbacks", "Requests that their model could not answer.", ("model", "stage"), registry=r
        )
        self.partial = Counter("resift_partial_answers", "Answers not wholly scored.", ("reason",), registry=r)
        self.left = Counter("resift_clients_left", "Requests dropped because the client went away.", registry=r)
        self.spread = Histogram(
            "resift_score_spread", "Standard deviation of one request's scores.", ("model",),
            buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10), registry=r,
        )  # fmt: skip
        self._unchanged: deque[bool] = deque(maxlen=_RECENT)
        unchanged = Gauge(
            "resift_order_unchanged_ratio", f"Share of the last {_RECENT} reranked requests that kept their order.",
            registry=r,
        )  # fmt: skip
        unchanged.set_function(lambda: fmean(self._unchanged) if self._unchanged else 0.0)
        Gauge("resift_memory_bytes", "Resident memory.", registry=r).set_function(resident)

    def watch_queue(self, queue: TokenQueue) -> None:
        """Show a queue's state."""
        r = self.registry
        Gauge("resift_queue_tokens", "Tokens that wait.", registry=r).set_function(lambda: queue.tokens)
        Gauge("resift_queue_requests", "Requests that wait.", registry=r).set_function(lambda: len(queue))
        Gauge("resift_queue_capacity_tokens", "Tokens that may wait.", registry=r).set_function(lambda: queue.capacity)
        Gauge("resift_drain_tokens_per_second", "What the workers get through.", registry=r).set_function(
            lambda: queue.throughput.rate
        )

    def slice_done(self, slice_: QueueSlice, seconds: float, errors: Sequence[Exception], hung: bool) -> None:
        """Count a slice."""
        self.slice_seconds.labels(slice_.operation.name).observe(seconds)
        if hung:
            self.hung.labels(slice_.operation.name).inc()

    def scored(self, model: str, tokens: Iterable[int]) -> None:
        """Count the lengths of pairs; one without tokens was not read."""
        lengths = self.lengths.labels(model)
        for n in tokens:
            if n:
                lengths.observe(n)

    def ranked(self, model: str, ranking: Ranking) -> None:
        """Count the ranking of one request, before `top_k`."""
        self.documents.labels(model).observe(len(ranking))
        scored = [c for c in ranking if c.score]
        self.truncated.labels(model).inc(sum(Flag.TRUNCATED in c.flags for c in ranking))
        self.failed.labels(model).inc(sum(Flag.FAILED in c.flags for c in ranking))
        if ranking.trace.reranked and len(scored) > 1:
            self.spread.labels(model).observe(pstdev(c.score.value for c in scored if c.score))
            self._unchanged.append(all(c.rank == c.first_rank for c in ranking))
        for reason in (Flag.DEADLINE, Flag.OVERLOAD):
            if any(reason in c.flags for c in ranking):
                self.partial.labels(reason).inc()

    def exposition(self) -> tuple[bytes, str]:
        """The text that Prometheus scrapes, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


class CountedEngine:
    """An engine whose batches are counted."""

    def __init__(self, engine: Engine, metrics: Metrics, model: str) -> None:
        self._engine, self.name, self.precision = engine, engine.name, engine.precision
        self.pads, self.characters = engine.pads, engine.characters
        self._tokens, self._padding = metrics.tokens.labels(model), metrics.padding.labels(model)
        self._rows, self._lengths = metrics.batch_rows.labels(model), metrics.batch_tokens.labels(model)

    def run(self, batches: Sequence[Batch]) -> Iterator[tuple[Batch, tuple[FloatArray, ...]]]:
        """Yield each batch with its outputs."""
        for batch in batches:
            tokens = int(batch.mask.sum())
            self._tokens.inc(tokens)
            self._padding.inc(batch.mask.size - tokens if self.pads else 0)
            self._rows.observe(len(batch.rows))
            self._lengths.observe(tokens)
        yield from self._engine.run(batches)
