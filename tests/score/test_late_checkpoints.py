"""Late-interaction checkpoints of others: token vectors and MaxSim equal to sentence-transformers 6, at f32."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

import resift
from resift.errors import BrokenModel, UnknownFamily
from resift.models.recognition import read_contract
from resift.score.late_interaction import LateInteraction
from tests.checkpoints import edited
from tests.vector_checkpoints import DOCUMENTS, OUT, QUERIES, WIDTH, encoder, pylate, seeded, stanford

EXPANSIONS = {
    "none": None,
    "fixed": {"strategy": "fixed", "attend": False, "length": 16},
    "attended": {"strategy": "fixed", "attend": True, "length": 16},
    "min": {"strategy": "min", "attend": False, "length": 12},
}


def multi_vector(folder: Path, expansion: str, model_type: str = "bert", **options: Any) -> Path:
    """A MultiVectorEncoder with two projections, saved by its own library."""
    base = encoder(folder / "base", model_type, ("[Q]", "[D]"))
    inner = torch.from_numpy(seeded((32, WIDTH), 98))
    outer = torch.from_numpy(seeded((OUT, 32), 99))
    token = {"module_input_name": "token_embeddings"}
    model = MultiVectorEncoder(
        modules=[
            Transformer(str(base), document_length=24, query_expansion=EXPANSIONS[expansion]),
            Dense(WIDTH, 32, activation_function=torch.nn.GELU(), init_weight=inner, use_residual=True, **token),
            Dense(32, OUT, bias=False, activation_function=torch.nn.Identity(), init_weight=outer, **token),
            MultiVectorMask(skiplist_words=[".", "!"], **options),
            Normalize(**token),
        ],
        prompts={"query": "[Q] ", "document": "[D] "},
        similarity_fn_name="meanmaxsim" if expansion == "none" else "maxsim",
        device="cpu",
    )
    model.save_pretrained(str(folder / "saved"))
    return folder / "saved"


def check(folder: Path) -> None:
    """Vectors of queries and documents, and all scores."""
    reference = MultiVectorEncoder(str(folder), device="cpu")
    ours = resift.load(folder, precision="f32", long_documents="truncate")
    scorer = ours.scorer
    assert isinstance(scorer, LateInteraction)
    theirs = reference.encode_query(QUERIES, convert_to_numpy=True)
    for own, their in zip(scorer.encode_queries(QUERIES), theirs, strict=True):
        np.testing.assert_allclose(own.values, their, atol=1e-4)
    read = reference.encode_document(DOCUMENTS, convert_to_numpy=True)
    for own, their in zip(scorer.encode_documents(DOCUMENTS, rounded=False), read, strict=True):
        np.testing.assert_allclose(own.windows[0].values, their, atol=1e-4)
    scores = ours.score([(q, d) for q in QUERIES for d in DOCUMENTS])
    expected = reference.similarity(theirs, read).numpy().ravel()
    np.testing.assert_allclose(scores.values, expected, atol=1e-4)
    assert np.std(expected) > 0.01 and scores.kind is ours.scorer.contract.kind
    mean = ours.scorer.contract.input.reduce == "mean"
    assert scores.kind is (resift.ScoreKind.MAXSIM if mean else resift.ScoreKind.MAXSIM_SUM)


@pytest.mark.parametrize("expansion", EXPANSIONS)
def test_multi_vector_encoder(tmp_path: Path, expansion: str) -> None:
    check(multi_vector(tmp_path, expansion))


@pytest.mark.parametrize("model_type", ["xlm-roberta", "electra"])
def test_other_encoders(tmp_path: Path, model_type: str) -> None:
    check(multi_vector(tmp_path, "fixed", model_type))


def test_modernbert_whose_layers_see_six_tokens(tmp_path: Path) -> None:
    check(multi_vector(tmp_path / "a", "attended", "modernbert"))
    check(multi_vector(tmp_path / "b", "none", "modernbert"))
    with pytest.raises(UnknownFamily, match="would see nothing"):
        resift.load(multi_vector(tmp_path / "c", "fixed", "modernbert"))


def test_a_skiplist_for_both_sides(tmp_path: Path) -> None:
    check(multi_vector(tmp_path, "none", skiplist_tasks=["query", "document"]))


@pytest.mark.parametrize("settings", [{}, {"attend_to_mask_tokens": True}, {"mask_punctuation": False}])
def test_stanford(tmp_path: Path, settings: dict[str, object]) -> None:
    check(stanford(tmp_path, **settings))


@pytest.mark.parametrize(
    "settings", [{}, {"do_query_expansion": False, "query_length": 20}, {"prompts": {"query": "the "}}]
)
def test_pylate_as_sentence_transformers_reads_it(tmp_path: Path, settings: dict[str, object]) -> None:
    check(pylate(tmp_path, **settings))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> LateInteraction:
    scorer = resift.load(pylate(tmp_path_factory.mktemp("late")), precision="f32").scorer
    assert isinstance(scorer, LateInteraction)
    return scorer


def test_a_score_depends_on_its_pair_alone(small: LateInteraction) -> None:
    ours = resift.Reranker(small)
    pairs = [(q, d) for q in QUERIES for d in [*DOCUMENTS, "water bread " * 60]]
    together = ours.score(pairs)
    alone = [ours.score([p]).values[0] for p in pairs]
    np.testing.assert_allclose(together.values, alone, atol=1e-4)
    backwards = ours.score(pairs[::-1]).values[::-1]
    np.testing.assert_allclose(together.values, backwards, atol=1e-4)


def test_the_sum_is_over_all_query_tokens(small: LateInteraction) -> None:
    """Against a MaxSim that is written out; 16 tokens with the expansion, markers and special tokens included."""
    query = small.encode_queries([QUERIES[1]])[0].values
    document = small.encode_documents([DOCUMENTS[1]], rounded=False)[0].windows[0].values
    assert len(query) == 16
    written_out = sum(max(float(np.dot(q, d)) for d in document) for q in query)
    assert resift.Reranker(small).score([(QUERIES[1], DOCUMENTS[1])]).values[0] == pytest.approx(written_out, abs=1e-4)
    np.testing.assert_allclose(np.linalg.norm(query, axis=1), 1, atol=1e-5)


def test_rounding_costs_little(small: LateInteraction) -> None:
    (exact,), (rounded,) = (small.encode_documents([DOCUMENTS[3]], rounded=r) for r in (False, True))
    restored = rounded.windows[0].values * rounded.windows[0].scales[:, None]
    assert np.abs(restored - exact.windows[0].values).max() < 0.004


def test_long_texts_and_none(small: LateInteraction) -> None:
    ours = resift.Reranker(small)
    long = "bread " * 60 + "oslo is the capital of norway."
    scores = ours.score([(QUERIES[0], long), ("water " * 40, "lamp"), (QUERIES[0], ""), (QUERIES[0], "!!!")])
    assert scores.flags[:3] == (frozenset({"windowed"}), frozenset({"query_truncated"}), frozenset({"empty"}))
    assert scores.values[2] is None and scores.values[3] is not None  # of "!!!" the marker and special tokens are left
    for c in ours.rerank(QUERIES[0], [long, "!!!", "lamp"]):
        assert c.span is None or 0 <= c.span.start < c.span.end <= len(c.document.text)
    with pytest.raises(resift.InputError, match="at least one word"):
        ours.rerank(" ", ["lamp"])


def test_literals_of_markers_and_special_tokens_are_plain_text(small: LateInteraction) -> None:
    (made,) = small._inputs.documents(["[Q] lamp [MASK] [D] [SEP] [CLS]"], first_only=True)
    ids = [small.tokens.id_of(t) for t in ("[Q] ", "[D] ", "[MASK]", "[SEP]", "[CLS]")]
    assert [made.windows[0].ids.count(i or -1) for i in ids] == [0, 1, 0, 1, 1]


def test_unknown_punctuation_takes_nothing_with_it(tmp_path: Path) -> None:
    """A skipped sign that the vocabulary lacks is left out; PyLate takes it for [UNK] and skips all unknown words."""
    folder = pylate(tmp_path)
    encoder(folder, markers=("[Q] ", "[D] "), punctuation="")
    check(folder)


def test_what_is_refused(tmp_path: Path) -> None:
    folder = stanford(tmp_path / "a")
    tensors = {n: t for n, t in load_file(folder / "model.safetensors").items() if n != "linear.weight"}
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(BrokenModel, match=r"no projection \(tensor linear.weight\)"):
        resift.load(folder)
    with pytest.raises(UnknownFamily, match="compares by l2"):
        resift.load(stanford(tmp_path / "b", similarity="l2"))
    with pytest.raises(BrokenModel, match=r"no token '\[QUERY\]'"):
        resift.load(pylate(tmp_path / "c", query_prefix="[QUERY]"))
    folder = stanford(tmp_path / "d")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(BrokenModel, match="no undamaged archive"):
        resift.load(folder)
    folder = edited(stanford(tmp_path / "e"), model_type="rwkv")
    with pytest.raises(UnknownFamily, match="encoder of type 'rwkv'"):
        resift.load(folder)


def test_a_contract_written_out_reads_back(tmp_path: Path) -> None:
    folder = pylate(tmp_path)
    before = resift.load(folder, precision="f32").score([(QUERIES[0], DOCUMENTS[0])]).values
    contract = read_contract(folder)
    contract.write(folder)
    assert read_contract(folder) == contract and contract.input.query_marker == "[Q] "
    assert resift.load(folder, precision="f32").score([(QUERIES[0], DOCUMENTS[0])]).values == before
    wrong = json.loads((folder / "contract.json").read_text())
    for change in ({"reduce": "median"}, {"surprise": 1}, {"skip_in": ["both"]}):
        (folder / "contract.json").write_text(json.dumps(wrong | {"tokens": wrong["tokens"] | change}))
        with pytest.raises(BrokenModel, match="malformed"):
            read_contract(folder)
