"""Our cross-encoder scores against Transformers and sentence-transformers, on tiny checkpoints, at f32."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder as Reference
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import resift
from resift.score.encoder import longest_first
from tests.checkpoints import cross_encoder

TYPES = ["bert", "roberta", "xlm-roberta", "electra"]
QUERY = "what is the capital of norway?"
DOCUMENTS = ["oslo is the capital", "bread, water and a lamp. " * 3, "north", "it is in the north of the city: 1871!"]


@pytest.fixture(scope="module", params=TYPES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cross_encoder(tmp_path_factory.mktemp(request.param), request.param)


def reference_logits(folder: Path, pairs: list[tuple[str, str]]) -> np.ndarray:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        return np.array(
            [model(**tokenizer([q], [d], truncation=True, return_tensors="pt")).logits[0, 0].item() for q, d in pairs]
        )


def test_equal_to_transformers(folder: Path) -> None:
    pairs = [(QUERY, d) for d in DOCUMENTS]
    ours = resift.load(folder, precision="f32").score(pairs)
    assert ours.kind is resift.ScoreKind.LOGIT
    np.testing.assert_allclose(ours.values, reference_logits(folder, pairs), atol=1e-4)
    assert np.std(ours.values) > 0.01  # the comparison would hold for constants too


def test_equal_to_sentence_transformers(folder: Path) -> None:
    pairs = [(QUERY, d) for d in DOCUMENTS]
    reference = Reference(str(folder), activation_fn=torch.nn.Identity()).predict(pairs)
    np.testing.assert_allclose(resift.load(folder, precision="f32").score(pairs).values, reference, atol=1e-4)


@pytest.mark.parametrize(("query", "words"), [(3, 90), (90, 3), (70, 90), (31, 31), (30, 31)])
def test_longest_first_is_the_tokenizers_rule(folder: Path, query: int, words: int) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer("water " * query, "lamp " * words, truncation=True, max_length=64)["input_ids"]
    counts = tuple(encoded.count(tokenizer.convert_tokens_to_ids(w)) for w in ("water", "lamp"))
    special = tokenizer.num_special_tokens_to_add(pair=True)
    if query + words > 64 - special:
        assert longest_first(query, words, 64 - special) == counts


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_checkpoints(tmp_path: Path, dtype: torch.dtype) -> None:
    folder = cross_encoder(tmp_path, "bert", dtype=dtype)
    pairs = [(QUERY, d) for d in DOCUMENTS]
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    model.save_pretrained(tmp_path / "wide")
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "wide")
    ours = resift.load(folder, precision="f32").score(pairs).values
    np.testing.assert_allclose(ours, reference_logits(tmp_path / "wide", pairs), atol=1e-4)


def test_other_activations(tmp_path: Path) -> None:
    for name in ("relu", "gelu_new"):
        folder = cross_encoder(tmp_path / name, "bert", hidden_act=name)
        ours = resift.load(folder, precision="f32").score([(QUERY, DOCUMENTS[0])]).values
        np.testing.assert_allclose(ours, reference_logits(folder, [(QUERY, DOCUMENTS[0])]), atol=1e-4)


def test_long_documents_are_scored_in_windows(folder: Path) -> None:
    reranker = resift.load(folder, precision="f32")
    long = "water lamp bread " * 40 + "oslo " * 20
    scores = reranker.score([("capital", long)])
    assert scores.flags == (frozenset({"windowed"}),)
    span = scores.spans[0]
    assert span is not None
    alone = reranker.score([("capital", long[span.start : span.end])])
    assert alone.flags == (frozenset(),)
    assert scores.values[0] == pytest.approx(alone.values[0], abs=1e-4)
    cut = resift.load(folder, precision="f32", long_documents="truncate").score([("capital", long)])
    assert cut.flags == (frozenset({"truncated"}),)
    assert cut.values[0] is not None and scores.values[0] is not None and cut.values[0] <= scores.values[0] + 1e-4


def test_a_long_query_leaves_room_for_the_document(folder: Path) -> None:
    scores = resift.load(folder, precision="f32").score(
        [("water " * 200, "oslo is the capital"), ("water " * 200, "north")]
    )
    assert all("query_truncated" in f for f in scores.flags)
    assert scores.values[0] != scores.values[1]
