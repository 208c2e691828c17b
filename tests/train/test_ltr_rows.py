"""Rows, labels and files of learning to rank: what is refused, what is left out and counted, what is read."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_svmlight_file
from sklearn.metrics import ndcg_score

from resift.errors import InputError
from resift.train.ltr.gains import gain_table, ndcg_of_lists, per_query
from resift.train.ltr.letor import read_letor
from resift.train.ltr.rows import TrainingRows, checked_rows
from resift.train.ltr.search import folds

X = [[1.0, 5.0], [2.0, 5.0], [3.0, 5.0], [4.0, 5.0], [9.0, 5.0]]
LABELS = [0, 1, 2, 0, 1]
QUERIES = ["a", "a", "b", "b", "c"]


def test_rows_are_grouped_by_query_in_the_order_of_their_first_rows() -> None:
    rows = checked_rows([[1], [2], [3], [4]], [1, 0, 0, 2], ["b", "a", "b", "a"], ["x"])
    assert rows.queries == ("b", "a")
    assert rows.matrix[:, 0].tolist() == [1, 3, 2, 4]
    assert rows.labels.tolist() == [1, 0, 0, 2]
    assert rows.sizes.tolist() == [2, 2]


def test_what_teaches_nothing_is_left_out_counted_and_named() -> None:
    rows = checked_rows([*X, [1.0, 5.0], [2.0, 5.0]], [*LABELS, 1, 1], [*QUERIES, "d", "d"], ["moves", "stays"])
    assert rows.queries == ("a", "b")
    assert rows.issues == (
        "1 query with one candidate left out: they teach no order",
        "1 query left out whose candidates all have one label: they teach no order",
        "only 2 queries to learn from: the figures are rough below 50",
        "1 features never change, so that nothing is learned of them: stays",
    )


def test_labels_below_0_count_as_0_and_that_is_stated() -> None:
    rows = checked_rows(X, [-2, 1, 2, 0, 1], QUERIES)
    assert rows.labels.tolist() == [0, 1, 2, 0]
    assert rows.issues[0] == "1 labels below 0 count as 0"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, np.nan, 0, 1], "1 labels are no finite numbers, such as that of row 3"),
        ([0, np.inf, 1, 0, 1], "1 labels are no finite numbers, such as that of row 2"),
        ([0, 0.5, 1, 0, 1], "1 labels are no whole numbers \\(row 2 has 0.5\\)"),
        ([0, 31, 1, 0, 1], "the highest label is 31.*--gain linear"),
        ([0, 1, 0, 0, 1], "1 query to learn from \\(1 query with one candidate"),
        ([1, 1, 1, 1, 1], "0 queries to learn from"),
    ],
)
def test_labels_that_can_not_be_learned_are_refused(labels: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked_rows(X, labels, QUERIES)


def test_linear_gain_takes_higher_labels() -> None:
    assert checked_rows(X, [0, 31, 1, 0, 1], QUERIES, most=10_000).labels.max() == 31


def test_one_query_is_refused() -> None:
    with pytest.raises(InputError, match="1 query to learn from; .* 3 queries at least, and for about 50"):
        checked_rows(X, LABELS, ["a"] * 5)


def test_features_that_can_not_be_learned_are_refused() -> None:
    with pytest.raises(InputError, match="no feature changes"):
        checked_rows([[1.0]] * 5, LABELS, QUERIES)
    with pytest.raises(InputError, match="feature 'y' is infinite"):
        checked_rows([[1, 2], [2, np.inf], [3, 3], [4, 4], [9, 9]], LABELS, QUERIES, ["x", "y"])
    with pytest.raises(InputError, match="2 features have 1 different names"):
        checked_rows(X, LABELS, QUERIES, ["x", "x"])


def test_a_feature_that_is_missing_here_and_there_is_not_constant() -> None:
    rows = checked_rows([[1, 1], [np.nan, 2], [1, 3], [1, 4]], [0, 1, 0, 1], ["a", "a", "b", "b"])
    assert not [issue for issue in rows.issues if "never change" in issue]


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="don't fit"):
        checked_rows(X, [0, 1], QUERIES)


def test_weights_are_of_whole_queries() -> None:
    rows = checked_rows(X, LABELS, QUERIES, weights=[2, 2, 1, 1, 1])
    assert rows.weights is not None and rows.weights.tolist() == [2, 1]
    with pytest.raises(InputError, match="query 'a' has rows of different weights"):
        checked_rows(X, LABELS, QUERIES, weights=[2, 1, 1, 1, 1])
    with pytest.raises(InputError, match="a weight is a finite number above 0"):
        checked_rows(X, LABELS, QUERIES, weights=[0, 0, 1, 1, 1])


def test_gains_are_those_of_the_field() -> None:
    assert gain_table("exponential", 4).tolist() == [0, 1, 3, 7, 15]
    assert gain_table("linear", 3).tolist() == [0, 1, 2, 3]


def test_ndcg_by_hand() -> None:
    rows = checked_rows([[1], [2], [3], [1], [2]], [3, 0, 1, 0, 1], ["a", "a", "a", "b", "b"])
    values = ndcg_of_lists(rows, np.array([1.0, 3.0, 2.0, 5.0, 5.0]), 2)
    ideal = 7 + 1 / np.log2(3)
    assert values[0] == pytest.approx((1 / np.log2(3)) / ideal)
    assert values[1] == pytest.approx(1 / np.log2(3))  # a tie keeps the order of the rows


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(-3, 3)), min_size=2, max_size=12, unique_by=lambda t: t[1]))
def test_ndcg_is_that_of_scikit_learn(items: list[tuple[int, float]]) -> None:
    labels, scores = np.array([label for label, _ in items]), np.array([score for _, score in items])
    rows = TrainingRows(("x",), np.zeros((len(items), 1), np.float32), labels, np.array([len(items)]), ("q",))
    for gain in ("linear", "exponential"):
        gains = labels if gain == "linear" else 2.0**labels - 1
        expected = ndcg_score([gains], [scores], k=5) if gains.any() else 0.0
        assert ndcg_of_lists(rows, scores, 5, gain)[0] == pytest.approx(expected)


def test_lists_of_one_query_count_once() -> None:
    rows = TrainingRows(
        ("x",), np.zeros((6, 1), np.float32), np.zeros(6, np.int64), np.array([2, 2, 2]), ("a", "b", "a")
    )
    assert per_query(rows, np.array([1.0, 0.5, 0.0])).tolist() == [0.5, 0.5]


@given(st.lists(st.sampled_from("abcdefg"), min_size=8, max_size=40), st.integers(2, 3), st.integers(0, 5))
def test_folds_split_by_query(queries: list[str], count: int, seed: int) -> None:
    if len(set(queries)) < count:
        with pytest.raises(InputError, match="can't be split"):
            list(folds(queries, count, seed))
        return
    splits = list(folds(queries, count, seed))
    for training, others in splits:
        assert not {queries[i] for i in training} & {queries[i] for i in others}
        assert len(training) + len(others) == len(queries)
        assert len(others)
    assert sorted(i for _, others in splits for i in others) == list(range(len(queries)))


TEXT = "2 qid:a 1:0.5 3:-1.25 # first\n\n0 qid:a 2:3e-1\n# nothing\n1 qid:b 3:nan 1:7\n0 qid:b\n"


def test_letor_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "rank.svm.gz").write_bytes(gzip.compress(TEXT.encode()))
    read = read_letor(tmp_path / "rank.svm.gz")
    assert read.labels.tolist() == [2, 0, 1, 0]
    assert read.queries == ("a", "a", "b", "b")
    assert read.features == ("feature 1", "feature 2", "feature 3")
    expected = [[0.5, 0, -1.25], [0, 0.3, 0], [7, 0, np.nan], [0, 0, 0]]
    np.testing.assert_array_equal(read.matrix, np.array(expected, np.float32))
    missing = read_letor(tmp_path / "rank.svm.gz", absent="missing").matrix
    assert np.isnan(missing).sum() == 8


def test_letor_files_are_read_as_scikit_learn_reads_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = [
        f"{rng.integers(4)} qid:{i // 5} " + " ".join(f"{j}:{rng.normal():.4f}" for j in sorted(rng.choice(9, 4)) if j)
        for i in range(40)
    ]
    lines = [" ".join(dict.fromkeys(line.split())) for line in lines]
    unique = []
    for line in lines:
        head, features = line.split()[:2], {f.split(":")[0]: f for f in line.split()[2:]}
        unique.append(" ".join([*head, *features.values()]))
    path = tmp_path / "rows.txt"
    path.write_text("\n".join(unique))
    matrix, labels, queries = load_svmlight_file(str(path), query_id=True, zero_based=False)
    read = read_letor(path)
    np.testing.assert_allclose(read.matrix, matrix.toarray(), rtol=1e-6)
    assert read.labels.tolist() == labels.tolist()
    assert list(map(int, read.queries)) == queries.tolist()


def test_features_may_count_from_0(tmp_path: Path) -> None:
    path = tmp_path / "rows.txt"
    path.write_text("1 qid:1 0:1 2:3\n0 qid:1 1:2\n")
    read = read_letor(path)
    assert (read.first, read.features) == (0, ("feature 0", "feature 1", "feature 2"))
    with pytest.raises(InputError, match="has a feature 0, and the first is 1"):
        read_letor(path, first=1)
    path.write_text("1 qid:1 1:1 2:3\n")
    assert read_letor(path, first=0).matrix.tolist() == [[0, 1, 3]]
    assert read_letor(path).matrix.tolist() == [[1, 3]]


@pytest.mark.parametrize("name", ["rank.train.query", "rank.train.svm.query"])
def test_query_sizes_of_lightgbm_are_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / "rank.train.svm"
    path.write_text("1 1:1\n0 1:2\n1 1:3\n")
    (tmp_path / name).write_text("2\n1\n")
    assert read_letor(path).queries == ("1", "1", "2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no row"),
        ("good qid:1 1:1", "begins with 'good' instead of a label"),
        ("1 qid:1 1", "has '1' instead of NUMBER:VALUE"),
        ("1 qid:1 x:1", "has 'x:1' instead"),
        ("1 qid:1 -1:1", "features are 0 to"),
        ("1 qid:1 1:inf", "finite or nan"),
        ("1 qid:1 1:1 1:2", "has feature 1 twice"),
        ("1 qid:1 1:1\n1 1:1", "disagree on whether there is a qid"),
        ("1 1:1", "has no qid, and"),
    ],
)
def test_malformed_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rows.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_letor(path)


def test_query_sizes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.txt"
    path.write_text("1 1:1\n0 1:2\n")
    (tmp_path / "sizes").write_text("3\n")
    with pytest.raises(InputError, match="counts 3 rows and .* has 2"):
        read_letor(path, sizes=tmp_path / "sizes")
    (tmp_path / "sizes").write_text("two\n")
    with pytest.raises(InputError, match="has 'two' instead of a number of rows"):
        read_letor(path, sizes=tmp_path / "sizes")
    with pytest.raises(InputError, match='"zero" or "missing"'):
        read_letor(path, absent="none")
