"""The bundled model: golden scores, two engines, bad input, spans."""

import json

import numpy as np
import onnxruntime
import pytest
from tokenizers import Tokenizer

import resift
from resift import InputError, Reranker
from resift.engine.batching import Sequences, pack
from resift.score.load import find_model

FOLDER = find_model("resift-mini-en")
TEXTS = [
    "Oslo is the capital of Norway.",
    "bread",
    "A longer text about ferries, lamps and the people who keep them. " * 9,
]


def test_golden_scores(mini: Reranker) -> None:
    golden = mini.scorer.contract.golden
    assert len(golden) >= 6
    scores = mini.score([(g.query, g.document) for g in golden])
    np.testing.assert_allclose(scores.values, [g.score for g in golden], atol=1e-4)


def test_openvino_and_onnx_runtime_agree(mini: Reranker) -> None:
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    tokenizer.no_padding()
    batches = pack(Sequences([tokenizer.encode(t).ids for t in TEXTS]), 0)
    session = onnxruntime.InferenceSession(FOLDER / "model.onnx", providers=["CPUExecutionProvider"])
    for batch, ours in mini.scorer._engine.run(batches):
        reference = session.run(None, {"input_ids": batch.ids, "attention_mask": batch.mask})
        real = batch.mask.astype(bool)
        np.testing.assert_allclose(ours[0][real], reference[0][real], atol=1e-4)
        np.testing.assert_allclose(ours[1], reference[1], atol=1e-4)
        np.testing.assert_allclose(ours[2], reference[2], rtol=1e-4)
        np.testing.assert_allclose(np.linalg.norm(ours[0][real], axis=-1), 1, atol=1e-5)


def test_it_fits_in_the_package() -> None:
    assert sum(f.stat().st_size for f in FOLDER.iterdir()) <= 30_000_000
    assert {"contract.json", "tokenizer.json", "model.onnx", "MODEL_CARD.md"} <= {f.name for f in FOLDER.iterdir()}
    assert json.loads((FOLDER / "contract.json").read_text())["license"] == "Apache-2.0"


def test_the_span_is_where_the_match_is(mini: Reranker) -> None:
    filler = "The committee met in the spring and adjourned without a decision on the budget. " * 12
    text = filler + "Puffins breed on the western cliffs of the island. " + filler
    (candidate,) = mini.rerank("where do puffins breed", [text])
    assert candidate.span is not None
    assert "Puffins breed on the western cliffs" in text[candidate.span.start : candidate.span.end]
    assert candidate.span.end - candidate.span.start < 400


def test_long_documents_are_read_in_windows(mini: Reranker) -> None:
    filler = "The committee met in the spring and adjourned without a decision. " * 120
    text = filler + "Puffins breed on the western cliffs. " + filler
    windowed = mini.rerank("where do puffins breed", [text])[0]
    assert "windowed" in windowed.flags and windowed.span is not None
    assert "Puffins" in text[windowed.span.start : windowed.span.end]
    cut = resift.load("resift-mini-en", precision="f32", long_documents="truncate").rerank(
        "where do puffins breed", [text]
    )[0]
    assert "truncated" in cut.flags and windowed.score is not None and cut.score is not None
    assert windowed.score > cut.score


def test_special_token_literals_are_plain_text(mini: Reranker) -> None:
    plain, literal = mini.score(
        [("lamp", "a lamp [SEP] [CLS] [PAD] shines"), ("lamp", "a lamp sep cls pad shines")]
    ).values
    assert plain is not None and literal is not None
    ids = mini.scorer.tokens.encode(["[SEP] [CLS] </s> <|im_end|>"])[0].ids
    assert not {101, 102, 0} & set(ids)


def test_unsafe_characters_and_empty_documents(mini: Reranker) -> None:
    documents = ["", "a \ud800 book\x00 of rules", " \n", "a lamp shines", "a lamp shines"]
    ranking = mini.rerank("lamp", documents)
    assert [c.document.id for c in ranking][-2:] == ["0", "2"]
    assert [c.document.id for c in ranking][:2] == ["3", "4"]  # duplicates tie, in order
    by_id = {c.document.id: c for c in ranking}
    assert by_id["1"].flags == {"replaced_characters"}
    assert by_id["0"].flags == by_id["2"].flags == {"empty"} and by_id["0"].score is None
    assert by_id["1"].document.text == documents[1]


def test_nothing_to_rerank(mini: Reranker) -> None:
    assert len(mini.rerank("q", [])) == 0
    assert len(mini.score([])) == 0
    ranking = mini.rerank("q", ["", " "])
    assert not ranking.trace.reranked and ranking.trace.reason == "nothing to score"
    assert [c.document.id for c in ranking] == ["0", "1"]


def test_constant_scores_keep_the_order(mini: Reranker) -> None:
    ranking = mini.rerank("lamp", ["same text", "same text"])
    assert not ranking.trace.reranked and ranking.trace.reason == "constant scores"


@pytest.mark.parametrize("query", ["", "  ", "\x00"])
def test_an_empty_query_is_refused(mini: Reranker, query: str) -> None:
    if query.strip("\x00 "):
        pytest.fail("the cases are all without a word")
    with pytest.raises(InputError, match="ask with at least one word"):  # NUL becomes U+FFFD, which no token stands for
        mini.rerank(query, ["a"])


@pytest.mark.parametrize("bad", [3, None, ["a"], {"n": 1}])
def test_documents_of_other_types_are_refused(mini: Reranker, bad: object) -> None:
    with pytest.raises(InputError, match="document 1"):
        mini.rerank("q", ["a", bad])  # type: ignore[list-item]
