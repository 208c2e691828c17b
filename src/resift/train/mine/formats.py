"""Mined examples as lines of JSONL, in the forms that other tools read too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from resift.score.pairs import whole_text
from resift.train.choices import Format
from resift.train.examples import Labelled, TrainingQuery


def lines(queries: Iterable[TrainingQuery], form: Format, scores: bool = False) -> Iterator[bytes]:
    """Lines of JSON, one object each.

    Args:
        queries: each with a positive and a negative.
        form: of a line.
        scores: the teacher's scores too: "scores" has them in the order of the documents, positives first; in
            FlagEmbedding's form they are pos_scores and neg_scores.

    """
    for query in queries:
        positives = [c for c in query.candidates if (c.label or 0) > 0]
        negatives = [c for c in query.candidates if (c.label or 0) <= 0]
        head: dict[str, Any] = {"query": query.query.text}
        if query.prompt:
            head["prompt"] = query.prompt
        for rest in _ROWS[form](positives, negatives, scores):
            yield json.dumps(head | rest, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _triplets(positives: list[Labelled], negatives: list[Labelled], scores: bool) -> Iterator[dict[str, Any]]:
    for positive in positives:
        for negative in negatives:
            row = {"positive": _text(positive), "negative": _text(negative)}
            yield row | _scored("scores", [positive, negative], scores)


def _tuples(positives: list[Labelled], negatives: list[Labelled], scores: bool) -> Iterator[dict[str, Any]]:
    for positive in positives:
        row = {"positive": _text(positive)} | {f"negative_{i}": _text(n) for i, n in enumerate(negatives, 1)}
        yield row | _scored("scores", [positive, *negatives], scores)


def _pairs(positives: list[Labelled], negatives: list[Labelled], scores: bool) -> Iterator[dict[str, Any]]:
    for candidate in (*positives, *negatives):
        row = {"document": _text(candidate), "label": _number(candidate.label)}
        yield row | ({"teacher": candidate.teacher} if scores else {})


def _lists(positives: list[Labelled], negatives: list[Labelled], scores: bool) -> Iterator[dict[str, Any]]:
    candidates = [*positives, *negatives]
    row = {"documents": [_text(c) for c in candidates], "labels": [_number(c.label) for c in candidates]}
    yield row | _scored("scores", candidates, scores)


def _flag_embedding(positives: list[Labelled], negatives: list[Labelled], scores: bool) -> Iterator[dict[str, Any]]:
    row = {"pos": [_text(c) for c in positives], "neg": [_text(c) for c in negatives]}
    yield row | _scored("pos_scores", positives, scores) | _scored("neg_scores", negatives, scores)


_ROWS = {
    Format.TRIPLET: _triplets,
    Format.N_TUPLE: _tuples,
    Format.LABELED_PAIR: _pairs,
    Format.LABELED_LIST: _lists,
    Format.FLAG_EMBEDDING: _flag_embedding,
}


def _scored(name: str, candidates: list[Labelled], scores: bool) -> dict[str, Any]:
    return {name: [c.teacher for c in candidates]} if scores else {}


def _text(candidate: Labelled) -> str:
    return whole_text(candidate.document)


def _number(label: float | None) -> float | int | None:
    """A whole number without a decimal point, as other tools expect grades."""
    return int(label) if label is not None and label.is_integer() else label
