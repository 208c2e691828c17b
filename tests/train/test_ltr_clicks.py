"""Click logs: reading, propensities, weights, and that they undo a known bias."""

import json
from pathlib import Path

import numpy as np
import pytest

from resift.errors import InputError
from resift.rerank.ranking_function import Floats, Matrix
from resift.train.ltr.click_log import Impression, read_clicks
from resift.train.ltr.click_rows import click_rows
from resift.train.ltr.fit import fit
from resift.train.ltr.gains import ndcg_of_lists
from resift.train.ltr.propensities import Propensities, estimated_propensities, read_propensities
from resift.train.ltr.rows import TrainingRows, checked_rows
from resift.train.ltr.settings import TreeSettings

QUERIES, DOCUMENTS = 60, 8
LOOKS = 1 / np.arange(1, DOCUMENTS + 1) ** 1.3  # the known bias
FEATURES = ("useful", "shown first")


class Simulation:
    """Sessions under the position-based model; the order that is shown follows a feature that means nothing."""

    def __init__(self, sessions: int = 60) -> None:
        rng = np.random.default_rng(0)
        self.matrix: Matrix = rng.normal(size=(QUERIES, DOCUMENTS, 2)).astype(np.float32)
        self.useful = self.matrix[:, :, 0] > 0.5
        self.relevance = 0.5 + 0.25 * self.useful
        self.impressions: list[Impression] = []
        for session in range(QUERIES * sessions):
            query = session % QUERIES
            order = np.argsort(-self.matrix[query, :, 1])
            if session % 3 == 0:  # two are swapped in a third of the sessions
                i, j = rng.integers(0, DOCUMENTS, 2)
                order[[i, j]] = order[[j, i]]
            for place, document in enumerate(order):
                clicked = rng.random() < LOOKS[place] * self.relevance[query, document]
                self.impressions.append(Impression(session, f"q{query}", f"d{document}", place + 1, bool(clicked)))

    def row_of(self, query: str, document: str) -> Matrix:
        return self.matrix[int(query[1:]), int(document[1:])]

    def truth(self) -> TrainingRows:
        """All documents with their true relevance."""
        labels = self.useful.astype(int).ravel()
        queries = [f"q{i // DOCUMENTS}" for i in range(QUERIES * DOCUMENTS)]
        return checked_rows(self.matrix.reshape(-1, 2), labels, queries, FEATURES)


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return Simulation()


def quality(rows: TrainingRows, truth: TrainingRows) -> tuple[float, Floats]:
    """nDCG@8 by true relevance, and how much each feature gained."""
    trees = fit(rows, TreeSettings(rounds=20, learning_rate=0.1, leaves=7, feature_share=1.0))
    return float(ndcg_of_lists(truth, trees.predict(truth.matrix), 8).mean()), trees.gains()


def test_propensities_are_recovered_from_swaps(simulation: Simulation) -> None:
    propensities = estimated_propensities(simulation.impressions)
    assert propensities.values[1] == 1
    values = np.array([propensities.values[place] for place in range(1, DOCUMENTS + 1)])
    np.testing.assert_allclose(values, LOOKS, atol=0.06)
    assert "pairs of query and document" in propensities.source


def test_weights_recover_the_unbiased_order_where_naive_clicks_do_not(simulation: Simulation) -> None:
    truth = simulation.truth()
    naive = click_rows(simulation.impressions, simulation.row_of, FEATURES, None)
    weighted = click_rows(
        simulation.impressions, simulation.row_of, FEATURES, estimated_propensities(simulation.impressions), bound=20
    )
    naive_quality, naive_gains = quality(naive, truth)
    weighted_quality, weighted_gains = quality(weighted, truth)
    assert naive_quality < 0.75  # 0.70 where this was written, which is what the meaningless order reaches
    assert weighted_quality > 0.97  # 0.99
    shares = [gains[1] / gains.sum() for gains in (weighted_gains, naive_gains)]  # of the feature that means nothing
    assert shares[0] < shares[1] / 2


