"""Measures how fast a reranker is on this machine, on texts as long as the user's: what `resift bench` prints."""

from __future__ import annotations

import platform
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from resift.engine.batching import Engine
from resift.engine.native.maxsim_library import kernel
from resift.engine.openvino import fastest_float, has_int8
from resift.engine.roofline import product_rate, shapes_of
from resift.errors import InputError
from resift.inspection.agreement import Agreement, agreement, finite
from resift.inspection.observed_engine import BatchCount
from resift.loading import load
from resift.machine import cores, processor
from resift.protocols import RunsOn
from resift.reranker import Reranker
from resift.score.options import EngineOption, Precision
from resift.score.precision import PICK_TAU, PICK_TOP10
from resift.types import Candidate, Document, Flag, Query

DEPTHS = (10, 20, 50, 100, 200)
_PAIRS = 1000  # that are scored in one call to measure throughput
_WORDS = "search model query document passage order first stage keyword answer question lamp bread ferry".split()
_MOST = 100  # requests whose order is compared between precisions, and documents of each request

Requests = Sequence[tuple[Query, Sequence[Document]]]


@dataclass(frozen=True, slots=True)
class Workload:
    """Queries and documents whose lengths stand for the user's; any query may be scored with any document."""

    queries: tuple[str, ...]
    documents: tuple[Document, ...]
    source: str

    @classmethod
    def made_up(cls, lengths: Sequence[int] = ()) -> Workload:
        """Documents of these lengths in words; by default lognormal: median 90, and a sixth of them over 160."""
        rng = random.Random(0)
        lognormal = (min(460, max(8, round(rng.lognormvariate(4.5, 0.6)))) for _ in range(_PAIRS))
        words = [lengths[i % len(lengths)] for i in range(_PAIRS)] if lengths else list(lognormal)
        documents = tuple(Document(str(i), " ".join(rng.choices(_WORDS, k=n))) for i, n in enumerate(words))
        queries = tuple(f"which {' '.join(rng.choices(_WORDS, k=6))}" for _ in range(50))
        return cls(queries, documents, f"words per document: {', '.join(map(str, lengths)) or 'lognormal, median 90'}")

    @classmethod
    def of_requests(cls, requests: Requests, source: str) -> Workload:
        """The queries and documents of rerank requests."""
        return cls(
            tuple(query.text for query, _ in requests),
            tuple(document for _, documents in requests for document in documents),
            source,
        )


@dataclass(frozen=True, slots=True)
class AtDepth:
    """Milliseconds of a request of `depth` documents: median, 95th and 99th percentile of `runs` runs."""

    depth: int
    runs: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    tokens: float


@dataclass(frozen=True, slots=True)
class Speed:
    """The result of a measurement. Shares are 0..1; None stands for what this machine or model does not let us measure.

    Attributes:
        padding: the share of padding among all slots of the batches.
        truncated: the share of pairs of which the end was not read; windowed: of those that were read in windows.
        base_ms: with ms_per_1000_tokens, the straight line through the times of the requests.
        recommended_depth: the largest depth whose p95 is within the budget, interpolated between measured depths; 0
            where none is.
        products_gflops: the rate of bare matrix products of the model's shapes.
        share_of_products: the model's rate as a share of that one.

    """

    model: str
    precision: str
    workload: str
    pairs: int
    seconds: float
    pairs_per_second: float
    tokens_per_second: float
    padding: float
    truncated: float
    windowed: float
    depths: tuple[AtDepth, ...]
    base_ms: float
    ms_per_1000_tokens: float
    budget_ms: float
    recommended_depth: int
    peak_mib: float | None
    products_gflops: float | None
    share_of_products: float | None
    machine: dict[str, str | int]


def measure(
    reranker: Reranker,
    workload: Workload,
    budget_ms: float = 100.0,
    depths: Sequence[int] = DEPTHS,
    seconds_per_depth: float = 3.0,
) -> Speed:
    """Measure a reranker: many pairs in one call, then single requests of each depth, then bare matrix products.

    Raises:
        InputError: the model runs on no engine of Resift's.

    """
    if not isinstance(reranker.scorer, RunsOn):
        raise InputError(f"{reranker.info.name} runs on no engine of Resift's, whose batches could be counted")
    count = BatchCount()
    counted = Reranker(reranker.scorer.with_engine(count.wrap))
    assert count.engine is not None
    rng = random.Random(1)
    pairs = [(Query(rng.choice(workload.queries)), Candidate(d)) for d in _some(rng, workload.documents, _PAIRS)]
    counted.scorer.score(pairs)  # compiles
    count.clear()
    began = time.perf_counter()
    scores = counted.scorer.score(pairs)
    seconds = time.perf_counter() - began
    lengths, slots = count.lengths, count.slots
    runs = [_at_depth(counted, count, workload, depth, seconds_per_depth, rng) for depth in depths]
    base, slope = _line([sample for _, samples in runs for sample in samples])
    at_depths = tuple(at_depth for at_depth, _ in runs)
    rate, share = _share_of_products(count.engine, lengths, seconds)
    return Speed(
        model=reranker.info.name,
        precision=count.engine.precision,
        workload=workload.source,
        pairs=len(pairs),
        seconds=seconds,
        pairs_per_second=len(pairs) / seconds,
        tokens_per_second=sum(lengths) / seconds,
        padding=1 - sum(lengths) / max(1, slots),
        truncated=sum(bool({Flag.TRUNCATED, Flag.QUERY_TRUNCATED} & f) for f in scores.flags) / len(pairs),
        windowed=sum(Flag.WINDOWED in f for f in scores.flags) / len(pairs),
        depths=at_depths,
        base_ms=base,
        ms_per_1000_tokens=slope * 1e3,
        budget_ms=budget_ms,
        recommended_depth=recommended(at_depths, budget_ms),
        peak_mib=_peak(),
        products_gflops=rate,
        share_of_products=share,
        machine=_machine(),
    )


