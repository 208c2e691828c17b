"""How fast a reranker is here, on the user's own lengths: what `resift bench` prints."""

from __future__ import annotations

import platform
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from resift.api import load
from resift.engine.batching import Batch, Engine, FloatArray
from resift.engine.native.maxsim_library import kernel
from resift.engine.native.native_engine import NativeEngine
from resift.engine.openvino import OpenVINOEngine, fastest_float, has_int8
from resift.engine.roofline import product_rate, shapes_of
from resift.errors import InputError
from resift.inspection.agreement import Agreement, agreement, finite
from resift.machine import cores, processor
from resift.protocols import RunsOn
from resift.reranker import Reranker
from resift.score.options import EngineOption, Precision
from resift.score.precision import PICK_TAU, PICK_TOP10
from resift.types import Candidate, Document, Flag, Query

DEPTHS = (10, 20, 50, 100, 200)
_PAIRS = 1000  # of the bulk measurement
_WORDS = "search model query document passage order first stage keyword answer question lamp bread ferry".split()


Requests = Sequence[tuple[Query, Sequence[Document]]]
_ORDERS = 100  # requests whose order is compared between precisions, and documents of each


@dataclass(frozen=True, slots=True)
class Workload:
    """Queries and documents whose lengths stand for the user's; every pair of them may be scored."""

    queries: tuple[str, ...]
    documents: tuple[Document, ...]
    source: str

    @classmethod
    def drawn(cls, lengths: Sequence[int] = ()) -> Workload:
        """Made-up passages of these lengths in words; by default lognormal: median 90, a sixth of them over 160."""
        rng = random.Random(0)
        lognormal = (min(460, max(8, round(rng.lognormvariate(4.5, 0.6)))) for _ in range(_PAIRS))
        drawn = [lengths[i % len(lengths)] for i in range(_PAIRS)] if lengths else list(lognormal)
        documents = tuple(Document(str(i), " ".join(rng.choices(_WORDS, k=n))) for i, n in enumerate(drawn))
        queries = tuple(f"which {' '.join(rng.choices(_WORDS, k=6))}" for _ in range(50))
        return cls(queries, documents, f"words per document: {', '.join(map(str, lengths)) or 'lognormal, median 90'}")

    @classmethod
    def taken(cls, requests: Requests, source: str) -> Workload:
        """The queries and documents of rerank requests."""
        return cls(tuple(q.text for q, _ in requests), tuple(d for _, own in requests for d in own), source)


@dataclass(frozen=True, slots=True)
class AtDepth:
    """Milliseconds of one request of `depth` documents: of `runs` runs the median, 95 % and 99 %."""

    depth: int
    runs: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    tokens: float


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured. Shares are of 1; None is what could not be measured on this machine or with this model.

    padding: share of the tokens that are padding. truncated, windowed: shares of the pairs. base_ms and
    ms_per_1000_tokens: the line through the requests' times. recommended_depth: the largest whose p95 is within the
    budget, between measured depths by a straight line; 0 when none is. share_of_products: the model's FLOP/s of the
    machine's own on the same products.
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


