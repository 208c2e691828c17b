"""The feature set of OpenSearch's learning to rank plugin: Mustache templates of queries, in the trees' order."""

from __future__ import annotations

import json
from typing import Any

from resift.trees.feature_queries import FeatureQuery
from resift.trees.formats.format import Request

NOTE = "the engine refuses scores below 0, so that a feature that it reads from a field must never be negative"


def write(request: Request) -> bytes:
    """The body of `POST _ltr/_featureset/NAME`."""
    features = [_feature(query) for query in request.queries]
    body = {"featureset": {"name": f"{request.name}-features", "features": features}}
    return (json.dumps(body, ensure_ascii=False, indent=2) + "\n").encode("utf-8")


def parameter_query(name: str) -> dict[str, Any]:
    """A query whose score is a number that a search passes; templates put a text in its place."""
    script = {"source": "Double.parseDouble(params.value)", "params": {"value": f"{{{{{name}}}}}"}}
    return {"script_score": {"query": {"match_all": {}}, "script": script}}


def _feature(query: FeatureQuery) -> dict[str, Any]:
    params = {"match": ["query"], "parameter": [query.name]}.get(query.kind, [])
    if query.kind == "parameter":
        template: dict[str, Any] = parameter_query(query.name)
    elif query.kind != "match":
        (field,) = query.fields
        template = {
            "function_score": {
                "query": {"exists": {"field": field}},
                "functions": [{"field_value_factor": {"field": field}}],
                "boost_mode": "replace",
            }
        }
    elif len(query.fields) == 1:
        template = {"match": {query.fields[0]: "{{query}}"}}
    else:
        template = {"multi_match": {"query": "{{query}}", "fields": list(query.fields), "type": "most_fields"}}
    return {"name": query.name, "params": params, "template_language": "mustache", "template": template}
