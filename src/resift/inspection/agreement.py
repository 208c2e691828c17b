"""Do two ways of running one model put documents in the same order? Measured on a small set of probes.

The probes, `probes.json`, are twelve questions per language, each with a passage that answers it and one that does not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from resift.errors import NonFiniteScore
from resift.measures import kendall_tau, overlap
from resift.models.contract import Contract
from resift.protocols import Scorer
from resift.types import Candidate, Document, Flag, Pair, Query

QueryScores = npt.NDArray[np.float64]  # of one query's documents

# The bar for rounded weights and for low precision: mean over queries.
LEAST_TAU, LEAST_TOP10 = 0.95, 0.9
_QUESTIONS = 6  # each with every passage: a large model takes half a minute for these 144 pairs on two cores


@dataclass(frozen=True, slots=True)
class Probe:
    """A question, a passage that answers it, and one that is about something else."""

    query: str
    relevant: str
    irrelevant: str


@cache
def probes() -> Mapping[str, tuple[Probe, ...]]:
    """Probes by language."""
    texts = json.loads(Path(__file__).with_name("probes.json").read_text("utf-8"))
    return {language: tuple(Probe(*triple) for triple in triples) for language, triples in texts.items()}


def languages_of(contract: Contract) -> list[str]:
    """The languages of the probes that a model says it reads; all of them when it names none."""
    return [code for code in probes() if code in contract.languages] or ([] if contract.languages else list(probes()))


@dataclass(frozen=True, slots=True)
class Agreement:
    """How similar two sets of scores are.

    Attributes:
        tau: Kendall's tau-b per query, averaged; 1 is the same order.
        top10: the share of the reference's ten best per query that are among the other's ten best, averaged.
        max_delta: the largest difference of two scores of one pair.
        pairs: how many were compared.

    """

    tau: float
    top10: float
    max_delta: float
    pairs: int

    @property
    def good(self) -> bool:
        """Whether it meets the bar for the order."""
        return self.tau >= LEAST_TAU and self.top10 >= LEAST_TOP10


def probe_pairs(language: str) -> list[Pair]:
    """The first six questions of a language, each with all 24 passages, question by question."""
    language_probes = probes()[language]
    passages = [p for probe in language_probes for p in (probe.relevant, probe.irrelevant)]
    return [pair(probe.query, text) for probe in language_probes[:_QUESTIONS] for text in passages]


def pair(query: str, text: str) -> Pair:
    """A query and a bare text as a pair."""
    return Query(query), Candidate(Document("", text))


def grid(scorer: Scorer, language: str) -> npt.NDArray[np.float64]:
    """Scores (6, 24) of `probe_pairs`.

    Raises:
        NonFiniteScore: the model gave NaN or infinity.

    """
    return finite(scorer, probe_pairs(language)).reshape(_QUESTIONS, -1)


def finite(scorer: Scorer, pairs: Sequence[Pair]) -> npt.NDArray[np.float64]:
    """Scores of pairs, none of them missing.

    Raises:
        NonFiniteScore: the model gave NaN or infinity, be it that the pair has no score or was scored again at f32.

    """
    scores = scorer.score(pairs)
    if failures := sum(v is None or Flag.RESCORED in f for v, f in zip(scores.values, scores.flags, strict=True)):
        raise NonFiniteScore(f"{scorer.info.name} gave {failures} of {len(scores)} pairs no number")
    return np.array(scores.values, dtype=np.float64)


def agreement(reference: Sequence[QueryScores] | QueryScores, other: Sequence[QueryScores] | QueryScores) -> Agreement:
    """Compare two arrays of scores (queries, documents), or the rows of such, which may differ in length."""
    rows = list(zip(reference, other, strict=True))
    taus = [kendall_tau(a, b) for a, b in rows]
    shares = [overlap(_order(a), _order(b), 10) for a, b in rows]
    delta = max(float(np.abs(a - b).max()) for a, b in rows)
    return Agreement(float(np.mean(taus)), float(np.mean(shares)), delta, sum(len(a) for a, _ in rows))


def _order(scores: QueryScores) -> list[int]:
    order: list[int] = np.argsort(-scores, kind="stable").tolist()
    return order
