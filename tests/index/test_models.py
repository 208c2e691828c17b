"""Indexes whose vectors are made by models of others, and models that are loaded once."""

from dataclasses import replace
from pathlib import Path

import pytest

import resift
from resift import Index, InputError
from resift.errors import UnknownFamily
from resift.index.first_stage import LanguageFilter
from resift.index.layout import current, read_manifest
from resift.models.folder import ModelFolder
from resift.retrieve.fuse import Hybrid
from resift.score import load
from resift.score.load import load_embedder
from tests.static_checkpoints import static
from tests.vector_checkpoints import encoder, pylate, write

LETTERS = "lamp norway oslo"


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = encoder(tmp_path_factory.mktemp("encoder"))
    contract = {"name": "tiny", "family": "embedder", "kind": "cosine", "max_tokens": 64, "window_tokens": 64}
    write(folder / "contract.json", contract | {"vectors": {"pooling": ["mean"], "query_prefix": "what "}})
    return str(folder)


def order(index: Index) -> list[str]:
    return [c.document.id for c in index.search(LETTERS, 20)]


@pytest.mark.parametrize("kind", ["encoder", "static"])
def test_embedders_of_others(corpus: Path, tmp_path: Path, embedder: str, kind: str) -> None:
    name = embedder if kind == "encoder" else str(static(tmp_path / "static", "plain"))
    Index.build(tmp_path / "i", corpus, embedder=name)
    assert read_manifest(current(tmp_path / "i")).settings.model == name
    opened, memory = Index.open(tmp_path / "i"), Index.of(resift.files.read_paths([corpus]), name)
    assert order(opened) == order(memory)
    sources = {s.source for c in opened.search(LETTERS, 20) for s in c.signals}
    assert any(s.startswith("dense:") for s in sources)
    assert Index.build(tmp_path / "i", corpus, embedder=name).read == 0
    (tmp_path / "more.txt").write_text("Kelp")
    assert Index.build(tmp_path / "i", tmp_path / "more.txt").read == 1
    assert read_manifest(current(tmp_path / "i")).settings.model == name


def test_token_vectors_of_a_model_without_pooled_ones(corpus: Path, tmp_path: Path, embedder: str) -> None:
    """The vectors of the first stage are then an embedder's, and both models are checked."""
    late = pylate(tmp_path / "late", document_length=60)
    with pytest.raises(UnknownFamily, match="none of whole texts"):
        Index.build(tmp_path / "i", corpus, embedder=str(late))
    Index.build(tmp_path / "i", corpus, tensors=True, model=str(late), embedder=embedder)
    settings = read_manifest(current(tmp_path / "i")).settings
    assert (settings.model, settings.embedder, settings.tensors) == (str(late), embedder, True)
    reranker = resift.load(late)
    index = Index.open(tmp_path / "i")
    assert index.store_for(reranker) is index.tensors
    stored = index.search(LETTERS, 5, reranker=reranker, blend=False)
    fresh = Index(index.documents, index.retriever).search(LETTERS, 5, reranker=reranker, blend=False)
    for a, b in zip(stored, fresh, strict=True):
        assert a.score is not None and b.score is not None
        assert a.score.value == pytest.approx(b.score.value, abs=0.05)  # 16 cosines, at bf16 and rounded to int8
    Index.build(tmp_path / "default", corpus, tensors=True, model=str(late))
    assert read_manifest(current(tmp_path / "default")).settings.embedder == "resift-static-en"
    (late / "artifact.metadata").write_text("{}")
    with pytest.raises(InputError, match=f"another version of {late}"):
        Index.open(tmp_path / "i")


def test_a_model_in_use_is_not_loaded_twice() -> None:
    first, second = resift.load(), load_embedder(resift.loading.DEFAULT_MODEL)
    truncating = resift.load(long_documents="truncate")
    for other in (second, truncating.scorer):
        assert other._engine is first.scorer._engine and other.tokens is first.scorer.tokens  # type: ignore[attr-defined]
    assert resift.load(precision="f32").scorer.tokens is first.scorer.tokens
    assert truncating.scorer.long_documents == "truncate" and first.scorer.long_documents == "windows"


def test_a_model_that_changed_is_loaded_anew(tmp_path: Path) -> None:
    folder = pylate(tmp_path)
    first = resift.load(folder, precision="f32")
    before = first.score([("lamp", "oslo")]).values[0]
    pylate(tmp_path, attend_to_expansion_tokens=True)
    second = resift.load(folder, precision="f32")
    assert second.scorer._engine is not first.scorer._engine
    assert second.score([("lamp", "oslo")]).values[0] != before


def test_each_model_of_an_index_is_found_and_hashed_once(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embedder: str
) -> None:
    calls: list[str] = []
    find, hashing = load.find_model, ModelFolder.__dict__["fingerprint"]
    hash_files = hashing.func

    def counted_find(name: str) -> Path:
        calls.append(f"find_model {Path(name).name}")
        return find(name)

    def counted_hash(folder: ModelFolder) -> str:
        calls.append(f"fingerprint {folder.path.name}")
        return str(hash_files(folder))

    for module in ("resift.score.load", "resift.index.open"):
        monkeypatch.setattr(f"{module}.find_model", counted_find)
    monkeypatch.setattr(hashing, "func", counted_hash)
    late = pylate(tmp_path / "late", document_length=60)
    Index.build(tmp_path / "i", corpus, tensors=True, model=str(late), embedder=embedder)
    once = sorted(f"{name} {Path(model).name}" for name in ("find_model", "fingerprint") for model in (late, embedder))
    assert sorted(calls) == once
    calls.clear()
    Index.open(tmp_path / "i")
    assert sorted(calls) == once


def test_the_languages_of_an_embedder_may_come_from_the_table_of_models(
    monkeypatch: pytest.MonkeyPatch, embedder: str
) -> None:
    """As those of a reranker do: its vectors then count for these languages only."""
    monkeypatch.setattr(load, "with_row", lambda contract, name, folder: replace(contract, languages=("en",)))
    retriever = Index.of(["The lamp is in the tower.", "A ferry to Oslo."], embedder).retriever
    assert isinstance(retriever, Hybrid) and isinstance(retriever.retrievers[1], LanguageFilter)
