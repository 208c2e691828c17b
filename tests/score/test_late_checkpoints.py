"""Late-interaction checkpoints of others: token vectors and MaxSim equal to sentence-transformers 6, at f32."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

import resift
from resift.score.late import LateInteraction
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
    assert np.std(expected) > 0.01 and scores.kind is resift.ScoreKind.MAXSIM


@pytest.mark.parametrize("expansion", EXPANSIONS)
def test_multi_vector_encoder(tmp_path: Path, expansion: str) -> None:
    check(multi_vector(tmp_path, expansion))


@pytest.mark.parametrize("model_type", ["xlm-roberta", "electra"])
def test_other_encoders(tmp_path: Path, model_type: str) -> None:
    check(multi_vector(tmp_path, "fixed", model_type))


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
