"""schemathesis sends what the OpenAPI document allows, and what it doesn't: no 5xx, no answer that it doesn't show."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.core.failures import AcceptedNegativeData, FailureGroup

from resift import Index, Reranker
from resift.serve.app import create_app
from resift.serve.http.openapi import document
from resift.serve.runtime.served_models import ServedModel
from tests.serve.test_calibrated import calibration_of


@pytest.fixture(scope="module")
def schema(mini: Reranker) -> Any:
    index = Index.of(["the keeper lit the lamp", "bread is baked"])
    models = [ServedModel.of(Reranker(mini.scorer, None, True, calibration_of(mini)))]
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(models, index=index))


OPERATIONS = [(path, method.upper()) for path, item in document()["paths"].items() for method in item]


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_the_server_does_what_its_document_says(schema: Any, path: str, method: str, mode: GenerationMode) -> None:
    if mode is GenerationMode.NEGATIVE and method == "GET":
        return

    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def check(case: Any) -> None:
        try:
            case.call_and_validate()
        except FailureGroup as group:
            # Dialects of regular expressions differ in which rare characters are of a word: the model's reading counts.
            if not all(isinstance(e, AcceptedNegativeData) and "`pattern`" in str(e) for e in group.exceptions):
                raise

    check()