def test_each_click_is_a_list_with_its_weight() -> None:
    log = [
        Impression(1, "q", "a", 1, True), Impression(1, "q", "b", 2, False), Impression(1, "q", "c", 3, True),
        Impression(2, "r", "a", 1, False), Impression(2, "r", "x", 2, False),
        Impression(3, "r", "a", 1, False), Impression(3, "r", "b", 2, True), Impression(3, "r", "x", 3, False),
    ]  # fmt: skip
    values = {"a": 1.0, "b": 2.0, "c": 3.0}

    def row_of(query: str, document: str) -> Matrix | None:
        return np.array([values[document]], np.float32) if document in values else None

    rows = click_rows(log, row_of, ["x"], Propensities({1: 1.0, 2: 0.5, 3: 0.04}, "a file"), bound=10)
    assert rows.queries == ("q", "q", "r")
    assert rows.matrix[:, 0].tolist() == [1, 2, 3, 1, 2, 3, 1, 2]  # as they were shown
    assert rows.labels.tolist() == [1, 0, 0, 0, 0, 1, 0, 1]
    assert rows.weights is not None and rows.weights.tolist() == [1, 10, 2]
    assert rows.issues[:3] == (
        "clicks weigh 1 / the propensity of their position, 10 at most; 1 were cut there",
        "propensities come from a file",
        "2 times a document was shown that is no candidate of its query; it is left out",
    )
    with pytest.raises(InputError, match="position 3 has no propensity"):
        click_rows(log, row_of, ["x"], Propensities({1: 1.0, 2: 0.5}, "a file"))
    with pytest.raises(InputError, match="the bound of a click's weight is 1 or more; not 0.5"):
        click_rows(log, row_of, ["x"], None, bound=0.5)
    with pytest.raises(InputError, match="no click stands beside"):
        click_rows(log[:1], row_of, ["x"], None)


def test_positions_that_can_not_be_compared_are_refused() -> None:
    still = [Impression(1, "q", "a", 1, True), Impression(1, "q", "b", 2, False)]
    with pytest.raises(InputError, match="no document was shown at two positions"):
        estimated_propensities(still)
    moved = [*still, Impression(2, "q", "b", 1, False), Impression(2, "q", "c", 3, True)]
    with pytest.raises(InputError, match="position 3 shares no document with position 1"):
        estimated_propensities(moved)


def test_logs_are_read(tmp_path: Path) -> None:
    lines = [("q", "a", 1, True), ("q", "b", 2, False), ("q", "a", 1, False), ("r", "a", 2, True)]
    names = ("query", "document", "position", "clicked")
    (tmp_path / "log.jsonl").write_text("\n".join(json.dumps(dict(zip(names, line, strict=True))) for line in lines))
    read = read_clicks(tmp_path / "log.jsonl")
    assert [i.session for i in read] == [1, 1, 2, 3]
    assert read[0] == Impression(1, "q", "a", 1, True)
    table = "query,document,position,clicked,session\nq,a,1,yes,s\nq,b,2,0,t\nq,c,2,no,s\nr,c,3,0,s\n"
    (tmp_path / "log.csv").write_text(table)
    assert [(i.session, i.clicked) for i in read_clicks(tmp_path / "log.csv")] == [
        (0, True), (1, False), (0, False), (2, False)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"query": "q", "document": "d", "position": 1}, "has no clicked"),
        ({"query": "q", "document": "d", "position": 0, "clicked": 1}, "positions count from 1"),
        ({"query": "q", "document": "d", "position": 1, "clicked": "maybe"}, "write true or false"),
        ({"query": "q", "document": "d", "position": 1, "clicked": False}, "has no click in 1 lines"),
        ({"query": " ", "document": "d", "position": 1, "clicked": True}, "has an empty query"),
        ([1], "is no object"),
    ],
)
def test_lines_of_a_log_that_say_nothing_are_refused(tmp_path: Path, line: object, message: str) -> None:
    (tmp_path / "log.jsonl").write_text(json.dumps(line))
    with pytest.raises(InputError, match=message):
        read_clicks(tmp_path / "log.jsonl")
    (tmp_path / "log.jsonl").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        read_clicks(tmp_path / "log.jsonl")


def test_propensities_may_be_given(tmp_path: Path) -> None:
    path = tmp_path / "looks.json"
    path.write_text('{"1": 1.0, "2": 0.25}')
    assert read_propensities(path).values == {1: 1.0, 2: 0.25}
    for text, message in (("[]", "holds no propensities"), ('{"1": 0}', "outside of 0 to 1"), ("{}", "outside")):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_propensities(path)
