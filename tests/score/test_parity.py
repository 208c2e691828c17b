"""Our cross-encoder scores against Transformers, sentence-transformers and plain torch, on tiny checkpoints, at f32."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastembed.common.model_description import ModelSource
from fastembed.rerank.cross_encoder import TextCrossEncoder
from rerankers.models.transformer_ranker import TransformerRanker
from sentence_transformers import CrossEncoder as Reference
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import resift
from resift.inspection.export import export
from resift.score.cross_encoder import longest_first
from tests.checkpoints import cross_encoder
from tests.references import jinabert, renamed

# Every architecture, and the settings that change its mathematics.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("bert", {}),
    "bert relu": ("bert", {"hidden_act": "relu"}),
    "bert gelu_new": ("bert", {"hidden_act": "gelu_new"}),
    "roberta": ("roberta", {}),
    "xlm-roberta": ("xlm-roberta", {}),
    "camembert": ("camembert", {}),
    "electra": ("electra", {}),
    "distilbert": ("distilbert", {}),
    "deberta-v3": ("deberta-v2", {}),
    "deberta-v2 conv": ("deberta-v2", {"conv_kernel_size": 3, "conv_act": "gelu"}),
    "deberta-v2 grouped conv": ("deberta-v2", {"conv_kernel_size": 3, "conv_groups": 2}),
    "deberta-v2 own projections": ("deberta-v2", {"share_att_key": False, "norm_rel_ebd": "none"}),
    "deberta-v2 no buckets": ("deberta-v2", {"position_buckets": -1}),
    "deberta-v2 c2p alone": ("deberta-v2", {"pos_att_type": ["c2p"], "share_att_key": False}),
    "deberta-v2 absolute": (
        "deberta-v2",
        {"relative_attention": False, "position_biased_input": True, "type_vocab_size": 2, "pos_att_type": None},
    ),
    "deberta-v2 narrow embeddings": ("deberta-v2", {"embedding_size": 32}),
    "modernbert": ("modernbert", {}),
    "modernbert mean": ("modernbert", {"classifier_pooling": "mean"}),
    "modernbert biases": (
        "modernbert",
        {"norm_bias": True, "attention_bias": True, "mlp_bias": True, "classifier_bias": True},
    ),
    "gte": ("gte", {}),
    "gte no types": ("gte", {"type_vocab_size": 0}),
    "jina_embeddings_v3": ("jina_embeddings_v3", {}),
}
FAMILIES = [name for name, (model_type, _) in CASES.items() if name in (model_type, "deberta-v3")]
QUERY = "what is the capital of norway?"
DOCUMENTS = ["oslo is the capital", "bread, water and a lamp. " * 3, "north", "it is in the north of the city: 1871!"]
PAIRS = [(QUERY, d) for d in DOCUMENTS]
OVERLONG = [
    (QUERY, "water bread lamp " * 40),
    ("where is the lamp and the bread " * 12, "oslo"),
    ("north south " * 40, "water and bread in the city " * 20),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A checkpoint of a case, made once."""
    folders: dict[str, Path] = {}

    def make(case: str) -> Path:
        if case not in folders:
            model_type, config = CASES[case]
            folders[case] = cross_encoder(tmp_path_factory.mktemp("tiny"), model_type, **config)
        return folders[case]

    return make


def exact(folder: Path, **options: Any) -> resift.Reranker:
    return resift.load(folder, precision="f32", **options)


def reference_logits(folder: Path, pairs: list[tuple[str, str]], model: Any = None) -> np.ndarray:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = model or AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        return np.array(
            [model(**tokenizer([q], [d], truncation=True, return_tensors="pt")).logits[0, 0].item() for q, d in pairs]
        )


def assert_equal(ours: resift.types.Scores, reference: np.ndarray) -> None:
    assert ours.kind is resift.ScoreKind.LOGIT
    np.testing.assert_allclose(np.array(ours.values, float), reference, atol=1e-4)
    assert np.std(reference) > 0.01  # the comparison would hold for constants too


