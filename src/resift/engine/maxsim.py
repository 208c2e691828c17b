"""MaxSim, the score of late interaction: for each query token its best cosine in the document, averaged by weight.

Khattab & Zaharia, ColBERT (2020), eq. 3, with a weighted mean instead of the sum, so that scores lie in -1..1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resift.engine.batching import FloatArray

_BLOCK = 1 << 16  # document tokens multiplied at once: bounds the memory of the similarity matrix


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """Unit vectors of one text's tokens as int8, each with the factor that restores it.

    values: (T, D) int8; scales: (T,) f32; spans: (T, 2) characters of the text that each token covers.
    """

    values: npt.NDArray[np.int8]
    scales: FloatArray
    spans: npt.NDArray[np.int32]

    @classmethod
    def quantized(cls, vectors: FloatArray, spans: npt.NDArray[np.int32]) -> TokenVectors:
        """Round (T, D) vectors to int8, symmetric, one scale per token."""
        scales = np.maximum(np.abs(vectors).max(axis=1, initial=0.0), 1e-12).astype(np.float32) / np.float32(127)
        values = np.rint(vectors / scales[:, None]).astype(np.int8)
        return cls(values, scales, spans)

    def __len__(self) -> int:
        return len(self.values)


def maxsim(
    query: FloatArray, weights: FloatArray, documents: Sequence[TokenVectors]
) -> tuple[FloatArray, list[npt.NDArray[np.intp]], list[FloatArray]]:
    """Score one query against n documents.

    Args:
        query: (Q, D) unit vectors of the query's tokens.
        weights: (Q,) share of each query token; they sum to 1.
        documents: none of them empty.

    Returns:
        scores (n,) in -1..1; per document the position of each query token's best match (Q,), and its cosine (Q,).

    """
    scores = np.empty(len(documents), dtype=np.float32)
    places: list[npt.NDArray[np.intp]] = []
    cosines: list[FloatArray] = []
    for start, end in _blocks(documents):
        part = documents[start:end]
        values = np.concatenate([d.values for d in part]).astype(np.float32)
        similarity = (query @ values.T) * np.concatenate([d.scales for d in part])
        at = 0
        for i, d in enumerate(part, start):
            own = similarity[:, at : at + len(d)]
            place = own.argmax(axis=1)
            best = own[np.arange(len(own)), place]
            scores[i] = weights @ best
            places.append(place)
            cosines.append(best)
            at += len(d)
    return scores, places, cosines


def _blocks(documents: Sequence[TokenVectors]) -> list[tuple[int, int]]:
    blocks, start, size = [], 0, 0
    for i, d in enumerate(documents):
        if size and size + len(d) > _BLOCK:
            blocks.append((start, i))
            start, size = i, 0
        size += len(d)
    if documents:
        blocks.append((start, len(documents)))
    return blocks


def densest(place: npt.NDArray[np.intp], gain: FloatArray, width: int) -> tuple[int, int]:
    """First and last matched token of the stretch of at most `width` tokens that holds the most gain.

    Ties go to the earliest stretch.
    """
    order = np.argsort(place, kind="stable")
    at, total = place[order], np.concatenate([[0.0], np.cumsum(np.maximum(gain[order], 0.0))])
    ends = np.searchsorted(at, at + width, side="left")
    first = int(np.argmax(total[ends] - total[:-1]))
    return int(at[first]), int(at[ends[first] - 1])