@dataclass(frozen=True, slots=True)
class PrecisionTrial:
    """One precision of a model: its speed, and how well it keeps the order of f32, see `Agreement`."""

    precision: str
    pairs_per_second: float
    agreement: Agreement

    @property
    def good(self) -> bool:
        """Whether it keeps the order well enough to be picked."""
        return self.agreement.tau >= PICK_TAU and self.agreement.top10 >= PICK_TOP10


def compare_precisions(name: str, requests: Requests, rounds: int = 3) -> list[PrecisionTrial]:
    """Try every precision that this CPU has on the first hundred requests and documents of each; f32 comes first.

    Precisions take turns, and the median of the rounds counts. Requests of one document are left out: they have no
    order.

    Raises:
        InputError: no request has two documents, or the model leaves one of them unscored.
        BrokenModel: the model does not run by OpenVINO.

    """
    compared = [(query, documents[:_MOST]) for query, documents in requests if len(documents) > 1][:_MOST]
    if not compared:
        raise InputError("no request has two documents, so that there is no order to keep")
    pairs = [(query, Candidate(document)) for query, documents in compared for document in documents]
    cuts = np.cumsum([len(documents) for _, documents in compared])[:-1]
    available: list[tuple[Precision, bool]] = [
        ("f32", True), ("bf16", fastest_float() == "bf16"), ("int8", has_int8()),
    ]  # fmt: skip
    names = [precision for precision, here in available if here]
    engine: EngineOption = "native" if load(name).info.runs_on.startswith("native") else "openvino"
    scorers = {p: load(name, precision=p, engine="openvino" if p == "f32" else engine).scorer for p in names}
    rows = {p: np.split(finite(scorer, pairs), cuts) for p, scorer in scorers.items()}  # compiles, too
    seconds: dict[str, list[float]] = {p: [] for p in names}
    for _ in range(rounds):
        for p, scorer in scorers.items():
            began = time.perf_counter()
            scorer.score(pairs)
            seconds[p].append(time.perf_counter() - began)
    rates = {p: len(pairs) / float(np.median(s)) for p, s in seconds.items()}
    return [PrecisionTrial(p, rates[p], agreement(rows["f32"], rows[p])) for p in names]


def _at_depth(
    reranker: Reranker, count: BatchCount, workload: Workload, depth: int, seconds: float, rng: random.Random
) -> tuple[AtDepth, list[tuple[int, float]]]:
    """The times of one depth, and (tokens, ms) of each of its 5 to 100 requests."""
    samples: list[tuple[int, float]] = []
    until = time.perf_counter() + seconds
    while len(samples) < 5 or (len(samples) < 100 and time.perf_counter() < until):
        query = rng.choice(workload.queries)
        documents = [replace(d, id=str(i)) for i, d in enumerate(_some(rng, workload.documents, depth))]
        count.clear()
        began = time.perf_counter()
        reranker.rerank(query, documents)
        samples.append((sum(count.lengths), (time.perf_counter() - began) * 1e3))
    p50, p95, p99 = (float(np.percentile([ms for _, ms in samples], p)) for p in (50, 95, 99))
    tokens = float(np.mean([t for t, _ in samples]))
    return AtDepth(depth, len(samples), p50, p95, p99, tokens), samples


def _some(rng: random.Random, documents: Sequence[Document], count: int) -> list[Document]:
    """Draw `count` documents, each once; where there are too few, numbered copies: equal ones would be scored once."""
    if count <= len(documents):
        return rng.sample(documents, count)
    return [replace(d, text=f"{d.text} {i}") for i, d in enumerate(rng.choices(documents, k=count))]


def _line(samples: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """The base and the slope of ms = base + slope x tokens, by least squares."""
    tokens, ms = np.array(samples, dtype=np.float64).T
    if np.ptp(tokens) == 0:
        return float(ms.mean()), 0.0
    slope, base = np.polyfit(tokens, ms, 1)
    return float(base), float(slope)


def recommended(depths: Sequence[AtDepth], budget_ms: float) -> int:
    """The largest depth whose p95 is within the budget, at most the largest that was measured; 0 when none is."""
    best = 0
    for before, after in zip((None, *depths), depths, strict=False):
        if after.p95_ms <= budget_ms:
            best = after.depth
        elif before and before.p95_ms <= budget_ms:
            share = (budget_ms - before.p95_ms) / (after.p95_ms - before.p95_ms)
            return int(before.depth + share * (after.depth - before.depth))
        else:
            return best
    return best


def _share_of_products(engine: Engine, lengths: Sequence[int], seconds: float) -> tuple[float | None, float | None]:
    """GFLOP/s of bare products of the model's shapes, and the model's share of it; None where there are no shapes."""
    shapes = shapes_of(engine)
    if shapes is None:
        return None, None
    rate = product_rate(shapes, engine.precision)
    return rate / 1e9, shapes.flops(lengths) / seconds / rate


def _peak() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 2**20 if platform.system() == "Darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _machine() -> dict[str, str | int]:
    compiled = kernel()
    return {
        "cpu": processor(), "cores": cores(), "system": platform.platform(),
        "python": platform.python_version(), "maxsim": compiled.name if compiled else "NumPy",
    }  # fmt: skip
