"""Which fields of metadata are features, and what can't be one."""

from datetime import date
from typing import Any

import pytest

from resift.errors import InputError
from resift.features import Field, FieldKind, detect_fields
from resift.types import Document


def documents(field: str, *values: Any) -> list[Document]:
    return [Document(f"d{i}", "text", "", {field: value}) for i, value in enumerate(values)]


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("price", (1, 2.5, None, ""), FieldKind.NUMBER),
        ("price", ("1", "2.5", 3), FieldKind.NUMBER),  # every text is a number: a table has texts alone
        ("stock", (True, False), FieldKind.NUMBER),
        ("created_at", (1_700_000_000, 1_600_000_000.5), FieldKind.DATE),
        ("created_at", (1_700_000_000_000,), FieldKind.DATE),
        ("views", (1_700_000_000, 1_600_000_000), FieldKind.NUMBER),  # its name is not that of a date
        ("created_at", (7, 1_600_000_000), FieldKind.NUMBER),
        ("day", ("2024-05-01", "2024-05-01T10:00:00Z", "2024-05-01 10:00:00+02:00"), FieldKind.DATE),
        ("day", (date(2024, 5, 1), "2024-05-02"), FieldKind.DATE),
    ],
)
def test_kinds(name: str, values: tuple[Any, ...], kind: FieldKind) -> None:
    assert detect_fields(documents(name, *values)).fields == (Field(name, kind),)


def test_categories_come_in_order_of_their_frequency() -> None:
    sample = documents("brand", *["Blue", "red", "red", "RED", "blue", "green", "green"])
    assert detect_fields(sample).fields == (Field("brand", FieldKind.CATEGORY, ("red", "blue", "green")),)


REFUSED = [
    (("a", "b", "c"), "it has 3 different texts in 3 documents, too many for categories"),
    ((1, 2, "n/a"), "it is a number or date in 'd0' (1) and a text in 'd2' ('n/a'); write it the same way in every "
     "document"),
    ((["a"],), "it is a list in 'd0'; features read texts, numbers and dates"),
    (({"a": 1},), "it is a dict in 'd0'; features read texts, numbers and dates"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "reason"), REFUSED)
def test_what_is_no_feature_is_left_out_with_its_reason(values: tuple[Any, ...], reason: str) -> None:
    sample = documents("odd", *values)
    detected = detect_fields(sample)
    assert (detected.fields, detected.left_out) == ((), {"odd": reason})
    with pytest.raises(InputError) as error:
        detect_fields(sample, ["odd"])
    assert str(error.value) == f"the field 'odd' can't be a feature: {reason}"


def test_a_named_field_that_nobody_has() -> None:
    with pytest.raises(InputError, match="the field 'prise' can't be a feature: no document has it"):
        detect_fields(documents("price", 1), ["prise"])


def test_only_named_fields_are_looked_at() -> None:
    sample = [Document("a", "", "", {"price": 1, "odd": [1]})]
    assert detect_fields(sample, ["price"]).fields == (Field("price", FieldKind.NUMBER),)


def test_the_place_of_a_passage_is_no_feature() -> None:
    sample = [Document("a", "", "", {"path": "a.md", "line": 3, "start": 0, "end": 9, "price": 1})]
    detected = detect_fields(sample)
    assert ([field.name for field in detected.fields], detected.left_out) == (["price"], {})
