"""Feature sets: the file, its errors, the matrix and what it says is missing."""

import math
from pathlib import Path

import numpy as np
import pytest

from resift.errors import InputError, KindError
from resift.features import FeatureSet, Field, FieldKind, MissingCode, Statistics, constant_columns, signal_kinds
from resift.features.table import TABLE
from resift.types import Document, ScoreKind
from tests.features.candidates import NOW, STATISTICS, candidate, ranking, signal

FIELDS = (
    Field("price", FieldKind.NUMBER),
    Field("day", FieldKind.DATE),
    Field("kind", FieldKind.CATEGORY, ("red", 'a "b" \\ é')),
)
WHOLE = FeatureSet.default(["bm25", "resift-mini-en"], FIELDS)


def toml(rows: str, schema: int = 1) -> str:
    return f"schema = {schema}\n{rows}"


def row(name: str = "coverage", version: int = 1, parameters: str = "{}") -> str:
    return f'[[feature]]\nname = "{name}"\nversion = {version}\nparameters = {parameters}\n'


def test_a_file_gives_the_same_set_in_the_same_order(tmp_path: Path) -> None:
    path = tmp_path / "features.toml"
    path.write_text(WHOLE.to_toml(), "utf-8")
    assert FeatureSet.read(path) == WHOLE
    backwards = FeatureSet(WHOLE.features[::-1])
    assert FeatureSet.parse(backwards.to_toml()).names == WHOLE.names[::-1]


def test_a_default_set_has_the_whole_table() -> None:
    assert {feature.definition.name for feature in WHOLE.features} == set(TABLE)
    assert "score(bm25)" in WHOLE.names
    assert "lists(bm25+resift-mini-en)" in WHOLE.names
    assert not any(name.startswith("lists") for name in FeatureSet.default(["bm25"]).names)
    assert WHOLE.categorical == ("category(kind)",)
    assert set(WHOLE.within_query) >= {"rank(bm25)", "z(bm25)", "place(price)"}
    assert WHOLE.directions[WHOLE.names.index("coverage")] == 1
    assert WHOLE.directions[WHOLE.names.index("rank(bm25)")] == -1


def test_scores_of_another_kind_are_refused() -> None:
    logits = ranking("q", candidate("x", signals=(signal("m", 1, 2.0, ScoreKind.LOGIT), signal("run", 1))))
    features = FeatureSet.default(signal_kinds([logits]))
    assert signal_kinds([logits]) == {"m": (ScoreKind.LOGIT,), "run": ()}
    assert FeatureSet.parse(features.to_toml()) == features
    assert features.names[:2] == ("score(m)", "rank(m)") and features.sources == ("m", "run")
    assert features.matrix(logits, STATISTICS).values[0, 0] == 2.0
    probabilities = ranking("q", candidate("x", signals=(signal("m", 1, 0.9, ScoreKind.PROBABILITY),)))
    with pytest.raises(KindError, match="'m' were made of logit scores, and it gives probability scores here; serve"):
        features.matrix(probabilities, STATISTICS)
    assert FeatureSet.default(["m"]).matrix(probabilities, STATISTICS).values[0, 0] == np.float32(0.9)
    with pytest.raises(KindError, match="'m' gave logit and probability scores; one feature reads one kind"):
        FeatureSet.default(signal_kinds([logits, probabilities]))


def test_names_suit_the_libraries_of_trees() -> None:
    names = FeatureSet.default(['a b:c,"[{<']).names
    assert names[0] == "score(a_b_c_____)"


def test_a_parameter_that_is_not_the_default_shows_in_the_name() -> None:
    rows = row("recency", 1, '{field = "day"}') + row("recency", 1, '{field = "day", half_life_days = 7}')
    features = FeatureSet.parse(toml(rows))
    assert features.names == ("recency(day)", "recency(day;half_life_days=7)")
    assert FeatureSet.parse(features.to_toml()) == features


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema = ", "f.toml is not TOML"),
        (toml(row(), 2), "f.toml has the schema 2, and this Resift reads 1; train the model again"),
        (toml("a = 1"), "f.toml holds schema and [[feature]], nothing else"),
        (toml(row("covrage")), "f.toml: there is no feature 'covrage'; did you mean 'coverage'?"),
        (toml(row(version=9)), "f.toml has version 9 of the feature 'coverage', and this Resift computes version 1; "
         "train the model again, or use the Resift that it was trained with"),
        (toml("[[feature]]\nnom = 1"), "f.toml: a [[feature]] has name, version and parameters, nothing else"),
        (toml(row("score")), "feature 'score' needs the parameter 'source'"),
        (toml(row("score", 1, "{source = 1}")), "parameter 'source' of feature 'score' is a text; not 1"),
        (toml(row("coverage", 1, "{n = 1}")), "feature 'coverage' has no parameter 'n'; it has none"),
        (toml(row("ngrams", 1, "{n = 0}")), "parameter 'n' of feature 'ngrams' is a whole number from 1; not 0"),
        (toml(row("ngrams", 1, "{n = true}")), "parameter 'n' of feature 'ngrams' is a whole number from 1; not True"),
        (toml(row("recency", 1, '{field = "d", half_life_days = -1}')),
         "parameter 'half_life_days' of feature 'recency' is a number above 0; not -1.0"),
        (toml(row("asks", 1, '{form = "who"}')), "parameter 'form' of feature 'asks' is one of date, definition, "
         "number, person, place, reason, steps; not 'who'"),
        (toml(row("category", 1, '{field = "k", categories = ["a", "a"]}')),
         "parameter 'categories' of feature 'category' is a list of texts, each once; not ['a', 'a']"),
        (toml(row() + row()), "the feature coverage stands in the set twice"),
        (toml("feature = []"), "a feature set needs a feature"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        FeatureSet.parse(text, "f.toml")
    assert str(error.value).startswith(message)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"can't read .*none\.toml: No such file"):
        FeatureSet.read(tmp_path / "none.toml")


