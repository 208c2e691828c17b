"""What callers pass by mistake is refused in one sentence of Resift's own; what they may pass counts."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import resift
from resift import Document, Index, Query, Reranker
from resift.arguments import nearest
from resift.client.http_client import Client
from resift.errors import InputError

TEXTS = ["Bread is baked.", "Oslo is the capital of Norway."]
ONE = [
    "Oslo is the capital.",
    {"id": "a", "text": "Oslo"},
    Document("a", "Oslo"),
    b"Oslo",
    None,
    3,
]


@pytest.mark.parametrize("one", ONE, ids=lambda v: type(v).__name__)
def test_one_document_is_no_list_of_them(mini: Reranker, one: Any) -> None:
    with Client("http://localhost:1") as client:
        for call in (lambda: mini.rerank("q", one), lambda: Index.of(one), lambda: client.rerank("q", one)):
            with pytest.raises(InputError, match="documents is"):
                call()


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.rerank("q", TEXTS, top_k=1.0),
        lambda m: m.rerank("q", TEXTS, top_k="1"),
        lambda m: m.rerank("q", TEXTS, top_k=True),
        lambda m: m.rerank("q", TEXTS, top_k=0),
        lambda m: m.rerank("q", TEXTS, depth=1.5),
        lambda m: m.rerank("q", TEXTS, deadline_ms="10"),
        lambda m: m.rerank("q", TEXTS, deadline_ms=True),
        lambda m: m.rerank("q", TEXTS, deadline_ms=float("nan")),
        lambda m: m.rerank("q", TEXTS, max_memory=1e9),
        lambda m: m.rerank("q", [3]),
        lambda m: m.rerank("q", [Document("a", None)]),  # type: ignore[arg-type]
        lambda m: m.rerank(None, TEXTS),
        lambda m: m.rerank(Query(3), TEXTS),  # type: ignore[arg-type]
        lambda m: m.score(("a", "b")),
        lambda m: m.score([("a", "b", "c")]),
        lambda m: m.score("ab"),
        lambda m: m.score(["ab"]),
        lambda m: m.score(None),
        lambda m: m.score([3]),
        lambda m: m.stage("much"),
        lambda m: m.stage(-1),
        lambda m: m.stage(None),
        lambda m: Index.of(TEXTS, embedder=""),
        lambda m: Index.of(TEXTS, embedder=3),  # type: ignore[arg-type]
        lambda m: Index.of(TEXTS, False).search("q", top_k=2.0, reranker=False),  # type: ignore[arg-type]
        lambda m: Index.of(TEXTS, False).search("q", depth="9", reranker=False),  # type: ignore[arg-type]
        lambda m: Index.of(TEXTS, False).search("q", reranker=None),  # type: ignore[arg-type]
        lambda m: Index.of(TEXTS, False).search("q", reranker=3),  # type: ignore[arg-type]
        lambda m: Index.of(TEXTS, False).search("q", reranker=m.scorer),
        lambda m: Index.of(TEXTS, False).search("q", reranker=""),
        lambda m: Index.of(TEXTS, False).search("q", reranker=m, blend="x"),  # type: ignore[arg-type]
        lambda m: Index.open(None),  # type: ignore[arg-type]
        lambda m: Index.open(""),
        lambda m: Index.build("", ["docs"]),
        lambda m: Index.build("i", None),  # type: ignore[arg-type]
        lambda m: Index.build("i", [3]),  # type: ignore[list-item]
        lambda m: Index.build("i", ["docs", ""]),
        lambda m: resift.search("q", None),  # type: ignore[arg-type]
        lambda m: resift.search("q", ""),
        lambda m: resift.search("q", "docs", model=""),
        lambda m: resift.load(""),
        lambda m: resift.load(max_tokens=64.0),  # type: ignore[arg-type]
        lambda m: resift.load(cache={}),  # type: ignore[arg-type]
    ],
)
def test_a_mistake_is_an_input_error_of_one_sentence(mini: Reranker, call: Callable[[Any], object]) -> None:
    with pytest.raises(InputError) as refusal:
        call(mini)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 200


def test_numbers_of_numpy_are_numbers(mini: Reranker) -> None:
    assert len(mini.rerank("capital of Norway", TEXTS, top_k=np.int64(1), deadline_ms=np.float32(1e6))) == 1


def test_ids_of_other_libraries_are_kept(mini: Reranker) -> None:
    texts = [{"id": np.int64(5), "text": "a"}, {"id": uuid.UUID(int=7), "text": "b"}, Document(9, "c")]  # type: ignore[arg-type]
    assert {c.document.id for c in mini.rerank("capital", texts)} == {"5", str(uuid.UUID(int=7)), "9"}
    assert mini.rerank("q", [{"id": None, "_id": "x", "text": "a"}, {"id": None, "text": "b"}])[0].document.id in "x1"


@pytest.mark.parametrize("id_", [1.5, True, ["a"], {"$oid": "a"}, b"a", np.float64(2.0)], ids=repr)
def test_ids_of_another_type_are_refused(mini: Reranker, id_: Any) -> None:
    with pytest.raises(InputError, match="has an id of type"):
        mini.rerank("q", [{"id": id_, "text": "a"}])
    with pytest.raises(InputError, match="has an id of type"):
        mini.rerank("q", [Document(id_, "a")])


def test_every_search_reranks_by_default(corpus: Path) -> None:
    index = Index.of(resift.files.read_paths([corpus]))
    by_default, named = index.search("who lit the lamp"), index.search("who lit the lamp", reranker="resift-mini-en")
    assert by_default.trace.reranked and by_default.candidates == named.candidates
    assert by_default.candidates == resift.search("who lit the lamp", corpus).candidates
    plain = index.search("who lit the lamp", reranker=False)
    assert (
        not plain.trace.reranked
        and plain.candidates == resift.search("who lit the lamp", corpus, model=False).candidates
    )


def test_a_file_that_is_left_out_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("a lamp")
    (tmp_path / "bad.txt").write_bytes(b"\xff\x00\x00")
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    with pytest.warns(UserWarning, match=r"bad\.txt was left out: .* is a binary file") as warned:
        assert len(resift.search("lamp", tmp_path, model=False)) == 1
    assert len(warned) == 1


def test_a_named_reranker_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str | None] = []
    load = resift.loading.load
    monkeypatch.setattr(
        resift.loading, "load", lambda name, calibrated: loaded.append(name) or load(name, calibrated=calibrated)
    )
    resift.loading._loaded.cache_clear()
    index = Index.of(TEXTS, embedder=False)
    for _ in range(2):
        index.search("capital of Norway")
        index.search("capital of Norway", reranker=False)
    assert loaded == [None]
    resift.loading._loaded.cache_clear()


@pytest.mark.parametrize(
    ("name", "meant"),
    [("topk", "top_k"), ("topK", "top_k"), ("document", "documents"), ("zzz", ""), ("query", "query")],
)
def test_the_nearest_name(name: str, meant: str) -> None:
    assert nearest(name, ("query", "documents", "top_k")) == (f"; did you mean {meant!r}?" if meant else "")
