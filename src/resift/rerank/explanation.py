"""Why a learned stage gave a score, in words: what each feature added to it, with its value."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from resift.features import Feature, FeatureSet
from resift.rerank.ranking_function import Floats, Matrix
from resift.types import Reason

_LEAST = 0.05  # contributions that words show as 0.1
_YEAR = 365.25  # days

# Clauses of features by name: of the value, and of the source or field.
_CLAUSES: Mapping[str, Callable[[float, str], str]] = {
    "score": lambda v, s: f"{s}'s score of {v:.4g}",
    "rank": lambda v, s: f"rank {v:.0f} by {s}",
    "gap_to_best": lambda v, s: f"{v:.3g} behind the best of {s}" if v else f"the best of {s}",
    "gap_to_next": lambda v, s: f"{v:.3g} before the next of {s}",
    "z": lambda v, s: f"{s}'s score, {abs(v):.1f} standard deviations {'below' if v < 0 else 'above'} the mean",
    "lists": lambda v, _: f"in {_counted(v, 'list')}",
    "best_rank": lambda v, _: f"rank {v:.0f} in its best list",
    "reciprocal_ranks": lambda v, _: f"ranks of all lists together ({v:.3g})",
    "rank_spread": lambda v, _: f"ranks {v:.0f} apart",
    "coverage": lambda v, _: f"{v:.0%} of the query's terms",
    "idf_coverage": lambda v, _: f"{v:.0%} of the query's terms, weighted by rarity",
    "title_coverage": lambda v, _: f"{v:.0%} of the query's terms in the title",
    "adjacent": lambda v, _: f"{v:.0%} of the query's neighbouring terms side by side",
    "run": lambda v, _: f"{v:.0%} of the query's terms in one run",
    "ngrams": lambda v, _: f"{v:.0%} of the query's short runs of characters",
    "density": lambda v, _: f"{v:.0%} of its terms are the query's",
    "first_match": lambda v, _: (
        f"{_counted(v, 'term')} before the first of the query" if v else "begins with a query term"
    ),
    "terms": lambda v, _: f"{_counted(v, 'term')} long",
    "characters": lambda v, _: f"{_counted(v, 'character')} long",
    "exact": lambda v, _: "exact match" if v else "no exact match",
    "title_exact": lambda v, _: "exact match of the title" if v else "no exact match of the title",
    "number": lambda v, s: f"{s} of {v:.4g}",
    "log": lambda v, s: f"{s} of {math.copysign(math.expm1(abs(v)), v):.4g}",
    "age_days": lambda v, s: f"{s} {v:.0f} days ago" if v < _YEAR else f"{s} {v / _YEAR:.1f} years ago",
}


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


def sentence(reasons: Sequence[Reason], most: int = 4) -> str:
    """The largest reasons on one line, such as "+0.8 exact match of the title, −0.3 published 5.1 years ago"."""
    shown = [reason for reason in reasons if abs(reason.contribution) >= _LEAST][:most]
    signed = (f"{'+' if r.contribution > 0 else '−'}{abs(r.contribution):.1f} {r.words}" for r in shown)
    return ", ".join(signed) or "no feature stands out"


def _counted(count: float, noun: str) -> str:
    return f"{count:.0f} {noun}{'' if count == 1 else 's'}"


def _words(feature: Feature, value: float | None) -> str:
    """A clause of one feature and its value; of a feature without a clause of its own its column's name."""
    name = feature.definition.name
    source = next((str(feature.parameters[key]) for key in ("source", "field") if key in feature.parameters), "")
    if value is None:
        return f"{feature.column} missing"
    if name == "category":
        categories = feature.parameters.get("categories", ())
        assert isinstance(categories, tuple)
        known = 0 <= value < len(categories)
        return f"{source} {categories[int(value)] if known else value!r}"
    clause = _CLAUSES.get(name)
    return clause(value, source) if clause else f"{feature.column} of {value:.3g}"