def test_a_matrix_has_a_row_per_candidate_and_says_what_is_missing() -> None:
    features = FeatureSet.default(["bm25", "gone"], (*FIELDS, Field("absent", FieldKind.NUMBER)))
    of = ranking(
        "ferry",
        candidate("ferry", signals=(signal("bm25", 1, 2.0),), price=math.nan, day="soon", kind="blue"),
        candidate("lamp", signals=(signal("bm25", 2, 1.0),), price=3, day="2023-01-01", kind="red"),
    )
    matrix = features.matrix(of, STATISTICS, NOW)
    assert matrix.values.dtype == np.float32
    assert matrix.values.shape == (2, len(features.names))
    assert matrix.names == features.names
    assert {(m.code, m.name, m.count) for m in matrix.missing} == {
        (MissingCode.SIGNAL, "gone", 2),
        (MissingCode.FIELD, "absent", 2),
        (MissingCode.FIELD, "title", 2),
        (MissingCode.NOT_FINITE, "price", 1),
        (MissingCode.WRONG_TYPE, "day", 1),
        (MissingCode.CATEGORY, "kind", 1),
    }
    messages = {m.name: m.message for m in matrix.missing}
    assert messages["price"] == (
        "the field 'price' of 1 candidate (such as '|ferry': 'nan') is not finite, and counts as missing"
    )
    assert messages["kind"] == (
        "the field 'kind' of 1 candidate (such as '|ferry': 'blue') holds a category that was not there in training, "
        "and counts as missing"
    )
    assert "is no date" in messages["day"]
    assert "no retriever or stage of this name" in messages["gone"]


@pytest.mark.parametrize("value", [math.inf, "nan", "-inf", "twelve", ["a"], {"a": 1}])
def test_no_metadata_can_break_a_search(value: object) -> None:
    features = FeatureSet.default((), FIELDS)
    of = ranking("ferry", candidate("x", price=value, day=value, kind=value))
    values = dict(zip(features.names, features.matrix(of, STATISTICS, NOW).values[0], strict=True))
    assert math.isnan(values["number(price)"])
    assert math.isnan(values["recency(day)"])
    assert math.isnan(values["category(kind)"])


def test_a_ranking_without_candidates() -> None:
    matrix = WHOLE.matrix(ranking("ferry"), STATISTICS)
    assert matrix.values.shape == (0, len(WHOLE.names))
    assert matrix.missing == ()


def test_without_statistics_the_matrix_says_so() -> None:
    matrix = WHOLE.matrix(ranking("ferry", "ferry"), Statistics.empty())
    assert MissingCode.STATISTICS in {m.code for m in matrix.missing}


def test_now_is_the_present_where_nobody_says_when() -> None:
    features = FeatureSet.default((), FIELDS[1:2])
    age = features.names.index("age_days(day)")
    values = features.matrix(ranking("q", candidate("x", day="2023-01-01")), STATISTICS).values
    assert values[0, age] > 365


def test_constant_columns_are_named() -> None:
    values = np.array([[1, 1, np.nan, np.nan], [1, 2, np.nan, 5]], np.float32)
    assert constant_columns(("same", "differs", "missing", "sometimes"), values) == ("same", "missing")
    assert constant_columns(("a",), values[:0, :1]) == ("a",)


def test_statistics_are_one_file(tmp_path: Path) -> None:
    path = tmp_path / "statistics.json"
    STATISTICS.write(path)
    again = Statistics.read(path)
    assert again == STATISTICS
    assert again.idf(["ferri", "zebra"]) == STATISTICS.idf(["ferri", "zebra"])
    assert STATISTICS.idf(["zebra"]) == STATISTICS.idf(["lamp"]) > STATISTICS.idf(["ferri"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "holds no statistics of a collection"),
        ("[]", "holds no statistics of a collection"),
        ('{"schema": 1, "documents": 2, "analyzer": "resift-1/english/bigrams", "terms": [1]}', "holds no statistics"),
        ('{"schema": 1, "documents": 2, "analyzer": "resift-1/english/bigrams", "terms": {"a": "b"}}', "holds no stat"),
        ('{"schema": 7, "documents": 2, "analyzer": "resift-1/english/bigrams", "terms": {}}', "another version"),
        ('{"schema": 1, "documents": 2, "analyzer": "resift-9/english/bigrams", "terms": {}}', "can't be made again"),
    ],
)
def test_damaged_statistics(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "statistics.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        Statistics.read(path)


def test_statistics_of_several_languages() -> None:
    texts = ["Từ này là của những người ở đây", "这座桥很长", "the ferry is in the harbour"]
    statistics = Statistics.of([Document(str(i), text) for i, text in enumerate(texts * 3)])
    assert statistics.frequencies["ferri"] == 3
