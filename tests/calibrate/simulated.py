"""Scores whose true probabilities are known."""

import numpy as np

from resift.calibrate.calibration import Binding
from resift.calibrate.fit import Sample, sample_of
from resift.calibrate.labelled_pairs import LabelledPair
from resift.types import Document, Query, ScoreKind

BINDING = Binding("simulated", ScoreKind.LOGIT, "f00d", "native f32", "windows", "settings")


def true_probability(scores: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-(1.5 * scores - 1.0)))


def simulated(seed: int, queries: int = 120, documents: int = 10, spread: float = 3.0) -> Sample:
    """Documents of one query share a shift of their scores, so that pairs of a query depend on each other."""
    random = np.random.default_rng(seed)
    scores = random.normal(0, spread, (queries, documents)) + random.normal(-1, 1, (queries, 1))
    relevant = random.random(scores.shape) < true_probability(scores)
    pairs = [
        LabelledPair(Query(f"query {q}", str(q)), Document(f"{q}-{d}", f"text {q} {d}"), float(relevant[q, d]))
        for q in range(queries)
        for d in range(documents)
    ]
    return sample_of(pairs, scores.ravel().tolist())
