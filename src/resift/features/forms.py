"""Features of the form of a question, and of what fits it in a text."""

from __future__ import annotations

import math

import numpy as np

from resift.features.feature import Definition, Parameters
from resift.features.matrix import Column
from resift.features.query_view import QueryView
from resift.features.question_forms import FORMS, has_answer


def _asks(view: QueryView, parameters: Parameters) -> Column:
    return view.constant(view.form == parameters["form"])


def _answers(view: QueryView, parameters: Parameters) -> Column:
    form = str(parameters["form"])
    if view.form != form:
        return view.constant(0.0)
    return np.array([_sign(has_answer(form, document)) for document in view.documents])


def _sign(answer: bool | None) -> float:
    return math.nan if answer is None else 1.0 if answer else -1.0


_FORM = {"form": frozenset(FORMS)}

FORM_FEATURES = (
    Definition(
        "asks", 1, _asks, "1 if the question asks for it: date, place, number, person, reason, steps or definition",
        _FORM,
    ),
    Definition(
        "answers", 1, _answers, "Where it is asked for: 1 if the text has such a thing, -1 if not; else 0", _FORM,
        direction=1,
    ),
)  # fmt: skip
