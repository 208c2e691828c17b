"""The CrossEncoder-like adapter against CrossEncoder itself, on the same checkpoint."""

import inspect
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder as Reference
from sentence_transformers.base.evaluation import SentenceEvaluator
from sentence_transformers.cross_encoder.evaluation import (
    CrossEncoderClassificationEvaluator,
    CrossEncoderCorrelationEvaluator,
    CrossEncoderRerankingEvaluator,
)

import resift
from resift import Reranker
from resift.adapters.cross_encoder import CrossEncoder
from resift.errors import InputError
from tests.checkpoints import cross_encoder

QUERY = "a lamp"
TEXTS = ["the lamp is lit", "bread", "a lighthouse has a lamp", "nothing at all"]
PAIRS = [(QUERY, t) for t in TEXTS]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[CrossEncoder, Reference]:
    folder: Path = cross_encoder(tmp_path_factory.mktemp("ce"), "bert")
    return CrossEncoder(resift.load(folder, precision="f32")), Reference(str(folder), device="cpu")


def test_predict_is_theirs(both: tuple[CrossEncoder, Reference]) -> None:
    ours, theirs = both
    np.testing.assert_allclose(ours.predict(PAIRS), theirs.predict(PAIRS), atol=1e-5)
    assert ours.predict(PAIRS).dtype == theirs.predict(PAIRS).dtype == np.float32
    assert ours.predict(PAIRS[0]) == pytest.approx(theirs.predict(PAIRS[0]), abs=1e-5)
    assert np.ndim(ours.predict(PAIRS[0])) == 0
    plain = torch.nn.Identity()
    np.testing.assert_allclose(
        ours.predict(PAIRS, activation_fn=plain), theirs.predict(PAIRS, activation_fn=plain), atol=1e-4
    )
    tensor = ours.predict(PAIRS, convert_to_tensor=True)
    assert isinstance(tensor, torch.Tensor) and tensor.shape == (4,)
    assert isinstance(ours.predict(PAIRS, convert_to_numpy=False), list)


def test_rank_is_theirs(both: tuple[CrossEncoder, Reference]) -> None:
    ours, theirs = both
    for options in ({}, {"top_k": 2}, {"return_documents": True}):
        mine, other = ours.rank(QUERY, TEXTS, **options), theirs.rank(QUERY, TEXTS, **options)
        assert [m["corpus_id"] for m in mine] == [o["corpus_id"] for o in other]
        assert [m["score"] for m in mine] == pytest.approx([float(o["score"]) for o in other], abs=1e-5)
        assert [m.get("text") for m in mine] == [o.get("text") for o in other]


def test_older_keywords(both: tuple[CrossEncoder, Reference]) -> None:
    ours, _ = both
    found = ours.predict(sentences=PAIRS, activation_fct=torch.nn.Identity(), num_workers=2, batch_size=1)
    np.testing.assert_array_equal(found, ours.predict(PAIRS, activation_fn=torch.nn.Identity()))
    np.testing.assert_array_equal(ours.predict([list(p) for p in PAIRS]), ours.predict(PAIRS))


def test_signatures_are_theirs() -> None:
    for name in ("predict", "rank"):
        ours = inspect.signature(getattr(CrossEncoder, name)).parameters
        theirs = [
            p.name
            for p in inspect.signature(getattr(Reference, name)).parameters.values()
            if p.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        assert theirs == list(ours)[: len(theirs)], name


def test_what_has_no_meaning_is_refused(both: tuple[CrossEncoder, Reference]) -> None:
    for wrong in ({"prompt": "x"}, {"prompt_name": "x"}, {"apply_softmax": True}):
        with pytest.raises(InputError, match="no meaning"):
            both[0].predict(PAIRS, **wrong)
    with pytest.raises(InputError, match="pairs"):
        both[0].predict()


def test_other_kinds_keep_their_score_and_an_empty_document_is_last(mini: Reranker) -> None:
    ours = CrossEncoder(mini)
    found = ours.predict([(QUERY, ""), *PAIRS])
    assert found[0] == -math.inf
    np.testing.assert_allclose(found[1:], mini.score(PAIRS).values, atol=1e-6)
    assert ours.rank(QUERY, ["", *TEXTS])[-1] == {"corpus_id": 0, "score": -math.inf}


EVALUATORS = [
    CrossEncoderRerankingEvaluator(
        [{"query": QUERY, "positive": TEXTS[:1], "negative": TEXTS[1:]}], name="x", write_csv=False
    ),
    CrossEncoderClassificationEvaluator(PAIRS, [1, 0, 1, 0], name="x", write_csv=False),
    CrossEncoderCorrelationEvaluator(PAIRS, [1.0, 0.1, 0.8, 0.2], name="x", write_csv=False),
]


@pytest.mark.parametrize("evaluator", EVALUATORS, ids=lambda e: type(e).__name__)
def test_evaluators_take_it(both: tuple[CrossEncoder, Reference], evaluator: SentenceEvaluator) -> None:
    ours, theirs = (evaluator(model) for model in both)
    assert ours == pytest.approx(theirs, abs=1e-4) and ours


def test_documents_are_known_by_their_position(mini: Reranker) -> None:
    documents = [{"id": "a", "text": "Bread is baked."}, {"id": "b", "text": "The lamp is lit."}]
    best = CrossEncoder(mini).rank(QUERY, documents, return_documents=True)[0]
    assert best["corpus_id"] == 1 and best["text"] is documents[1]


@pytest.mark.parametrize("wrong", ["ab", {"a": "b"}, 3, ["ab"], [("a", "b", "c")], [3]], ids=repr)
def test_what_is_no_list_of_pairs_is_refused(mini: Reranker, wrong: Any) -> None:
    with pytest.raises(InputError):
        CrossEncoder(mini).predict(wrong)


@pytest.mark.parametrize("wrong", ["a lamp", {"text": "a"}, None, [3]], ids=repr)
def test_what_is_no_list_of_documents_is_refused(mini: Reranker, wrong: Any) -> None:
    with pytest.raises(InputError, match="document"):
        CrossEncoder(mini).rank(QUERY, wrong)
