"""Late interaction against PyLate and colbert-ai, by values that these computed (tests/golden/make_late.py)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import resift
from resift.engine.exact import ExactVectors
from resift.score.late_interaction import LateInteraction
from resift.score.pairs import Distinct
from resift.score.token_comparison import DocumentVectors, QueryVectors, compare
from tests.vector_checkpoints import DOCUMENTS, PYLATE, QUERIES, STANFORD, pylate, stanford

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden" / "late.json").read_text())
CASES = [("pylate", n) for n in PYLATE] + [("colbert", n) for n in STANFORD]


@pytest.fixture(params=CASES, ids="-".join)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[LateInteraction, dict[str, Any]]:
    library, name = request.param
    folder = pylate(tmp_path, **PYLATE[name]) if library == "pylate" else stanford(tmp_path, **STANFORD[name])
    scorer = resift.load(folder, precision="f32", long_documents="truncate").scorer
    assert isinstance(scorer, LateInteraction)
    return scorer, GOLDEN[library][name]


def test_token_ids(case: tuple[LateInteraction, dict[str, Any]]) -> None:
    scorer, golden = case
    assert [i.windows[0].ids for i in scorer._inputs.queries(QUERIES)] == golden["query_ids"]
    assert [i.windows[0].ids for i in scorer._inputs.documents(DOCUMENTS, True)] == golden["document_ids"]


def test_vectors_and_scores(case: tuple[LateInteraction, dict[str, Any]]) -> None:
    scorer, golden = case
    for own, their in zip(scorer.encode_queries(QUERIES), golden["query_vectors"], strict=True):
        np.testing.assert_allclose(own.values[:, :4], their, atol=1e-4)
    for document, their in zip(scorer.encode_documents(DOCUMENTS, False), golden["document_vectors"], strict=True):
        (window,) = document.windows
        assert isinstance(window, ExactVectors)
        np.testing.assert_allclose(window.values[:, :4], their, atol=1e-4)
    scores = resift.Reranker(scorer).score([(q, d) for q in QUERIES for d in DOCUMENTS])
    np.testing.assert_allclose(scores.values, np.ravel(golden["scores"]), atol=1e-4)


def test_padding_has_no_score() -> None:
    """PyLate pads with zero vectors and no mask: beside a longer document a best similarity of -0.6 becomes 0."""
    golden = GOLDEN["padding"]
    assert golden["alone"] == [-0.6, 0.28] and golden["beside"] == [0.0, 0.28]
    query = QueryVectors(np.array(golden["query"], np.float32), np.ones(1, np.float32), np.zeros(0, np.float32), False)
    documents = [
        DocumentVectors(
            (ExactVectors(np.array(d, np.float32), np.zeros((len(d), 2), np.int32)),), query.pooled, 2, False
        )
        for d in golden["documents"]
    ]
    work = Distinct(["q"], ["a", "b"], [], [(0, 0), (0, 1)], [0, 1])
    values = [v.value for v in compare([query], documents, work)]
    np.testing.assert_allclose(np.array(values, float), golden["alone"], atol=1e-6)


@pytest.mark.parametrize("text", ["Bread", "x", "\U0001f35e", "lamp"])
def test_a_mean_of_cosines_is_at_most_1(mini: resift.Reranker, text: str) -> None:
    """Vectors that were rounded to int8 are a little longer than 1 now and then."""
    for query in (text, text.lower(), "bread"):
        value = mini.score([(query, text)]).values[0]
        assert value is not None and -1 <= value <= 1
    assert mini.score([(text, text)]).values[0] == pytest.approx(1, abs=0.01)
