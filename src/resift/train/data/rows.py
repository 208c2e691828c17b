"""One row of data as labelled pairs, by the shape that the columns mean."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from resift import files
from resift.errors import InputError
from resift.files.records import identified
from resift.train.data.columns import Columns
from resift.train.data.labels import LabelReader, number_of
from resift.train.examples import Shape
from resift.types import Document

_GRADES = ("grade", "label", "relevance", "rel", "rating", "score")  # of a document that is an object
_LARGEST_WEIGHT = 100.0  # of one click: a click at the last places would else outweigh all others

Row = Mapping[str, Any]


class Pair(NamedTuple):
    """A query and a document of a row, as the row has them.

    Attributes:
        query, query_id, prompt: of the query; the id may be empty.
        document: its id is empty where the data have none.
        label, teacher, weight: see `Labelled`.
        assumed: nobody stated the label; it follows from the column in which the document stands.
        where: the place of the row, for messages.

    """

    query: str
    query_id: str
    prompt: str
    document: Document
    label: float | None
    teacher: float | None
    weight: float
    assumed: bool
    where: str


class RowReader:
    """Reads rows of one shape.

    Args:
        columns: of the table.
        labels: reads the labels.
        propensity_power: of clicks; see `ReadOptions`.

    Attributes:
        margins: how many rows have a difference of two teacher scores instead of scores.
        clipped: how many clicks had a weight over 100.

    """

    def __init__(self, columns: Columns, labels: LabelReader, propensity_power: float) -> None:
        self.columns, self.labels, self._power = columns, labels, propensity_power
        self.margins = self.clipped = 0
        self._read = {
            Shape.PAIRS: self._pair,
            Shape.LISTS: self._list,
            Shape.TUPLES: self._tuple,
            Shape.FLAG_EMBEDDING: self._tuple,
            Shape.CLICKS: self._click,
        }[columns.shape]

    def pairs(self, row: Row, where: str) -> Iterator[Pair]:
        """The pairs of a row.

        Raises:
            InputError: a value of another type than its column should have, or lists that don't fit.

        """
        query, query_id = self._query(row, where)
        prompt = str(self._value(row, "prompt") or "")
        for document, label, teacher, weight, assumed in self._read(row, where):
            yield Pair(query, query_id, prompt, document, label, teacher, weight, assumed, where)

    def _value(self, row: Row, role: str) -> Any:  # noqa: ANN401 - whatever the row holds
        name = self.columns.of.get(role)
        return None if name is None else row.get(name)

    def _query(self, row: Row, where: str) -> tuple[str, str]:
        value = self._value(row, "query")
        id_ = self._value(row, "query_id")
        if isinstance(value, Mapping):
            id_ = identified(value, where)[1] if id_ is None else id_
            value = value.get("text")
        if value is not None and not isinstance(value, (str, int, float)):
            raise InputError(f"{where}: the query is of type {type(value).__name__}; give a text")
        return ("" if value is None else str(value)), ("" if id_ is None else str(id_))

    def _pair(self, row: Row, where: str) -> Iterator[tuple[Document, float | None, float | None, float, bool]]:
        role = "positive" if "positive" in self.columns.of else "document"
        value = self._value(row, role)
        teacher = number_of(self._value(row, "teacher"), "teacher score", where)
        weight = number_of(self._value(row, "weight"), "weight", where)
        if weight is not None and weight <= 0:
            raise InputError(f"{where}: the weight {weight:g} is not over 0; leave the row out instead")
        stated = "label" in self.columns.of
        label = self.labels.read(self._value(row, "label"), where) if stated else None
        if not stated and "teacher" not in self.columns.of:
            label = 1.0  # a pair without anything else is one that belongs together
        for entry in (_listed(value) or [None]) if role == "positive" else [value]:
            yield self._document(row, entry, where), label, teacher, weight or 1.0, not stated

    def _list(self, row: Row, where: str) -> Iterator[tuple[Document, float | None, float | None, float, bool]]:
        entries = _listed(self._value(row, "documents"))
        labels = self._beside(row, "label", len(entries), where)
        teachers = self._beside(row, "teacher", len(entries), where)
        for entry, label, teacher in zip(entries, labels, teachers, strict=True):
            if isinstance(entry, Mapping) and label is None:
                grade = next((name for name in _GRADES if name in entry), None)
                label = entry.get(grade) if grade else None
                entry = {name: part for name, part in entry.items() if name != grade}
            value = self.labels.read(label, where)
            yield _document(entry, where), value, number_of(teacher, "teacher score", where), 1.0, False

    def _beside(self, row: Row, role: str, count: int, where: str) -> Sequence[Any]:
        """The values of a list that has one for each document."""
        if role not in self.columns.of:
            return [None] * count
        values = _listed(self._value(row, role))
        if len(values) != count:
            raise InputError(f"{where}: {len(values)} values in {self.columns.of[role]!r} for {count} documents")
        return values

    def _tuple(self, row: Row, where: str) -> Iterator[tuple[Document, float | None, float | None, float, bool]]:
        positives = _listed(self._value(row, "positive")) or [
            None
        ]  # an empty one is counted, a negative may be missing
        negatives = [entry for name in self.columns.negatives for entry in _listed(row.get(name))]
        of_positives, of_negatives = self._teachers(row, len(positives), len(negatives), where)
        for entry, teacher in zip(positives, of_positives, strict=True):
            yield _document(entry, where), 1.0, teacher, 1.0, True
        for entry, teacher in zip(negatives, of_negatives, strict=True):
            yield _document(entry, where), 0.0, teacher, 1.0, True

    def _teachers(
        self, row: Row, positives: int, negatives: int, where: str
    ) -> tuple[Sequence[float | None], Sequence[float | None]]:
        """Teacher scores of positives and negatives; of a margin m the positive has 0 and the negative -m."""
        if {"pos_scores", "neg_scores"} & self.columns.of.keys():
            of_positives = self._beside(row, "pos_scores", positives, where)
            of_negatives = self._beside(row, "neg_scores", negatives, where)
            return ([number_of(v, "teacher score", where) for v in of_positives],
                    [number_of(v, "teacher score", where) for v in of_negatives])  # fmt: skip
        role = "teacher" if "teacher" in self.columns.of else "label"
        numbers = [number_of(v, "teacher score", where) for v in _listed(self._value(row, role))]
        if not numbers:
            return [None] * positives, [None] * negatives
        if len(numbers) == positives + negatives:
            return numbers[:positives], numbers[positives:]
        if len(numbers) == negatives and positives == 1:
            self.margins += 1
            return [0.0], [None if m is None else -m for m in numbers]
        raise InputError(
            f"{where}: {len(numbers)} scores in {self.columns.of[role]!r} for {positives} positives and {negatives} "
            "negatives; give one for each, or one margin for each negative of one positive"
        )

    def _click(self, row: Row, where: str) -> Iterator[tuple[Document, float | None, float | None, float, bool]]:
        click = self.labels.read(self._value(row, "click"), where)
        propensity = number_of(self._value(row, "propensity"), "propensity", where)
        if propensity is None:
            position = number_of(self._value(row, "position"), "position", where)
            if position is None or position < 1 or not position.is_integer():
                raise InputError(f"{where}: a position is a whole number from 1; not {self._value(row, 'position')!r}")
            propensity = position**-self._power
        if not 0 < propensity <= 1:
            raise InputError(f"{where}: a propensity is over 0 and at most 1; not {propensity:g}")
        weight = 1 / propensity
        if click and weight > _LARGEST_WEIGHT:
            self.clipped += 1
            weight = _LARGEST_WEIGHT
        yield self._document(row, self._value(row, "document"), where), float(bool(click)), None, weight, False

    def _document(self, row: Row, value: Any, where: str) -> Document:  # noqa: ANN401
        document = _document(value, where)
        id_, title = self._value(row, "document_id"), self._value(row, "title")
        return Document(document.id if id_ is None else str(id_), document.text, document.title or str(title or ""))


def _is_nothing(value: object) -> bool:
    """Whether a cell is empty: null, NaN (an empty cell of a data frame), or white space."""
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def _listed(value: Any) -> list[Any]:  # noqa: ANN401
    """A list, one value as a list of it, and nothing as an empty one; a text that is a JSON list is read as one."""
    if _is_nothing(value):
        return []
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            parsed = json.loads(value)
        except ValueError:
            return [value]
        return parsed if isinstance(parsed, list) else [value]
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _document(value: Any, where: str) -> Document:  # noqa: ANN401
    """A text or an object as a document; nothing is a document without a text, which is counted later."""
    if _is_nothing(value):
        return Document("", "")
    if isinstance(value, (int, float)):
        return Document("", str(value))
    try:
        return files.document(value, "")
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
