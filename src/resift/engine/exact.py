"""MaxSim on f32 vectors, for models whose scores must equal those of another implementation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resift.engine.batching import FloatArray


@dataclass(frozen=True, slots=True)
class ExactVectors:
    """Vectors of one text's tokens (T, D) f32, and the characters (T, 2) that each token covers."""

    values: FloatArray
    spans: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.values)


def exact_maxsim(
    query: FloatArray, weights: FloatArray, documents: Sequence[ExactVectors]
) -> tuple[FloatArray, npt.NDArray[np.int32], FloatArray]:
    """As `maxsim.maxsim`, but each document alone, so that no other document changes its score."""
    places = np.empty((len(documents), len(query)), np.int32)
    cosines = np.empty((len(documents), len(query)), np.float32)
    for i, document in enumerate(documents):
        similarity = query @ document.values.T
        places[i], cosines[i] = similarity.argmax(axis=1), similarity.max(axis=1)
    return cosines @ weights, places, cosines
