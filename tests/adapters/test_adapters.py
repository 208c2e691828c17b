"""Adapters inside the libraries that they are for, with the bundled model."""

import asyncio
import importlib
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from haystack import Document as HaystackDocument
from haystack import Pipeline
from haystack.core.serialization_security import allow_deserialization_module
from langchain_core.documents import Document as LangChainDocument
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from rerankers import Document as RerankersDocument

import resift
from resift import Reranker
from resift.adapters import haystack, langchain, llamaindex, rerankers
from resift.errors import InputError
from resift.types import Ranking

QUERY = "Where is the Eiffel Tower?"
TEXTS = [
    "Bananas are rich in potassium.",
    "",
    "The Eiffel Tower stands in Paris, France. It is 330 metres high.",
    "Rome is the capital of Italy.",
]
ORDER = [2, 3, 0, 1]  # the empty one last


@pytest.fixture(scope="module")
def wanted(mini: Reranker) -> Ranking:
    ranking = mini.rerank(QUERY, TEXTS)
    assert [int(c.document.id) for c in ranking] == ORDER
    return ranking


def values(ranking: Ranking) -> list[float | None]:
    return [None if c.score is None else c.score.value for c in ranking]


def test_langchain(mini: Reranker, wanted: Ranking) -> None:
    given = [LangChainDocument(t, metadata={"n": [i]}) for i, t in enumerate(TEXTS)]
    found = langchain.ResiftRerank(reranker=mini, top_n=None).compress_documents(given, QUERY)
    assert [d.metadata["n"][0] for d in found] == ORDER
    assert [d.metadata.get("relevance_score") for d in found] == values(wanted)
    assert [d.metadata.get("relevance_kind") for d in found] == ["maxsim"] * 3 + [None]
    assert found[0].metadata["n"] is not given[2].metadata["n"]
    assert given == [LangChainDocument(t, metadata={"n": [i]}) for i, t in enumerate(TEXTS)]
    assert len(langchain.ResiftRerank(reranker=mini).compress_documents(given, QUERY)) == 3
    assert langchain.ResiftRerank(reranker=mini).compress_documents([], QUERY) == []
    later = langchain.ResiftRerank(reranker=mini, top_n=1).acompress_documents(given, QUERY)
    assert [d.page_content for d in asyncio.run(later)] == [TEXTS[2]]


def test_langchain_keeps_no_score_of_an_earlier_compressor(mini: Reranker) -> None:
    earlier = {"relevance_score": 0.99, "relevance_kind": "probability", "n": 1}
    given = [LangChainDocument(t, metadata=dict(earlier)) for t in ("Bread is baked.", "")]
    scored, unscored = langchain.ResiftRerank(reranker=mini).compress_documents(given, "bread")
    assert scored.metadata["relevance_kind"] == "maxsim" and scored.metadata["relevance_score"] != 0.99
    assert unscored.metadata == {"n": 1} and given[1].metadata == earlier


@pytest.mark.parametrize("wrong", ["a text", {"text": "a"}, None, ["a text"], 3], ids=repr)
def test_what_is_no_list_of_documents_is_refused(mini: Reranker, wrong: Any) -> None:
    calls = (
        lambda: langchain.ResiftRerank(reranker=mini).compress_documents(wrong, QUERY),
        lambda: llamaindex.ResiftRerank(mini)._postprocess_nodes(wrong, QueryBundle(QUERY)),
        lambda: haystack.ResiftRanker().run(QUERY, wrong),
    )
    for call in calls:
        with pytest.raises(InputError, match="document"):
            call()


@pytest.mark.parametrize("one", ["LangChain", "LlamaIndex", "Haystack"])
def test_one_document_of_theirs_is_no_list(mini: Reranker, one: str) -> None:
    with pytest.raises(InputError, match="documents is one"):
        if one == "LangChain":
            langchain.ResiftRerank(reranker=mini).compress_documents(LangChainDocument("a"), QUERY)  # type: ignore[arg-type]
        elif one == "LlamaIndex":
            node = NodeWithScore(node=TextNode(text="a"))
            llamaindex.ResiftRerank(mini)._postprocess_nodes(node, QueryBundle(QUERY))  # type: ignore[arg-type]
        else:
            haystack.ResiftRanker().run(QUERY, HaystackDocument(content="a"))