@pytest.mark.parametrize("case", CASES)
def test_equal_to_transformers(made: Callable[[str], Path], case: str) -> None:
    folder = made(case)
    ours = exact(folder, long_documents="truncate", truncation="longest_first").score(PAIRS + OVERLONG)
    assert_equal(ours, reference_logits(folder, PAIRS + OVERLONG))
    assert [bool(f) for f in ours.flags] == [False] * len(PAIRS) + [True] * len(OVERLONG)


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_to_sentence_transformers(made: Callable[[str], Path], family: str) -> None:
    folder = made(family)
    reference = Reference(str(folder), activation_fn=torch.nn.Identity()).predict(PAIRS + OVERLONG)
    ours = exact(folder, long_documents="truncate", truncation="longest_first").score(PAIRS + OVERLONG)
    assert_equal(ours, reference)


@pytest.mark.parametrize("heads", [4, 6])
@pytest.mark.parametrize("later", [False, True], ids=["first layout", "later layout"])
@pytest.mark.parametrize("gate", ["geglu", "reglu"])
def test_jinabert(tmp_path: Path, heads: int, later: bool, gate: str) -> None:
    folder = jinabert.save(tmp_path, heads=heads, later=later, feed_forward_type=gate)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = [tokenizer(q, d, truncation=True) for q, d in PAIRS + OVERLONG]
    reference = np.array([jinabert.logit(folder, e["input_ids"], e["token_type_ids"]) for e in encoded])
    ours = exact(folder, long_documents="truncate", truncation="longest_first").score(PAIRS + OVERLONG)
    assert_equal(ours, reference)


@pytest.mark.parametrize("mixed", [None, 0.5])
def test_mgte_with_scaled_positions(tmp_path: Path, mixed: float | None) -> None:
    folder, model = renamed.mgte_ntk(tmp_path, mixed)
    assert_equal(exact(folder).score(PAIRS), reference_logits(folder, PAIRS, model))


def test_fused_xlm_roberta(tmp_path: Path) -> None:
    folder, model = renamed.flash_xlmr(tmp_path)
    assert_equal(exact(folder).score(PAIRS), reference_logits(folder, PAIRS, model))


def test_two_labels(tmp_path: Path) -> None:
    """The second label's logit minus the first's: its logistic function is the softmax's share of the second."""
    folder = cross_encoder(tmp_path, "bert", num_labels=2)
    reference = Reference(str(folder), activation_fn=torch.nn.Softmax(dim=-1)).predict(PAIRS)
    ranking = exact(folder).rerank(QUERY, DOCUMENTS)
    by_id = {c.document.id: c.probability for c in ranking}
    np.testing.assert_allclose([by_id[str(i)] for i in range(len(PAIRS))], reference[:, 1], atol=1e-5)
    assert resift.load(folder).scorer.contract.input.labels == 2


@pytest.mark.parametrize(("name", "labels"), [("m", 1), ("monobert", 2)])
def test_what_rerankers_returns(tmp_path: Path, name: str, labels: int) -> None:
    """Raw logits; the difference of two labels where the name holds "monobert". A single document gets no rank."""
    folder = cross_encoder(tmp_path / name, "bert", num_labels=labels)
    reference, ours = TransformerRanker(str(folder), dtype=torch.float32, device="cpu", verbose=0), exact(folder)
    theirs = {r.text: float(r.score) for r in reference.rank(QUERY, DOCUMENTS).results}
    for c in ours.rerank(QUERY, DOCUMENTS):
        assert c.score is not None and c.score.value == pytest.approx(theirs[c.document.text], abs=1e-4)
    if labels == 1:
        assert reference.rank(QUERY, DOCUMENTS[:1]).results[0].rank is None
    assert ours.rerank(QUERY, DOCUMENTS[:1])[0].rank == 1


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_what_fastembed_returns(tmp_path: Path, kind: str) -> None:
    """Raw logits of an ONNX file, in the order given and without ids; the longer side is cut first."""
    folder = cross_encoder(tmp_path / kind, kind)
    export(str(folder), tmp_path / "onnx", to="onnx", weights="f32", force=True)
    shutil.copy(folder / "tokenizer_config.json", tmp_path / "onnx")
    (tmp_path / "onnx/special_tokens_map.json").write_text("{}")  # fastembed wants one; Transformers writes none now
    name = f"tests/{kind}"
    TextCrossEncoder.add_custom_model(name, ModelSource(hf="tests/none"), "model.onnx")
    reference = TextCrossEncoder(name, specific_model_path=str(tmp_path / "onnx"))
    long = [*DOCUMENTS, "the water of the north " * 40]
    ours = resift.load(folder, precision="f32", long_documents="truncate", truncation="longest_first")
    theirs = list(reference.rerank(QUERY, long))
    np.testing.assert_allclose(ours.score([(QUERY, d) for d in long]).values, theirs, atol=1e-4)
    assert np.std(theirs) > 0.01


