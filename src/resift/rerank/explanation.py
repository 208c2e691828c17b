"""Why a learned stage gave a score, in words: what each feature added to it, with its value."""

from __future__ import annotations

import math

from resift.features import Feature, FeatureSet
from resift.rerank.tree_models import Floats, Matrix
from resift.types import Reason

_LEAST = 0.05  # contributions that words show as 0.1


def reasons(features: FeatureSet, values: Matrix, contributions: Floats) -> tuple[Reason, ...]:
    """The features that changed one candidate's score, the largest contributions first.

    Args:
        features: of the model.
        values: (F,) of the candidate, NaN where missing.
        contributions: (F + 1,) what each added to the score (SHAP values, Lundberg et al., 2020), and the bias.

    """
    entries = []
    for feature, value, contribution in zip(features.features, values.tolist(), contributions.tolist(), strict=False):
        if contribution:
            known = None if math.isnan(value) else value
            entries.append(Reason(feature.column, known, contribution, _words(feature, known)))
    return tuple(sorted(entries, key=lambda reason: -abs(reason.contribution)))


def sentence(reasons: tuple[Reason, ...], most: int = 4) -> str:
    """The largest reasons on one line, such as "+0.8 the share of the query's terms in the title (0.67)"."""
    shown = [reason for reason in reasons if abs(reason.contribution) >= _LEAST][:most]
    signed = (f"{'+' if r.contribution > 0 else '−'}{abs(r.contribution):.1f} {r.words}" for r in shown)
    return ", ".join(signed) or "no feature stands out"


def _words(feature: Feature, value: float | None) -> str:
    """The feature's purpose up to its first comma or semicolon, its source or field, and the value."""
    purpose = feature.definition.purpose
    clause = min(purpose.split(";")[0], purpose.split(",")[0], key=len).strip()
    source = next((str(feature.parameters[key]) for key in ("source", "field") if key in feature.parameters), "")
    number = "missing" if value is None else f"{value:.4g}"
    return f"{clause[:1].lower()}{clause[1:]} ({f'{source}: ' if source else ''}{number})"
