"""What was published of a checkpoint: scores of known pairs, and results in benchmarks, each with its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

Scale = Literal["logit", "probability"]


@dataclass(frozen=True, slots=True)
class PublishedScore:
    """The score that somebody published of a pair.

    Attributes:
        score: on its `scale`: the model's logit, or the logistic function of it.
        tolerance: how far another implementation may be from it, on the same scale.
        precision: of the computation that gave it.
        source: where it stands.

    """

    query: str
    document: str
    score: float
    scale: Scale
    tolerance: float
    precision: str
    source: str


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A measurement of several models; its figures are comparable with one another and with no others.

    Attributes:
        language: ISO 639-1; "multi" where it is a mean over languages other than English.
        measure: as `nDCG@10`.
        on: queries, candidates.
        source: where it stands.

    """

    id: str
    language: str
    measure: str
    on: str
    source: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A model's result in a benchmark, a share of 1."""

    benchmark: Benchmark
    value: float


def benchmarks(entries: Sequence[Mapping[str, str]]) -> dict[str, Benchmark]:
    """The benchmarks of a table, by id.

    Raises:
        TypeError: an entry is missing or unknown.

    """
    return {entry["id"]: Benchmark(**entry) for entry in entries}


def figures(values: Mapping[str, float], known: Mapping[str, Benchmark]) -> tuple[Figure, ...]:
    """A row's results.

    Raises:
        KeyError: a benchmark that the table does not describe.
        ValueError: a value beyond 0 to 1.

    """
    if wrong := [name for name, value in values.items() if not 0 <= value <= 1]:
        raise ValueError(f"{wrong[0]} of {values[wrong[0]]} is no share")
    return tuple(Figure(known[name], value) for name, value in values.items())


def published_scores(golden: Mapping[str, Any], texts: Mapping[str, Mapping[str, Any]]) -> tuple[PublishedScore, ...]:
    """A row's published scores, one for each document of the texts that it names.

    Raises:
        KeyError: an entry is missing, or the texts are not in the table.
        ValueError: a scale that there is not, or not one score for each document.

    """
    if golden["scale"] not in get_args(Scale):
        raise ValueError(f"scale is one of {', '.join(get_args(Scale))}; not {golden['scale']!r}")
    query, documents = texts[golden["texts"]]["query"], texts[golden["texts"]]["documents"]
    facts = [golden[name] for name in ("scale", "tolerance", "precision", "source")]
    pairs = zip(documents, golden["scores"], strict=True)
    return tuple(PublishedScore(query, document, score, *facts) for document, score in pairs)
