"""Scores of models that read query and document apart; each distinct text is encoded once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from resift.train.neural.trainable import Floats, Pairs

_BATCH = 256  # texts; an encoder runs them in groups of like length

Vectors = npt.NDArray[np.float32]


def score_by_cosine(model: Any, pairs: Pairs, bf16: bool = False) -> Floats:  # noqa: ANN401
    """(n,) cosines of the vectors of queries and documents, f64; the model stays in its mode."""
    queries, q_of = _distinct([query for query, _ in pairs])
    documents, d_of = _distinct([document for _, document in pairs])
    q, d = encoded(model, queries, documents, bf16)
    scores = np.zeros(len(pairs))
    for i, vector in enumerate(q):
        rows = np.flatnonzero(q_of == i)
        scores[rows] = d[d_of[rows]] @ vector
    return scores


def score_by_maxsim(model: Any, pairs: Pairs, bf16: bool = False) -> Floats:  # noqa: ANN401
    """(n,) sums over a query's tokens of their best cosine in the document, or means where the model's are, f64."""
    queries, q_of = _distinct([query for query, _ in pairs])
    documents, d_of = _distinct([document for _, document in pairs])
    q, d = encoded(model, queries, documents, bf16)
    mean = model.similarity_fn_name == "meanmaxsim"
    return np.array([_maxsim(q[a], d[b], mean) for a, b in zip(q_of, d_of, strict=True)])


def score_with_pooled(model: Any, pairs: Pairs, share: float, bf16: bool = False) -> Floats:  # noqa: ANN401
    """(n,) means of MaxSim, in which the cosine of pooled vectors has a share (0..1), f64; one pass gives both."""
    queries, q_of = _distinct([query for query, _ in pairs])
    documents, d_of = _distinct([document for _, document in pairs])
    q, d = (
        [_tokens_and_pooled(item) for item in side] for side in encoded(model, queries, documents, bf16, whole=True)
    )
    return np.array(
        [
            (1 - share) * _maxsim(q[a][0], d[b][0], True) + share * float(q[a][1] @ d[b][1])
            for a, b in zip(q_of, d_of, strict=True)
        ]
    )


def _tokens_and_pooled(item: Mapping[str, Tensor]) -> tuple[Vectors, Vectors]:
    """The vectors of a text's tokens that are compared, and its pooled vector, each of length 1."""
    pooled = item["sentence_embedding"].float()
    tokens = item["token_embeddings"][item["attention_mask"].bool()].float()
    normalize = torch.nn.functional.normalize
    return normalize(tokens, dim=-1).cpu().numpy(), normalize(pooled, dim=-1).cpu().numpy()


def _maxsim(query: Vectors, document: Vectors, mean: bool) -> float:
    """MaxSim of token vectors; 0 where a text has no token that is compared."""
    if not len(query) or not len(document):
        return 0.0
    best = (query @ document.T).max(axis=1)
    return float(best.mean() if mean else best.sum())


def encoded(
    model: Any,  # noqa: ANN401
    queries: Sequence[str],
    documents: Sequence[str],
    bf16: bool = False,
    whole: bool = False,
) -> tuple[Any, Any]:
    """Vectors of length 1 of queries and documents: (n, D), or for late interaction n arrays (tokens, D).

    With `whole` all that a late-interaction model computes of each text, by name.
    """
    kind: dict[str, Any] = {"output_value": None} if whole else {"convert_to_numpy": True}
    training = model.training
    sides = []
    with torch.inference_mode(), torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
        for encode, texts in ((model.encode_query, queries), (model.encode_document, documents)):
            sides.append(
                encode(
                    list(texts), batch_size=_BATCH, show_progress_bar=False, normalize_embeddings=True, **kind,
                )
            )  # fmt: skip
    model.train(training)
    return sides[0], sides[1]


def _distinct(texts: Sequence[str]) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Texts without repetition, and the place of each among them."""
    places: dict[str, int] = {}
    rows = [places.setdefault(text, len(places)) for text in texts]
    return list(places), np.array(rows, np.int64)
