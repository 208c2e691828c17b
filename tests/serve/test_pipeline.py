"""A server with a pipeline: searches of the index are retrieved and blended as it says, unless a request says more."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

import resift
from resift import Index, Reranker
from resift.errors import ResiftError
from resift.evaluate import Dataset
from resift.pipeline import Pipeline
from resift.serve.app import create_app
from resift.serve.runtime.search_plan import search_plan
from resift.serve.runtime.served_models import ServedModel
from resift.serve.settings import Settings
from resift.tune.learner import Learner
from resift.types import Query, Ranking

TEXTS = [
    "A lighthouse keeper lights the lamp.", "Bake sourdough bread in a hot oven.", "A loaf of sourdough bread.",
    "The oven is cold, and the bread of the keeper is old.",
]  # fmt: skip
PIPELINE = "bm25(k1=0.6) + dense(weight=0.7) >> resift-mini-en@100 >> blend(weight=4, dense=0.9)"
QUERY = "who bakes bread in the oven"


@pytest.fixture(scope="module")
def same() -> Reranker:
    """The model that `Index.run` loads by its name, at the precision that this processor takes by default."""
    return resift.load("resift-mini-en")


def test_searches_follow_the_pipeline(
    same: Reranker, live: Callable[[Starlette], httpx.Client], tmp_path: Path
) -> None:
    (tmp_path / "pipeline.toml").write_text(Pipeline.parse(PIPELINE).to_toml())
    index = Index.of(TEXTS, pipeline=PIPELINE)
    client = live(create_app([ServedModel.of(same)], Settings(pipeline=str(tmp_path)), index=index))

    def scores(**body: object) -> list[float]:
        answer = client.post("/api/search", json={"query": QUERY, **body}).raise_for_status().json()
        return [result["score"]["value"] for result in answer["results"]]

    expected = [float(c.score or 0) for c in index.run(PIPELINE, QUERY)]
    assert scores() == pytest.approx(expected, abs=1e-4)
    weighed = [float(c.score or 0) for c in index.run(PIPELINE.replace("weight=4, dense=0.9", "weight=0.5"), QUERY)]
    assert scores(blend=0.5) == pytest.approx(weighed, abs=1e-4)
    assert weighed != pytest.approx(expected, abs=0.1)


def test_a_learned_stage_corrects_the_order(
    same: Reranker, live: Callable[[Starlette], httpx.Client], tmp_path: Path
) -> None:
    documents = [{"text": f"{text} {i}", "likes": i * 7 % 16} for i, text in enumerate(TEXTS * 4)]
    index = Index.of(documents)
    qrels = {"a": {d.id: int(d.metadata["likes"] > 12) for d in index.documents}}
    data = Dataset.of([Query(QUERY, "a"), Query("bread keeper lamp", "b")], index.documents, qrels | {"b": qrels["a"]})
    rankings = [index.run("bm25 >> resift-mini-en@100 >> blend", query) for query in (QUERY, "bread keeper lamp")]
    rankings = [Ranking(query, r.candidates) for query, r in zip(data.queries, rankings, strict=True)]
    part = Learner(data)(rankings, [data.qrels[query.id] for query in data.queries]).save(tmp_path)
    text = f"bm25 >> resift-mini-en@100 >> blend >> {replace(part, parameters=(part.parameters[0], ('weight', 8.0)))}"
    client = live(create_app([ServedModel.of(same)], Settings(pipeline=text), index=index))
    answer = client.post("/api/search", json={"query": QUERY}).raise_for_status().json()
    expected = index.run(text, QUERY)
    assert [r["score"]["source"] for r in answer["results"]] == ["linear"] * len(answer["results"])
    assert [r["score"]["value"] for r in answer["results"]] == pytest.approx(
        [float(c.score or 0) for c in expected][: len(answer["results"])], abs=1e-3
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bm25 >> resift-mini-en >> other@5", "a server takes retrievers, one model and a blend"),
        ('bm25 >> ltr(model="none")', "a server takes retrievers, one model and a blend"),
        ('bm25 >> resift-mini-en@9 >> blend >> ltr(model="none")', "none holds no learned model"),
        ("bm25 >> other >> blend", "model other is not served; there is resift-mini-en: resift serve other"),
        ("bm25(k1=9)", "the pipeline asks for k1=9"),
        ("none.toml", "can't be read"),
    ],
)
def test_a_pipeline_that_can_not_be_followed_is_refused_before_anything_is_served(
    mini: Reranker, text: str, message: str
) -> None:
    with pytest.raises(ResiftError, match=message):
        create_app([ServedModel.of(mini)], Settings(pipeline=text), index=Index.of(TEXTS, False))


def test_the_blend_is_for_the_pipeline_s_model_alone() -> None:
    index = Index.of(TEXTS, False)
    plan = search_plan("bm25 >> a@10 >> blend(weight=3)", index, ["a", "b"])
    assert plan.behind and plan.behind_of("a", True) == plan.behind
    assert not (plan.behind_of("b", True) or plan.behind_of("a", 2.0) or plan.behind_of("a", False))
    assert search_plan("", index, []).retriever is index.retriever
