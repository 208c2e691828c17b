"""Resift's own wire format: what goes in, what comes out, and that the OpenAPI document says the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

import resift
from resift import Index, Reranker
from resift.serve.app import create_app
from resift.serve.dialects.resift import FIELDS
from resift.serve.http.openapi import document
from resift.serve.runtime.served_models import ServedModel, load_models
from tests.checkpoints import cross_encoder
from tests.serve.conftest import post, running


@pytest.fixture(scope="module")
def client(mini: Reranker, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = cross_encoder(tmp_path_factory.mktemp("tiny"), "bert", limit=512)
    models = [ServedModel.of(mini), ServedModel.of(resift.load(str(folder), precision="f32"), "tiny")]
    corpus = Path(__file__).parent.parent / "data" / "corpus"
    index = Index.of(resift.files.read_paths([corpus]))
    with running(create_app([*models, *load_models(["resift-static-en"])], index=index)) as http_client:
        yield http_client


@pytest.fixture(scope="module", autouse=True)
def _loopback() -> None:
    """The module's client connects before a test's own guard is up."""


QUERY = "how is sourdough bread baked"
DOCUMENTS = [
    "A lighthouse keeper lights the lamp.",
    "",
    {"id": "b", "text": "Bake sourdough bread in a hot oven.", "title": "Bread", "metadata": {"page": 3, "x": 1e300}},
    {"id": "b", "text": "\ud800 bread \u0000"},
]


def test_rerank_says_everything(client: httpx.Client, mini: Reranker) -> None:
    body = f'{{"query": "{QUERY}", "documents": ["A lighthouse keeper lights the lamp.", "", {{"id": "b", "text": '
    body += '"Bake sourdough bread in a hot oven.", "title": "Bread", "metadata": {"page": 3, "x": 1e999}}, '
    body += '{"id": "b", "text": "\\ud800 bread \\u0000"}], "return_documents": true}'
    answer = client.post("/api/rerank", content=body.encode()).json()
    results = answer["results"]
    assert [r["index"] for r in results][0] == 2
    assert [r["index"] for r in results][-1] == 1
    assert sorted(r["index"] for r in results) == [0, 1, 2, 3]
    best = results[0]
    assert (best["id"], best["title"], best["metadata"]) == ("b", "Bread", {"page": 3, "x": "inf"})
    assert best["score"]["kind"] == "maxsim"
    assert best["text"][best["span"]["start"] : best["span"]["end"]].startswith("Bake")
    assert results[-1]["flags"] == ["empty"]
    assert "score" not in results[-1]
    damaged = next(r for r in results if r["index"] == 3)
    assert (damaged["flags"], damaged["text"]) == (["replaced_characters"], "\ufffd bread \ufffd")
    assert answer["stage"] == answer["model"] == "resift-mini-en"
    assert answer["tokens"] == answer["trace"][0]["tokens"] > 20
    assert null_free(answer)


def null_free(value: Any) -> bool:
    if isinstance(value, dict):
        return all(null_free(v) for v in value.values())
    if isinstance(value, list):
        return all(null_free(v) for v in value)
    return value is not None


def test_scores_are_those_of_the_offline_engine(client: httpx.Client, mini: Reranker) -> None:
    texts = [d if isinstance(d, str) else str(d["text"]) for d in DOCUMENTS]
    offline = mini.score([(QUERY, t) for t in texts])
    scores = post(client, "/api/score", {"pairs": [[QUERY, t.replace("\ud800", "?")] for t in texts[:3]]})
    assert [s.get("value") for s in scores["scores"]] == pytest.approx(list(offline.values[:3]), abs=1e-4)
    assert scores["kind"] == "maxsim"
    assert scores["scores"][1] == {"index": 1, "flags": ["empty"]}


def test_a_logit_brings_its_probability(client: httpx.Client) -> None:
    answer = post(client, "/api/rerank", {"query": QUERY, "documents": ["bread", "lamp"], "model": "tiny"})
    for result in answer["results"]:
        assert result["score"]["kind"] == "logit"
        assert 0 < result["probability"] < 1


def test_top_k_and_threshold(client: httpx.Client) -> None:
    texts = ["a lamp", "bake sourdough bread", "a sourdough loaf is baked"]
    whole = post(client, "/api/rerank", {"query": QUERY, "documents": texts})
    assert len(post(client, "/api/rerank", {"query": QUERY, "documents": texts, "top_k": 2})["results"]) == 2
    assert len(post(client, "/api/rerank", {"query": QUERY, "documents": texts, "top_k": 99})["results"]) == 3
    least = whole["results"][1]["score"]["value"]
    cut = post(client, "/api/rerank", {"query": QUERY, "documents": texts, "min_score": least})
    assert len(cut["results"]) == 2
    assert cut["threshold"]["applied"]
    assert cut["threshold"]["cut"][0]["index"] == 0


def test_truncation_is_asked_for_in_tokens(client: httpx.Client, mini: Reranker) -> None:
    text = "bread " * 50 + "lamp " * 5000
    cut = post(client, "/api/rerank", {"query": QUERY, "documents": [text, "bread"], "truncate_to": 50})
    long = next(r for r in cut["results"] if r["index"] == 0)
    assert "truncated" in long["flags"]
    assert "truncated" not in next(r for r in cut["results"] if r["index"] == 1)["flags"]
    [alone] = mini.score([(QUERY, ("bread " * 50).strip())]).values
    assert long["score"]["value"] == pytest.approx(alone, abs=1e-4)
    whole = post(client, "/api/rerank", {"query": QUERY, "documents": [text]})
    assert whole["results"][0]["flags"] == ["windowed"]
    assert whole["tokens"] > 5000


def test_nothing_to_rank(client: httpx.Client) -> None:
    assert post(client, "/api/rerank", {"query": QUERY, "documents": []})["results"] == []
    blank = post(client, "/api/rerank", {"query": QUERY, "documents": ["", " "]})
    assert (blank["reranked"], blank["reason"]) == (False, "nothing to score")
    assert [r["index"] for r in blank["results"]] == [0, 1]
    same = post(client, "/api/rerank", {"query": QUERY, "documents": ["a", "a"]})
    assert same["reason"] == "constant scores"
    assert len(post(client, "/api/rerank", {"query": QUERY, "documents": ["bread"]})["results"]) == 1
    assert post(client, "/api/score", {"pairs": []})["scores"] == []


def test_search_is_that_of_the_library(client: httpx.Client, mini: Reranker) -> None:
    corpus = Path(__file__).parent.parent / "data" / "corpus"
    index = Index.of(resift.files.read_paths([corpus]))
    for more in ({}, {"blend": False}, {"blend": 0.5}, {"depth": 3, "top_k": 5}):
        answer = post(client, "/api/search", {"query": "who lit the paraffin lamp", **more})
        options: dict[str, Any] = {"depth": 100, **more}
        offline = index.search("who lit the paraffin lamp", reranker=mini, **options)
        assert [r["id"] for r in answer["results"]] == [c.document.id for c in offline]
        ours = [r["score"]["value"] for r in answer["results"] if "score" in r]
        assert ours == pytest.approx([c.score.value for c in offline if c.score], abs=1e-3)
        assert "text" in answer["results"][0]
    foreign = post(client, "/api/search", {"query": "谁点亮了塔里的灯"})
    assert foreign["reason"] == index.search("谁点亮了塔里的灯", reranker=mini).trace.reason != ""
    assert (foreign["reranked"], foreign["stage"]) == (False, "index")


def test_more_results_are_the_same_pool_read_on(client: httpx.Client) -> None:
    """The second page of a search is what follows the first: the pool is `depth`, whatever `top_k` is."""
    pages = {k: post(client, "/api/search", {"query": "who lit the paraffin lamp", "top_k": k}) for k in (2, 4, 8)}
    order = [r["id"] for r in pages[8]["results"]]
    for k, page in pages.items():
        assert [r["id"] for r in page["results"]] == order[:k]


def test_a_language_that_the_model_does_not_read_is_said(client: httpx.Client, mini: Reranker) -> None:
    """As the library says it: left in its order, with the reason; a model that names no languages says nothing."""
    query, texts = "谁点亮了塔里的灯", ["面包在烤箱里烤二十分钟。", "灯塔的看守人每天晚上点亮油灯。"]
    answer = post(client, "/api/rerank", {"query": query, "documents": texts})
    offline = mini.rerank(query, texts)
    assert not answer["reranked"] and answer["reason"] == offline.trace.reason
    assert "reads en; the query and the texts are zh: name another model" in answer["reason"]
    assert [r["id"] for r in answer["results"]] == [c.document.id for c in offline]
    assert post(client, "/api/rerank", {"query": query, "documents": texts, "model": "tiny"})["reason"] == ""
    assert post(client, "/api/rerank", {"query": QUERY, "documents": ["bread", "lamp"]})["reason"] == ""
    header = client.post("/v1/rerank", json={"query": query, "documents": texts}).headers["x-resift-reason"]
    assert header == answer["reason"]


def test_a_model_that_the_server_was_told_to_serve_judges_every_language(
    live: Callable[[Starlette], httpx.Client], mini: Reranker, tmp_path: Path
) -> None:
    (tmp_path / "de.txt").write_text("Wo ist meine Rechnung?\n\nThe keeper lit the lamp.\n", "utf-8")
    index = Index.of(resift.files.read_paths([tmp_path / "de.txt"]))
    insistent = live(create_app([ServedModel.of(Reranker(mini.scorer))], index=index))
    default = live(create_app([ServedModel.of(mini)], index=index))
    query, texts = "谁点亮了塔里的灯", ["面包在烤箱里烤二十分钟。", "灯塔的看守人每天晚上点亮油灯。"]
    answer = post(insistent, "/api/rerank", {"query": query, "documents": texts})
    assert answer["reranked"] and answer["reason"].endswith("; reranked all the same, since resift-mini-en was named")
    late = post(insistent, "/api/rerank", {"query": query, "documents": texts, "deadline_ms": 0.001})
    assert "the query and the texts are zh" in late["reason"] and "; deadline" in late["reason"]
    for client, reranked in ((insistent, True), (default, False)):
        answer = post(client, "/api/search", {"query": "Wo ist the lamp?"})
        assert answer["reranked"] is reranked and "the query is de" in answer["reason"]
    raw = default.post("/rerank", json={"query": query, "texts": texts, "raw_scores": True})
    assert raw.status_code == 422 and "reads en" in raw.text and "empty" not in raw.text


@pytest.mark.parametrize(("blend", "status"), [(1e6, 200), (2e6, 422), (1e308, 422), (-1, 422)])
def test_a_blend_has_a_bound(client: httpx.Client, blend: float, status: int) -> None:
    answer = post(client, "/api/search", {"query": "who lit the paraffin lamp", "blend": blend}, status)
    assert status == 200 or "blend" in answer["message"]


BAD = [
    {"query": "", "documents": ["a"]},
    {"query": " \t", "documents": ["a"]},
    {"query": 3, "documents": ["a"]},
    {"documents": ["a"]},
    {"query": "a"},
    {"query": "a", "documents": "b"},
    {"query": "a", "documents": [None]},
    {"query": "a", "documents": [3]},
    {"query": "a", "documents": ["b", {"text": None}]},
    {"query": "a", "documents": ["b", {"text": {"text": "c"}}]},
    {"query": "a", "documents": [["b"]]},
    {"query": "a", "documents": [{"title": "b"}]},
    {"query": "a", "documents": [{"text": "b", "txet": "c"}]},
    {"query": "a", "documents": [{"text": "b", "metadata": 3}]},
    {"query": "a", "documents": [{"text": "b", "metadata": False}]},
    {"query": "a", "documents": ["b"], "top_k": 0},
    {"query": "a", "documents": ["b"], "top_k": 1.5},
    {"query": "a", "documents": ["b"], "top_k": True},
    {"query": "a", "documents": ["b"], "top_n": 3},
    {"query": "a", "documents": ["b"], "on_error": "ignore"},
    {"query": "a", "documents": ["b"], "deadline_ms": -1},
    {"query": "a", "documents": ["b"], "may_shrink": "yes"},
    ["query"],
    "query",
    None,
]


@pytest.mark.parametrize("body", BAD, ids=str)
def test_a_bad_request_is_told_why(client: httpx.Client, body: Any) -> None:
    answer = post(client, "/api/rerank", body, 422)
    assert answer["error_type"] == "InputError"
    assert len(answer["message"]) > 15


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"query": NaN, "documents": []}'])
def test_what_is_no_json_is_told_so(client: httpx.Client, content: bytes) -> None:
    assert client.post("/api/rerank", content=content).status_code == 422


def test_unknown_models_and_paths(client: httpx.Client) -> None:
    unknown = post(client, "/api/rerank", {"query": "a", "documents": ["b"], "model": "gpt"}, 404)
    assert "resift-mini-en, tiny" in unknown["message"]
    assert client.get("/nowhere").json()["message"] == "there is nothing at /nowhere"
    wrong = client.get("/api/rerank")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")


def test_the_document_names_the_fields_that_are_read() -> None:
    for path, item in document()["paths"].items():
        if "post" in item:
            schema = item["post"]["requestBody"]["content"]["application/json"]["schema"]
            assert set(schema["properties"]) == set(FIELDS[path])
