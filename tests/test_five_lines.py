"""A scorer of five lines goes through everything that Resift does with a model, unchanged."""

from collections.abc import Sequence

from starlette.testclient import TestClient

from resift import Index, PairCache, Reranker
from resift.inspection.doctor import examine
from resift.pipeline import Pipeline
from resift.rerank.drive import drive
from resift.serve.app import create_app
from resift.serve.runtime.served_models import ServedModel
from resift.testing import check_scorer, check_stage
from resift.types import Document, ModelInfo, Pair, Query, Ranking, ScoreKind, Scores


class Lengths:
    info = ModelInfo("lengths", ScoreKind.LOGIT)

    def score(self, pairs: Sequence[Pair]) -> Scores:
        return Scores.of([len(candidate.document.text.strip()) or None for _, candidate in pairs], self.info)


TEXTS = ["aaa", "a", "aaaa", "", "aa"]
ORDER = ["2", "0", "4", "1", "3"]


def test_the_contract() -> None:
    check_scorer(Lengths())
    check_stage(Reranker(Lengths()).stage())


def test_rerank() -> None:
    ranking = Reranker(Lengths()).rerank("a", TEXTS)
    assert [c.document.id for c in ranking] == ORDER
    assert [c.document.id for c in Reranker(Lengths()).rerank("a", TEXTS, deadline_ms=1e-6)] == list("01234")


def test_a_pipeline() -> None:
    stage = Pipeline.parse("lengths@3 >> top 2").stage({"lengths": Lengths()}.__getitem__)
    ranking = Ranking.unscored(Query("a"), [Document(str(i), text) for i, text in enumerate(TEXTS)])
    assert [c.document.id for c in drive(stage, [ranking])[0]] == ["2", "0", "1", "3", "4"]


def test_an_index() -> None:
    index = Index.of([f"lamp {text}" for text in TEXTS], embedder=False)
    ranking = index.search("lamp", reranker=Reranker(Lengths()), blend=False)
    assert ranking.trace.reranked and [c.document.id for c in ranking] == ORDER[:3] + ["1", "3"]


def test_the_cache() -> None:
    cache = PairCache()
    for _ in range(2):
        assert [c.document.id for c in Reranker(Lengths(), cache).rerank("a", TEXTS)] == ORDER
    assert (cache.hits, cache.lookups) == (len(TEXTS), 2 * len(TEXTS))


def test_the_server() -> None:
    with TestClient(create_app([ServedModel.of(Reranker(Lengths()))])) as client:
        answer = client.post("/api/rerank", json={"query": "a", "documents": TEXTS}).json()
        assert [result["index"] for result in answer["results"]] == [int(i) for i in ORDER]
        assert answer["model"] == "lengths" and answer["results"][0]["score"]["kind"] == "logit"
        assert client.post("/v1/rerank", json={"query": "a", "documents": TEXTS}).status_code == 200


def test_the_doctor() -> None:
    findings = list(examine(Lengths()))
    assert findings and {finding.status for finding in findings} == {"ok"}
