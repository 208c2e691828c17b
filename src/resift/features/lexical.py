"""Features of the words that query and document share."""

from __future__ import annotations

import math

import numpy as np

from resift.features.feature import Definition, Parameters
from resift.features.matrix import Column
from resift.features.query_view import QueryView


def _coverage(view: QueryView, _: Parameters) -> Column:
    terms = set(view.query.terms)
    if not terms:
        return np.full(len(view), math.nan)
    return np.array([len(terms & {*d.terms, *d.title_terms}) / len(terms) for d in view.documents])


LEXICAL = (
    Definition(
        "coverage", 1, _coverage, "The share of the query's terms that title or text has; missing without terms", {}, 1
    ),
)
