"""Rankings and statistics that tests of features share."""

import math
from typing import Any

from resift.features import FeatureSet, Statistics
from resift.features.feature import Feature
from resift.features.table import TABLE
from resift.types import Candidate, Document, Query, Ranking, Score, ScoreKind, Signal

# Eight documents; "ferry" is in three of them, "harbour" in two, all other words in one.
COLLECTION = [
    Document(str(i), text)
    for i, text in enumerate(
        ("ferry harbour", "ferry harbour", "ferry", "lamp", "bread", "stone", "letter", "garden"),
    )
]
STATISTICS = Statistics.of(COLLECTION)
NOW = 1_700_000_000.0


def signal(source: str, rank: int, score: float | None = None, kind: ScoreKind = ScoreKind.BM25) -> Signal:
    return Signal(source, rank, None if score is None else Score(score, kind, source))


def candidate(text: str = "", title: str = "", signals: tuple[Signal, ...] = (), **metadata: Any) -> Candidate:
    return Candidate(Document(f"{title}|{text}", text, title, metadata), None, signals)


def ranking(query: str, *candidates: Candidate | str) -> Ranking:
    return Ranking(Query(query), tuple(candidate(c) if isinstance(c, str) else c for c in candidates))


def column(name: str, of: Ranking, statistics: Statistics = STATISTICS, **parameters: Any) -> list[float | None]:
    """The values of one feature, None where one is missing."""
    feature = Feature.of(TABLE[name], parameters)
    values = FeatureSet((feature,)).matrix(of, statistics, NOW).values[:, 0]
    return [None if math.isnan(value) else round(float(value), 5) for value in values]