@pytest.mark.parametrize("activation", [torch.nn.Identity(), torch.nn.Sigmoid()])
def test_what_the_authors_return(tmp_path: Path, activation: torch.nn.Module) -> None:
    """sentence-transformers' scale depends on the checkpoint; our score is the logit, `probability` its logistic."""
    made = cross_encoder(tmp_path / "plain", "bert")
    Reference(str(made), activation_fn=activation).save_pretrained(str(tmp_path / "saved"))
    theirs = Reference(str(tmp_path / "saved")).predict(PAIRS)
    identity = isinstance(activation, torch.nn.Identity)
    for c in exact(tmp_path / "saved").rerank(QUERY, DOCUMENTS):
        assert c.score is not None and c.score.kind is resift.ScoreKind.LOGIT
        ours = c.score.value if identity else c.probability
        assert ours == pytest.approx(float(theirs[int(c.document.id)]), abs=1e-4)


@pytest.mark.parametrize(("query", "words"), [(3, 90), (90, 3), (70, 90), (31, 31), (30, 31)])
def test_longest_first_is_the_tokenizers_rule(made: Callable[[str], Path], query: int, words: int) -> None:
    for family in ("bert", "roberta"):
        tokenizer = AutoTokenizer.from_pretrained(made(family))
        encoded = tokenizer("water " * query, "lamp " * words, truncation=True, max_length=64)["input_ids"]
        counts = tuple(encoded.count(tokenizer.convert_tokens_to_ids(w)) for w in ("water", "lamp"))
        special = tokenizer.num_special_tokens_to_add(pair=True)
        if query + words > 64 - special:
            assert longest_first(query, words, 64 - special) == counts


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_checkpoints(tmp_path: Path, dtype: torch.dtype) -> None:
    folder = cross_encoder(tmp_path, "bert", dtype=dtype)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    model.save_pretrained(tmp_path / "wide")
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "wide")
    assert_equal(exact(folder).score(PAIRS), reference_logits(tmp_path / "wide", PAIRS))


@pytest.mark.parametrize("family", FAMILIES)
def test_long_documents_are_scored_in_windows(made: Callable[[str], Path], family: str) -> None:
    reranker = exact(made(family))
    long = "water lamp bread " * 40 + "oslo " * 20
    scores = reranker.score([("capital", long)])
    assert scores.flags == (frozenset({"windowed"}),)
    span = scores.spans[0]
    assert span is not None
    alone = reranker.score([("capital", long[span.start : span.end])])
    assert alone.flags == (frozenset(),)
    assert scores.values[0] == pytest.approx(alone.values[0], abs=1e-4)


def test_a_long_query_leaves_room_for_the_document(made: Callable[[str], Path]) -> None:
    scores = exact(made("bert")).score([("water " * 200, "oslo is the capital"), ("water " * 200, "north")])
    assert all("query_truncated" in f for f in scores.flags)
    assert scores.values[0] != scores.values[1]
