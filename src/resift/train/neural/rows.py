"""From queries with candidates to the rows of a loss; what is left out or comes twice is counted and named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from resift.errors import InputError
from resift.score.pairs import READ, whole_text
from resift.text.clean import clean
from resift.train.examples import Labelled, TrainingQuery
from resift.train.neural.losses import Form, Loss, Values


@dataclass(slots=True)
class TrainingRows:
    """Columns of equal length, what was left out of them, and how many pairs a row has on average."""

    columns: dict[str, list[Any]]
    pairs: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self.columns["query"])

    @property
    def pairs_per_row(self) -> float:
        """Pairs of query and document in a row, on average."""
        return self.pairs / max(1, self.count)


def query_text(query: TrainingQuery) -> str:
    """The query's text as a scorer reads it: its instruction first."""
    instruction = query.prompt or query.query.instruction
    return clean((f"{instruction} {query.query.text}" if instruction else query.query.text)[:READ])


def rows_of(
    loss: Loss,
    queries: Sequence[TrainingQuery],
    list_size: int = 8,
    negatives: int = 4,
    weighted: bool = False,
    teacher_scale: float = 1.0,
) -> TrainingRows:
    """The rows of a loss.

    Args:
        loss: whose form and values they have.
        queries: with their candidates.
        list_size: the most documents of a list; positives are repeated where the negatives fill several lists.
        negatives: of a tuple at most.
        weighted: whether values go with the weights of their candidates.
        teacher_scale: what a teacher's scores are multiplied by, in tuples.

    Raises:
        InputError: nothing is left.

    """
    if loss.form is Form.PAIR:
        rows = _pairs(loss, queries, weighted)
    elif loss.form is Form.LIST:
        rows = _lists(loss, queries, list_size)
    else:
        rows = _tuples(loss, queries, negatives, teacher_scale)
    if not rows.count:
        raise InputError(f"nothing is left to train {loss.name} on: {named(rows.left_out)}")
    return rows


def named(left_out: Counter[str]) -> str:
    """What was left out, in words."""
    return ", ".join(f"{count} {what}" for what, count in left_out.items()) or "nothing left out"


def _value(loss: Loss, candidate: Labelled) -> float | None:
    return candidate.teacher if loss.values is Values.TEACHER else candidate.label


def _readable(queries: Sequence[TrainingQuery], left_out: Counter[str]) -> list[tuple[str, list[tuple[str, Labelled]]]]:
    """Texts of queries and of their candidates, as a model reads them, without the empty ones."""
    readable = []
    for query in queries:
        texts = [(whole_text(c.document), c) for c in query.candidates]
        candidates = [(text, c) for text, c in texts if text.strip()]
        left_out["candidates without text"] += len(texts) - len(candidates)
        readable.append((query_text(query), candidates))
    return readable


def _pairs(loss: Loss, queries: Sequence[TrainingQuery], weighted: bool) -> TrainingRows:
    left_out: Counter[str] = Counter()
    columns: dict[str, list[Any]] = {"query": [], "document": [], "label": []}
    for query, candidates in _readable(queries, left_out):
        for text, candidate in candidates:
            value = _value(loss, candidate)
            if value is None:
                left_out[_missing(loss)] += 1
                continue
            whole = int(value) if loss.outputs > 1 else float(value)
            columns["query"].append(query)
            columns["document"].append(text)
            columns["label"].append([float(value), candidate.weight] if weighted else whole)
    return TrainingRows(columns, len(columns["query"]), +left_out)


def _missing(loss: Loss) -> str:
    return "candidates without a teacher's score" if loss.values is Values.TEACHER else "candidates without a label"


def _lists(loss: Loss, queries: Sequence[TrainingQuery], size: int) -> TrainingRows:
    left_out: Counter[str] = Counter()
    rows = TrainingRows({"query": [], "documents": [], "label": []}, 0, left_out)
    for query, candidates in _readable(queries, left_out):
        scored = [(text, c, value) for text, c in candidates if (value := _value(loss, c)) is not None]
        left_out[_missing(loss)] += len(candidates) - len(scored)
        if len({value for _, _, value in scored}) < 2:
            left_out["queries whose candidates are all alike"] += 1
            continue
        for part in _parts(scored, size):
            values = [[value, c.weight] if loss.weighted else value for _, c, value in part]
            rows.columns["query"].append(query)
            rows.columns["documents"].append([text for text, _, _ in part])
            rows.columns["label"].append(values)
            rows.pairs += len(part)
    rows.left_out = +left_out
    return rows


_Scored = tuple[str, Labelled, float]


def _parts(scored: list[_Scored], size: int) -> list[list[_Scored]]:
    """Lists of at most `size`, each with candidates above the lowest value and with some of those that have it."""
    if len(scored) <= size:
        return [scored]
    lowest = min(value for _, _, value in scored)
    low, high = [c for c in scored if c[2] == lowest], [c for c in scored if c[2] > lowest]
    upper = max(1, min(len(high), size // 2, size - 1), size - len(low))
    upper = min(upper, len(high), size - 1)
    lower = min(size - upper, len(low))
    count = max(-(-len(high) // upper), -(-len(low) // lower))
    return [_cycled(high, i * upper, upper) + _cycled(low, i * lower, lower) for i in range(count)]


def _cycled(items: list[Any], start: int, count: int) -> list[Any]:
    """So many distinct neighbours from a place on, the first after the last."""
    return [items[(start + i) % len(items)] for i in range(min(count, len(items)))]


def _tuples(loss: Loss, queries: Sequence[TrainingQuery], most: int, teacher_scale: float) -> TrainingRows:
    """Rows of a positive and equally many negatives, which are taken in turn, so that each is used."""
    left_out: Counter[str] = Counter()
    teacher = loss.form is Form.SCORED_TUPLE
    sides: list[tuple[str, list[tuple[str, Labelled]], list[tuple[str, Labelled]]]] = []
    for query, candidates in _readable(queries, left_out):
        usable = [(t, c) for t, c in candidates if c.label is not None and (c.teacher is not None or not teacher)]
        left_out["candidates without a label or the teacher's score"] += len(candidates) - len(usable)
        positives = [(t, c) for t, c in usable if (c.label or 0) > 0]
        sides.append((query, positives, [(t, c) for t, c in usable if (c.label or 0) <= 0]))
    mined = any(lower for _, upper, lower in sides if upper)
    number = min(most, max((len(lower) for _, upper, lower in sides if upper), default=0))
    names = [f"negative_{i}" for i in range(1, number + 1)]
    columns: dict[str, list[Any]] = {name: [] for name in ("query", "positive", *names)}
    if teacher:
        columns["label"] = []
    for query, positives, negatives in sides:
        if not positives or (mined and not negatives):
            left_out["queries without a positive" if not positives else "queries without a negative"] += 1
            continue
        for i in range(max(len(positives), -(-len(negatives) // max(1, number)))):
            positive = positives[i % len(positives)]
            others = [negatives[(i * number + j) % len(negatives)] for j in range(number)]
            for name, value in zip(columns, [query, positive[0], *(text for text, _ in others)], strict=False):
                columns[name].append(value)
            if teacher:
                scores = [c.teacher for _, c in (positive, *others) if c.teacher is not None]
                columns["label"].append([teacher_scale * score for score in scores])
    return TrainingRows(columns, len(columns["query"]) * (1 + number), +left_out)
