"""A server without names serves the default models; the language of a request chooses where it names none of them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

import resift
from resift import Index, Reranker
from resift.serve.app import create_app
from resift.serve.runtime.served_models import ServedModel, load_models
from resift.serve.settings import Settings
from tests.bundled import needs_multi
from tests.checkpoints import cross_encoder
from tests.serve.conftest import post
from tests.vector_checkpoints import pylate

Live = Callable[[Starlette], httpx.Client]
ENGLISH = {"query": "who lit the lamp", "documents": ["Bread is baked.", "The keeper lit the lamp."]}
FOREIGN = {"query": "谁点亮了塔里的灯", "documents": ["面包在烤箱里烤二十分钟。", "灯塔的看守人每天晚上点亮油灯。"]}
TAMIL = {"query": "நார்வேயின் தலைநகரம்", "documents": ["ரொட்டி அடுப்பில்", "நார்வேயின் தலைநகரம் ஓஸ்லோ"]}


@pytest.fixture(scope="module")
def pair(mini: Reranker, tmp_path_factory: pytest.TempPathFactory) -> list[ServedModel]:
    """The English model, and a tiny one that names no languages and so reads all."""
    tiny = resift.load(str(pylate(tmp_path_factory.mktemp("tiny") / "colbert")), precision="f32")
    served = [ServedModel.of(Reranker(mini.scorer)), ServedModel.of(tiny, "tiny")]
    return [replace(model, by_language=True) for model in served]


def test_the_language_chooses_where_no_served_model_is_named(live: Live, pair: list[ServedModel]) -> None:
    client = live(create_app(pair))
    for name in ("", "rerank-v3.5"):  # many clients must name a model, and name their vendor's
        english, foreign = (post(client, "/api/rerank", body | {"model": name}) for body in (ENGLISH, FOREIGN))
        assert (english["model"], english["stage"], english["reason"]) == ("resift-mini-en", "resift-mini-en", "")
        assert (foreign["model"], foreign["stage"]) == ("tiny", "tiny") and foreign["reranked"]
        assert foreign["reason"].endswith(": the query and the texts are zh")
    thresholds = [post(client, "/api/rerank", body | {"min_score": 1e6})["threshold"] for body in (ENGLISH, FOREIGN)]
    assert [t["applied"] for t in thresholds] == [True, False]  # it was set for the first model's scores
    named = post(client, "/api/rerank", FOREIGN | {"min_score": 1e6, "model": "tiny"})
    assert named["threshold"]["applied"] and named["results"] == []
    metrics = client.get("/metrics").text
    assert all(f'resift_tokens_total{{model="{name}"}}' in metrics for name in ("resift-mini-en", "tiny"))
    assert [m["name"] for m in client.get("/api/models").json()["models"]] == ["resift-mini-en", "tiny"]


def test_a_served_model_that_is_named_is_taken(live: Live, pair: list[ServedModel]) -> None:
    client = live(create_app(pair))
    foreign = post(client, "/api/rerank", FOREIGN | {"model": "resift-mini-en"})
    assert foreign["reranked"] and foreign["reason"].endswith("reranked all the same, since resift-mini-en was named")
    english = post(client, "/api/rerank", ENGLISH | {"model": "tiny"})
    assert (english["stage"], english["reason"]) == ("tiny", "")


def test_another_model_beside_the_default_ones_is_a_choice(live: Live, pair: list[ServedModel], tmp_path: Path) -> None:
    """An unknown name is then refused, as it is where two models were named."""
    other = ServedModel.of(resift.load(str(cross_encoder(tmp_path / "x", "bert")), precision="f32"), "other")
    client = live(create_app([*pair, other], Settings(fallback=("other",), on_error="next_stage")))
    assert (
        "there is: resift-mini-en, tiny, other"
        in post(client, "/api/rerank", ENGLISH | {"model": "rerank-v3.5"}, 404)["message"]
    )
    assert post(client, "/api/rerank", FOREIGN)["stage"] == "tiny"


def test_search_over_an_index(live: Live, pair: list[ServedModel], tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("灯塔的看守人每天晚上点亮油灯。\n\nThe keeper lit the lamp.\n", "utf-8")
    client = live(create_app(pair, index=Index.of(resift.files.read_paths([tmp_path]))))
    assert post(client, "/api/search", {"query": "谁点亮了塔里的灯"})["stage"] == "tiny"
    (tmp_path / "english.txt").write_text("The keeper lit the lamp.\n\nBread is baked.\n")
    Index.build(tmp_path / "i", tmp_path / "english.txt", tensors=True, model="resift-mini-en")
    swapped = [pair[1], pair[0]]  # stored vectors of the second: it goes first for the index, and there alone
    client = live(create_app(swapped, index=Index.open(tmp_path / "i")))
    answer = post(client, "/api/search", {"query": "who lit the lamp"})
    assert answer["stage"] == "resift-mini-en"
    assert answer["reason"].startswith("resift-mini-en: the index holds its token vectors")
    assert post(client, "/api/rerank", ENGLISH)["stage"] == "tiny"


def test_scores_of_one_call_are_of_one_model(live: Live, pair: list[ServedModel]) -> None:
    client = live(create_app(pair))
    for body, name in ((ENGLISH, "resift-mini-en"), (FOREIGN, "colbert")):  # the model's own name
        answer = post(client, "/api/score", {"pairs": [[body["query"], text] for text in body["documents"]]})
        assert answer["model"] == name and len(answer["scores"]) == 2


@needs_multi
def test_the_server_without_names(live: Live) -> None:
    client = live(create_app(load_models()))
    assert [m["name"] for m in client.get("/api/models").json()["models"]] == ["resift-mini-en", "resift-mini-multi"]
    assert post(client, "/api/rerank", ENGLISH)["stage"] == "resift-mini-en"
    foreign = post(client, "/api/rerank", FOREIGN)
    assert foreign["stage"] == "resift-mini-multi" and foreign["results"][0]["index"] == 1
    tamil = post(client, "/api/rerank", TAMIL)
    assert not tamil["reranked"] and tamil["stage"] == "input" and "the texts are ta" in tamil["reason"]
    assert [r["index"] for r in tamil["results"]] == [0, 1]
    alone = live(create_app(load_models(["resift-mini-en"])))
    assert [m["name"] for m in alone.get("/api/models").json()["models"]] == ["resift-mini-en"]
    one, other = (  # vectors of two models can't be compared: always the first, whatever the language
        post(client, "/v1/embeddings", {"model": name, "input": ["cái đèn"]})["data"][0]["embedding"]
        for name in ("text-embedding-3-small", "resift-mini-en")
    )
    assert one == pytest.approx(other)
