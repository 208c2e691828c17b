"""Rows whose labels follow from their features, for tests of training."""

import numpy as np

from resift.train.ltr.rows import TrainingRows, checked_rows

FEATURES = ("useful", "harmful", "noise", "sparse")


def synthetic_rows(queries: int = 60, candidates: int = 12, seed: int = 0) -> TrainingRows:
    """Labels of 0 to 3: "useful" raises them, "harmful" lowers them, "sparse" raises them where it is not missing."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(queries * candidates, len(FEATURES))).astype(np.float32)
    matrix[rng.random(len(matrix)) < 0.4, 3] = np.nan
    value = 1.2 * matrix[:, 0] - 0.8 * matrix[:, 1] + 0.7 * np.nan_to_num(matrix[:, 3], nan=-0.5)
    value += rng.normal(scale=0.4, size=len(value))
    labels = np.clip(np.floor(value + 1), 0, 3)
    return checked_rows(matrix, labels, [f"q{i // candidates}" for i in range(len(matrix))], FEATURES)