class Watched:
    """An engine that keeps count of what it is given."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.name, self.precision = engine, engine.name, engine.precision
        self.pads, self.characters = engine.pads, engine.characters
        self.lengths: list[int] = []
        self.slots = 0

    def run(self, batches: Sequence[Batch]) -> Iterator[tuple[Batch, tuple[FloatArray, ...]]]:
        """Run the batches and count their tokens and slots."""
        for batch, outputs in self.engine.run(batches):
            self.lengths += batch.mask.sum(axis=1).tolist()
            self.slots += batch.ids.size if self.pads else sum(batch.lengths)
            yield batch, outputs

    def forget(self) -> None:
        """Start to count anew."""
        self.lengths, self.slots = [], 0


def measure(
    reranker: Reranker,
    workload: Workload,
    budget_ms: float = 100.0,
    depths: Sequence[int] = DEPTHS,
    seconds_per_depth: float = 3.0,
) -> Speed:
    """Measure a reranker: many pairs at once, then single requests of each depth, then bare matrix products."""
    engines: list[Watched] = []

    def watch(engine: Engine) -> Engine:
        engines.append(Watched(engine))
        return engines[-1]

    if not isinstance(reranker.scorer, RunsOn):
        raise InputError(f"{reranker.info.name} runs on no engine of Resift's, whose batches could be counted")
    watched = Reranker(reranker.scorer.with_engine(watch))
    (engine,) = engines
    rng = random.Random(1)
    pairs = [(Query(rng.choice(workload.queries)), Candidate(d)) for d in _some(rng, workload.documents, _PAIRS)]
    watched.scorer.score(pairs)  # compiles
    engine.forget()
    began = time.perf_counter()
    scores = watched.scorer.score(pairs)
    seconds = time.perf_counter() - began
    lengths, slots = engine.lengths, engine.slots
    found = [_at_depth(watched, engine, workload, depth, seconds_per_depth, rng) for depth in depths]
    base, slope = _line([s for _, own in found for s in own])
    at_depths = tuple(a for a, _ in found)
    rate, share = _share(engine.engine, lengths, seconds)
    return Speed(
        model=reranker.info.name,
        precision=getattr(engine.engine, "precision", ""),
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
class Tried:
    """One precision of a model: its speed, and how well it keeps the order that f32 gives, see `Agreement`."""

    precision: str
    pairs_per_second: float
    agreement: Agreement

    @property
    def good(self) -> bool:
        """Whether it keeps the order well enough to be picked."""
        return self.agreement.tau >= PICK_TAU and self.agreement.top10 >= PICK_TOP10


def precisions(name: str, requests: Requests, rounds: int = 3) -> list[Tried]:
    """Every precision that this CPU has, over the first hundred requests and documents of each; f32 comes first.

    Precisions take turns, and the median of the rounds counts. Requests of one document have no order.

    Raises:
        InputError: no request has two documents, or the model leaves one of them unscored.
        BrokenModel: the model does not run by OpenVINO.

    """
    given = [(q, own[:_ORDERS]) for q, own in requests if len(own) > 1][:_ORDERS]
    if not given:
        raise InputError("no request has two documents, so that there is no order to keep")
    pairs = [(q, Candidate(d)) for q, own in given for d in own]
    cuts = np.cumsum([len(own) for _, own in given])[:-1]
    here: list[tuple[Precision, bool]] = [("f32", True), ("bf16", fastest_float() == "bf16"), ("int8", has_int8())]
    names = [p for p, there in here if there]
    own: EngineOption = "native" if load(name).info.runs_on.startswith("native") else "openvino"
    scorers = {p: load(name, precision=p, engine="openvino" if p == "f32" else own).scorer for p in names}
    rows = {p: np.split(finite(scorer, pairs), cuts) for p, scorer in scorers.items()}  # compiles, too
    seconds: dict[str, list[float]] = {p: [] for p in names}
    for _ in range(rounds):
        for p, scorer in scorers.items():
            began = time.perf_counter()
            scorer.score(pairs)
            seconds[p].append(time.perf_counter() - began)
    rates = {p: len(pairs) / float(np.median(s)) for p, s in seconds.items()}
    return [Tried(p, rates[p], agreement(rows["f32"], rows[p])) for p in names]


def _at_depth(
    reranker: Reranker, engine: Watched, workload: Workload, depth: int, seconds: float, rng: random.Random
) -> tuple[AtDepth, list[tuple[int, float]]]:
    """The request's times, and (tokens, ms) of each: at least 5 runs, at most 100."""
    samples: list[tuple[int, float]] = []
    until = time.perf_counter() + seconds
    while len(samples) < 5 or (len(samples) < 100 and time.perf_counter() < until):
        query = rng.choice(workload.queries)
        documents = [replace(d, id=str(i)) for i, d in enumerate(_some(rng, workload.documents, depth))]
        engine.forget()
        began = time.perf_counter()
        reranker.rerank(query, documents)
        samples.append((sum(engine.lengths), (time.perf_counter() - began) * 1e3))
    p50, p95, p99 = (float(np.percentile([ms for _, ms in samples], p)) for p in (50, 95, 99))
    tokens = float(np.mean([t for t, _ in samples]))
    return AtDepth(depth, len(samples), p50, p95, p99, tokens), samples


def _some(rng: random.Random, documents: Sequence[Document], count: int) -> list[Document]:
    """So many documents, each once; where there are too few, numbered copies, since equal ones are scored once."""
    if count <= len(documents):
        return rng.sample(documents, count)
    return [replace(d, text=f"{d.text} {i}") for i, d in enumerate(rng.choices(documents, k=count))]


def _line(samples: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """Least squares: ms = a + b x tokens."""
    tokens, ms = np.array(samples, dtype=np.float64).T
    if np.ptp(tokens) == 0:
        return float(ms.mean()), 0.0
    slope, base = np.polyfit(tokens, ms, 1)
    return float(base), float(slope)


def recommended(depths: Sequence[AtDepth], budget_ms: float) -> int:
    """The largest depth whose p95 is within the budget, never more than was measured; 0 when none is."""
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


def _share(engine: Engine, lengths: Sequence[int], seconds: float) -> tuple[float | None, float | None]:
    """GFLOP/s of bare products of the model's shapes, and the model's share of it."""
    if not isinstance(engine, (NativeEngine, OpenVINOEngine)):
        return None, None
    shapes = shapes_of(engine)
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
