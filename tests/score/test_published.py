"""Checkpoints that the guides of the field name: each loads by the files that it has, and scores like its library."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub.utils import filter_repo_objects
from sentence_transformers import CrossEncoder, SentenceTransformer
from transformers import AutoTokenizer

import resift
from resift.models import hub
from resift.models.inputs import EmbedderInput, EncoderInput
from resift.models.registry import rows
from resift.score.load import load_embedder, recognise
from resift.text.segment import joined
from tests.published import PUBLISHED, Published, save
from tests.references import jinabert

NAMES = list(PUBLISHED)
DISTINCT = [name for i, name in enumerate(NAMES) if PUBLISHED[name] not in map(PUBLISHED.get, NAMES[:i])]
RERANKERS = [name for name in DISTINCT if not PUBLISHED[name].pooling]
EMBEDDERS = [name for name in DISTINCT if PUBLISHED[name].pooling]
QUERY = "thủ đô của việt nam ở đâu?"
TEXTS = [
    "hà nội là thủ đô của việt nam.",
    "oslo is the capital of norway",
    "灯台の番人",
    "bread, water and a lamp. " * 3,
]
LONG = "the water of the city in the north, " * 120


@pytest.fixture
def folder(name: str, tmp_path: Path) -> Path:
    """A model's tiny checkpoint, without the files that are not fetched."""
    snapshot = save(tmp_path, name)
    files = {p.relative_to(snapshot).as_posix() for p in snapshot.rglob("*") if p.is_file()}
    assert files == PUBLISHED[name].tiny_files
    fetched = set(filter_repo_objects(files, allow_patterns=hub._FILES))
    if "model.safetensors" not in files:
        fetched |= set(filter_repo_objects(files, allow_patterns=hub._OLDER))
    for file in files - fetched:
        (snapshot / file).unlink()
    return snapshot


def for_library(folder: Path) -> str:
    """A copy whose tokenizer.json Transformers takes as it is; the classes of models build a tokenizer of their own."""
    copy = shutil.copytree(folder, folder.with_name("copy"))
    path = copy / "tokenizer_config.json"
    described = json.loads(path.read_text())
    if described.get("tokenizer_class") or described.get("model_max_length"):
        path.write_text(json.dumps(described | {"tokenizer_class": "PreTrainedTokenizerFast"}))
    return str(copy)


def words(published: Published, texts: list[str]) -> list[str]:
    """Texts as the model's guide says to prepare them."""
    return [joined(text, published.segmenter) for text in texts] if published.segmenter else texts


def expected(folder: Path, published: Published, pairs: list[tuple[str, str]]) -> np.ndarray:
    """What the model's own library gives."""
    if published.make.__name__ == "jina":
        tokenizer = AutoTokenizer.from_pretrained(folder)
        encoded = [tokenizer(q, d) for q, d in pairs]
        logits = np.array([jinabert.logit(folder, e["input_ids"], e["token_type_ids"]) for e in encoded])
        return 1 / (1 + np.exp(-logits))
    if published.activation == "Softmax":
        return CrossEncoder(for_library(folder), device="cpu").predict(pairs, activation_fn=torch.nn.Softmax(-1))[:, 1]
    scores: np.ndarray = CrossEncoder(for_library(folder), device="cpu").predict(pairs)
    return scores


@pytest.mark.parametrize("name", NAMES)
def test_the_contract_is_that_of_row_and_files(folder: Path, name: str) -> None:
    """And the two agree, for a disagreement would be an error or a warning."""
    published, row = PUBLISHED[name], rows()[name]
    _, contract = recognise(str(folder))
    assert (contract.name, contract.family) == (name, "embedder" if published.pooling else "encoder")
    window = published.limit if published.pooling else min(published.limit, row.max_tokens or published.limit)
    assert (contract.max_tokens, contract.license or "unknown") == (window, row.license)
    record = contract.input
    assert isinstance(record, EncoderInput | EmbedderInput) and record.segmenter == published.segmenter
    if isinstance(record, EncoderInput):
        assert record.labels == row.labels and record.truncation == (row.truncation or "only_second")
    else:
        assert record.pooling == (published.pooling,)
        assert (record.query_prefix, record.document_prefix) == published.prefixes


@pytest.mark.parametrize("name", RERANKERS)
def test_rerankers(folder: Path, name: str) -> None:
    published = PUBLISHED[name]
    reranker = resift.load(folder, precision="f32", long_documents="truncate", truncation="longest_first")
    texts = [*TEXTS, LONG] if published.limit <= 512 else TEXTS
    query, *documents = words(published, [QUERY, *texts])
    theirs = expected(folder, published, [(query, d) for d in documents])
    ranking = reranker.rerank(QUERY, texts)
    assert {c.score.kind for c in ranking if c.score} == {resift.ScoreKind.LOGIT}
    by_id = {c.document.id: c for c in ranking}
    ours = [
        by_id[str(i)].score.value if published.activation == "Identity" else by_id[str(i)].probability  # type: ignore[union-attr]
        for i in range(len(texts))
    ]
    np.testing.assert_allclose(np.array(ours, float), theirs, atol=1e-4)
    assert np.std(theirs) > 0.005


@pytest.mark.parametrize("name", EMBEDDERS)
def test_embedders(folder: Path, name: str) -> None:
    published = PUBLISHED[name]
    reference = SentenceTransformer(for_library(folder), device="cpu")
    embedder = load_embedder(str(folder), "f32")
    texts = [*TEXTS, LONG] if published.limit <= 512 else TEXTS
    for role, prefix in zip(("query", "document"), published.prefixes, strict=True):
        theirs = reference.encode([prefix + t for t in words(published, texts)], normalize_embeddings=True)
        ours = embedder.embed(texts, role)  # type: ignore[arg-type]
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert np.std(ours @ ours.T) > 0.01
