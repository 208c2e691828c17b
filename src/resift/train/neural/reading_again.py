"""What Resift makes of a folder that was just written, at f32: by this a saved model is proved."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from resift.errors import BrokenModel, ResiftError
from resift.models.layer_names import with_layer
from resift.score.load import load_embedder, load_scorer
from resift.train.neural.trainable import Floats, Pairs
from resift.types import Candidate, Document, Query


def resift_scores(folder: Path, probes: Pairs, layer: int | None = None) -> Floats:
    """(n,) scores of pairs by the last head, or by that at a layer; NaN where there is none.

    Raises:
        BrokenModel: Resift can't score with the folder.

    """
    name = with_layer(str(folder), layer)
    pairs = [(Query(query), Candidate(Document(str(i), text))) for i, (query, text) in enumerate(probes)]
    try:
        judgements = load_scorer(name, "f32", engine="auto").score(pairs).judgements
    except ResiftError as error:
        raise BrokenModel(f"Resift can't score with the model that was written: {error}") from error
    return np.array([np.nan if j.value is None else j.value for j in judgements])


def resift_vectors(folder: Path, probes: Pairs) -> Floats:
    """(2 n, dims) vectors of length 1, of the queries and then of the documents.

    Raises:
        BrokenModel: Resift can't embed with the folder.

    """
    queries, documents = zip(*probes, strict=True)
    try:
        embedder = load_embedder(str(folder), "f32")
        vectors = [embedder.embed(queries, "query"), embedder.embed(documents, "document")]
    except ResiftError as error:
        raise BrokenModel(f"Resift can't embed with the model that was written: {error}") from error
    return np.concatenate(vectors).astype(np.float64)
