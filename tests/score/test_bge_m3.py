"""bge-m3's two heads: dense vectors to find with, and colbert_linear.pt to rerank with, each as its authors use it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer

import resift
from resift.errors import BrokenModel
from resift.inspection.doctor import examine
from resift.inspection.export import export
from resift.models.recognition import read_contract
from resift.score.late_interaction import LateInteraction
from resift.score.load import load_embedder
from tests.vector_checkpoints import DOCUMENTS, LIMIT, QUERIES, WIDTH, bge_m3

LONG = "it is in the north of the city, where the water is 1871 " * 20
PAIRS = [(q, d) for q in QUERIES for d in [*DOCUMENTS, LONG]]


def token_vectors(folder: Path, texts: list[str]) -> list[torch.Tensor]:
    """As FlagEmbedding 1.4.0: M3's `_colbert_embedding` over a padded batch, and `_process_colbert_vecs`."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    head = torch.nn.Linear(WIDTH, WIDTH)
    head.load_state_dict({n: t.float() for n, t in torch.load(folder / "colbert_linear.pt").items()})
    inputs = tokenizer(texts, padding=True, truncation=True, max_length=LIMIT, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**inputs).last_hidden_state
        vectors = head(hidden[:, 1:]) * inputs["attention_mask"][:, 1:, None].float()
    vectors = torch.nn.functional.normalize(vectors, dim=-1)
    return [v[: int(mask.sum()) - 1] for v, mask in zip(vectors, inputs["attention_mask"], strict=True)]


def reference(folder: Path) -> np.ndarray:
    """FlagEmbedding's `colbert_score` of PAIRS."""
    queries, documents = token_vectors(folder, [q for q, _ in PAIRS]), token_vectors(folder, [d for _, d in PAIRS])
    cosines = [q @ d.T for q, d in zip(queries, documents, strict=True)]
    return np.array([(c.max(-1).values.sum() / len(c)).item() for c in cosines])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bge_m3(tmp_path_factory.mktemp("m3"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_the_second_head_scores_as_its_authors_do(tmp_path: Path, dtype: torch.dtype) -> None:
    made = bge_m3(tmp_path, dtype)
    ours = resift.load(made, precision="f32", long_documents="truncate")
    expected = reference(made)
    scores = ours.score(PAIRS)
    np.testing.assert_allclose(scores.values, expected, atol=1e-4)
    assert np.std(expected) > 0.01 and scores.kind is resift.ScoreKind.MAXSIM


def test_token_vectors(folder: Path) -> None:
    """Every token but the first, which is no text's: queries and documents alike."""
    scorer = resift.load(folder, precision="f32").scorer
    assert isinstance(scorer, LateInteraction)
    read = scorer.encode_documents(DOCUMENTS, rounded=False)
    for own, their in zip(read, token_vectors(folder, DOCUMENTS), strict=True):
        np.testing.assert_allclose(own.windows[0].values, their.numpy(), atol=1e-4)
    for query, their in zip(scorer.encode_queries(QUERIES), token_vectors(folder, QUERIES), strict=True):
        np.testing.assert_allclose(query.values, their.numpy(), atol=1e-4)


def test_the_first_head_embeds(folder: Path) -> None:
    theirs = SentenceTransformer(str(folder), device="cpu").encode(DOCUMENTS, normalize_embeddings=True)
    np.testing.assert_allclose(load_embedder(str(folder), "f32").embed(DOCUMENTS, "document"), theirs, atol=1e-4)


def test_as_flag_embedding_saves_it(folder: Path, tmp_path: Path) -> None:
    """Without modules.json: the same two heads."""
    made = bge_m3(tmp_path)
    before = load_embedder(str(folder), "f32").embed(DOCUMENTS, "query"), resift.load(folder, precision="f32")
    (made / "modules.json").unlink()
    np.testing.assert_allclose(load_embedder(str(made), "f32").embed(DOCUMENTS, "query"), before[0], atol=1e-6)
    again = resift.load(made, precision="f32").score(PAIRS).values
    np.testing.assert_allclose(again, before[1].score(PAIRS).values, atol=1e-6)


def test_what_was_exported_or_written_out_scores_the_same(folder: Path, tmp_path: Path) -> None:
    before = resift.load(folder, precision="f32").score(PAIRS).values
    export(str(folder), tmp_path / "out", "openvino", "f32", force=True)
    assert read_contract(tmp_path / "out").family == "late"
    np.testing.assert_allclose(resift.load(tmp_path / "out", precision="f32").score(PAIRS).values, before, atol=1e-5)


def test_an_index_keeps_its_token_vectors(folder: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    for i, text in enumerate(DOCUMENTS):
        (texts / f"{i}.txt").write_text(text)
    resift.Index.build(tmp_path / "index", texts, tensors=True, model=str(folder))
    index = resift.Index.open(tmp_path / "index")
    reranker = resift.load(folder)
    assert index.store_for(reranker) is not None
    found = index.search(QUERIES[0], reranker=reranker)
    assert found.trace.reranked and len(found) == len(DOCUMENTS)


def test_doctor_takes_it_for_a_reranker(folder: Path) -> None:
    (found,) = [f for f in examine(str(folder)) if f.check == "family"]
    assert found.status == "ok" and "family late" in found.message


def test_a_head_of_something_else_is_refused(tmp_path: Path) -> None:
    made = bge_m3(tmp_path)
    torch.save({"weight": torch.zeros(2, WIDTH)}, made / "colbert_linear.pt")
    with pytest.raises(BrokenModel, match="no tensor 'bias'"):
        resift.load(made)