def test_llamaindex(mini: Reranker, wanted: Ranking) -> None:
    given = [NodeWithScore(node=TextNode(text=t, id_=str(i)), score=0.5) for i, t in enumerate(TEXTS)]
    postprocessor = llamaindex.ResiftRerank(mini)
    found = postprocessor.postprocess_nodes(given, QueryBundle(QUERY))
    assert [int(n.node.node_id) for n in found] == ORDER
    assert [n.score for n in found] == values(wanted)
    assert [n.score for n in given] == [0.5] * 4
    assert len(llamaindex.ResiftRerank(mini, top_n=2).postprocess_nodes(given, query_str=QUERY)) == 2
    assert postprocessor.class_name() == "ResiftRerank"
    with pytest.raises(InputError, match="needs the query"):
        postprocessor.postprocess_nodes(given)


def test_haystack(wanted: Ranking) -> None:
    given = [HaystackDocument(content=t or None, meta={"n": i}) for i, t in enumerate(TEXTS)]
    ranker = haystack.ResiftRanker(top_k=3)
    ranker.warm_up()
    found = ranker.run(QUERY, given)["documents"]
    assert [d.meta["n"] for d in found] == ORDER[:3]
    assert [d.score for d in found] == pytest.approx(values(wanted)[:3], abs=0.02)  # the other ran at f32
    assert [d.id for d in found] == [given[i].id for i in ORDER[:3]]
    assert ranker.run(QUERY, given, top_k=4)["documents"][3].score is None
    assert all(d.score is None for d in given)


def test_haystack_pipelines_can_be_stored() -> None:
    pipeline = Pipeline()
    pipeline.add_component("ranker", haystack.ResiftRanker(top_k=1))
    allow_deserialization_module("resift")
    again = Pipeline.loads(pipeline.dumps())
    documents = [HaystackDocument(content=t) for t in TEXTS]
    found = again.run({"ranker": {"query": QUERY, "documents": documents}})["ranker"]["documents"]
    assert [d.content for d in found] == [TEXTS[2]]


def test_rerankers(mini: Reranker, wanted: Ranking) -> None:
    ranker = rerankers.ResiftRanker(mini)
    found = ranker.rank(QUERY, TEXTS)
    assert [r.doc_id for r in found] == ORDER
    assert [r.rank for r in found] == [1, 2, 3, 4]
    assert [r.score for r in found] == values(wanted)
    assert [r.text for r in found.top_k(2)] == [TEXTS[2], TEXTS[3]]
    named = ranker.rank(QUERY, [RerankersDocument(t, doc_id=f"d{i}") for i, t in enumerate(TEXTS)])
    assert [r.doc_id for r in named] == [f"d{i}" for i in ORDER]
    assert ranker.score(QUERY, TEXTS[2]) == values(wanted)[0]
    alone = ranker.rank(QUERY, TEXTS[2], doc_ids=["x"])
    assert [(r.doc_id, r.rank, r.score) for r in alone] == [("x", 1, values(wanted)[0])]
    with pytest.raises(InputError, match="no text"):
        ranker.score(QUERY, "")


MODULES = {"langchain": "langchain_core", "llamaindex": "llama_index", "haystack": "haystack", "rerankers": "rerankers"}
EXCHANGE = {"mteb": "mteb", "dataframes": "pandas"}  # which may be missing here


@pytest.mark.parametrize("name", [*MODULES, *EXCHANGE])
def test_a_missing_library_is_named_with_its_install_line(name: str) -> None:
    code = f"""
import sys
sys.modules[{(MODULES | EXCHANGE)[name]!r}] = None
from resift.errors import MissingExtra
try:
    import resift.adapters.{name}
except MissingExtra as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    text = (Path(resift.__file__).parents[2] / "pyproject.toml").read_text()
    (needed,) = tomllib.loads(text)["project"]["optional-dependencies"][name]
    assert f"needs what is not installed: pip install '{needed}'" in done.stdout


def test_every_adapter_has_an_extra() -> None:
    text = (Path(resift.__file__).parents[2] / "pyproject.toml").read_text()
    for name in MODULES:
        assert f"\n{name} = [" in text
        assert importlib.import_module(f"resift.adapters.{name}").__doc__
