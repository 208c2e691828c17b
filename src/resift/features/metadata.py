"""Features of metadata: numbers, dates, categories."""

from __future__ import annotations

import math

import numpy as np

from resift.features.feature import Definition, Parameters
from resift.features.matrix import Column, MissingCode
from resift.features.query_view import QueryView


def _number(view: QueryView, parameters: Parameters) -> Column:
    name = str(parameters["field"])
    values = [c.document.metadata.get(name) for c in view.ranking.candidates]
    if values and all(value is None for value in values):
        view.note(MissingCode.FIELD, name, len(values), f"no candidate has the field {name!r}")
    return np.array([math.nan if value is None else float(value) for value in values])


METADATA = (Definition("number", 1, _number, "A number of the metadata, as it stands there", {"field": str}),)
