"""A calibrated model behind the server: probabilities in every format, thresholds in Resift's own."""

from typing import Any

import httpx
import pytest

from resift import Index, Reranker
from resift.calibrate.calibration import Binding, Calibration, ScoreSample
from resift.calibrate.curves import PlattCurve
from resift.serve.app import create_app
from resift.serve.runtime.served_models import ServedModel
from resift.types import Level
from tests.serve.conftest import post, running

TEXTS = ["A lighthouse keeper lights the lamp.", "Bake sourdough bread in a hot oven.", "A loaf of sourdough bread."]
QUERY = "how is sourdough bread baked"


def calibration_of(model: Reranker) -> Calibration:
    """A calibration of resift-mini-en that no scores contradict."""
    sample = ScoreSample((-1.0, 1.0), (-1.0, 1.0))
    return Calibration(Binding.of(model.info), PlattCurve(10.0, -5.0), {Level.HIGH: 0.9, Level.SOME: 0.1}, (), sample)


@pytest.fixture(scope="module")
def client(mini: Reranker) -> Any:
    calibrated = Reranker(mini.scorer, None, True, calibration_of(mini))
    models = [ServedModel.of(calibrated, "calibrated"), ServedModel.of(mini, "plain")]
    with running(create_app(models, index=Index.of(TEXTS))) as http_client:
        yield http_client


@pytest.fixture(scope="module", autouse=True)
def _loopback() -> None:
    """The module's client connects before a test's own guard is up."""


def test_scores_are_probabilities(client: httpx.Client) -> None:
    body = {"query": QUERY, "documents": TEXTS}
    answer, plain = post(client, "/api/rerank", body), post(client, "/api/rerank", {**body, "model": "plain"})
    assert [r["index"] for r in answer["results"]] == [r["index"] for r in plain["results"]]
    curve = PlattCurve(10.0, -5.0)
    for result, raw in zip(answer["results"], plain["results"], strict=True):
        assert result["score"]["kind"] == "probability"
        assert result["probability"] == result["score"]["value"] == pytest.approx(curve(raw["score"]["value"]))
        assert result["level"] in ("high", "some", "none")
    scores = post(client, "/api/score", {"pairs": [[QUERY, TEXTS[0]]]})
    assert scores["kind"] == "probability" and 0 < scores["scores"][0]["value"] < 1
    other = post(client, "/v1/rerank", {**body, "model": "calibrated"})
    assert other["results"][0]["relevance_score"] == pytest.approx(answer["results"][0]["probability"])


def test_a_threshold_lists_what_it_left_out(client: httpx.Client) -> None:
    body = {"query": QUERY, "documents": [{"id": f"d{i}", "text": text} for i, text in enumerate(TEXTS)]}
    whole = post(client, "/api/rerank", body)
    least = whole["results"][1]["probability"]
    answer = post(client, "/api/rerank", {**body, "min_relevance": least})
    assert [r["id"] for r in answer["results"]] == [r["id"] for r in whole["results"][:2]]
    last = whole["results"][2]
    assert answer["left_out"] == [{"id": last["id"], "index": last["index"], "probability": last["probability"]}]
    assert answer["reason"].startswith("1 of 3 candidates are left out")
    nothing = post(client, "/api/rerank", {**body, "min_relevance": 1})
    assert nothing["results"] == [] and nothing["reason"].startswith("nothing relevant: all 3")


def test_a_search_has_a_threshold_too(client: httpx.Client) -> None:
    whole = post(client, "/api/search", {"query": QUERY})
    assert {r["score"]["kind"] for r in whole["results"]} == {"fused"}
    least = sorted(r["probability"] for r in whole["results"])[1]
    answer = post(client, "/api/search", {"query": QUERY, "min_relevance": least})
    assert len(answer["results"]) == len(whole["results"]) - 1 == len(whole["results"]) - len(answer["left_out"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "plain", "min_relevance": 0.5}, "loaded without a calibration"),
        ({"min_relevance": 0}, "above 0 and up to 1"),
        ({"min_relevance": 7}, "above 0 and up to 1"),
        ({"min_relevance": "lots"}, "min_relevance must be a number, high or some"),
        ({"min_relevance": []}, "min_relevance must be a number"),
    ],
)
def test_what_is_refused(client: httpx.Client, change: dict[str, object], message: str) -> None:
    answer = post(client, "/api/rerank", {"query": QUERY, "documents": TEXTS, **change}, 422)
    assert message in answer["message"]
