"""The OpenAPI 3.1 document of Resift's own routes; a test with schemathesis checks the server against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from resift.types import Level, ScoreKind

_Schema = Mapping[str, Any]
_TEXT: _Schema = {"type": "string"}
_NUMBER: _Schema = {"type": "number"}
_WHOLE: _Schema = {"type": "integer", "minimum": 0}
_FLAG: _Schema = {"type": "boolean"}
_FLAGS: _Schema = {"type": "array", "items": _TEXT, "description": "empty, truncated, windowed, failed, deadline …"}


def _nullable(schema: _Schema, **more: Any) -> _Schema:  # noqa: ANN401 - keywords of JSON Schema
    """A field that may be null, which is as if it were left out."""
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return {**schema, "type": [*types, "null"], **more}


def _object(fields: Mapping[str, _Schema], required: Sequence[str], closed: bool = False) -> _Schema:
    extra = {"additionalProperties": False} if closed else {}
    return {"type": "object", "properties": dict(fields), "required": list(required), **extra}


def _array(items: _Schema) -> _Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> _Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_QUERY = {**_TEXT, "minLength": 1, "pattern": r"\w", "description": "What is looked for."}
_COUNT = _nullable({"type": "integer", "minimum": 1, "maximum": 10_000})
_SHARED_FIELDS = {
    "model": _nullable(_TEXT, description="A served model; the first one when left out."),
    "top_k": {**_COUNT, "description": "How many results; all when left out (10 in a search)."},
    "min_relevance": {
        "anyOf": [
            {**_NUMBER, "exclusiveMinimum": 0, "maximum": 1},
            {"enum": [str(Level.HIGH), str(Level.SOME), None]},
        ],
        "description": "Leave out what is less likely relevant: a probability, high or some. Needs --calibrated.",
    },
    "deadline_ms": _nullable(
        _NUMBER, minimum=0, description="Answer by then with what is scored; 0: no deadline. Default: the server's."
    ),
    "may_shrink": _nullable(_FLAG, description="Under overload score fewer documents instead of a refusal."),
    "on_error": _nullable(_TEXT, enum=["raise", "keep_order", "next_stage", None], description="If the model fails."),
    "return_documents": _nullable(_FLAG, description="Send title, text and metadata back."),
}
_DOCUMENT = {
    "anyOf": [
        _TEXT,
        _object(
            {
                "text": _TEXT,
                "title": _nullable(_TEXT),
                "id": _nullable(_TEXT),
                "metadata": _nullable({"type": "object"}),
            },
            ["text"],
            closed=True,
        ),
    ]
}
_SCORE = _object(
    {"value": _NUMBER, "kind": {"enum": [str(k) for k in ScoreKind]}, "source": _TEXT, "stage": _WHOLE},
    ["value", "kind", "source", "stage"],
)
_LEVEL = {"enum": [str(level) for level in Level], "description": "How relevant, by the model's calibration."}
_SPAN = _object({"start": _WHOLE, "end": _WHOLE}, ["start", "end"])
_RESULT = _object(
    {
        "rank": _WHOLE, "first_rank": _WHOLE, "index": _WHOLE, "id": _TEXT, "title": _TEXT, "text": _TEXT,
        "metadata": {"type": "object"}, "flags": _FLAGS, "score": _ref("Score"),
        "probability": {**_NUMBER, "minimum": 0, "maximum": 1}, "level": _LEVEL,
        "span": _SPAN,
        "signals": _array(
            _object({"source": _TEXT, "rank": _WHOLE, "score": _ref("Score"), "level": _LEVEL}, ["source", "rank"])
        ),
    },
    ["rank", "first_rank", "id", "flags", "signals"],
)  # fmt: skip
_STEP = _object(
    {"name": _TEXT, "ms": _NUMBER, **{n: _WHOLE for n in ("pairs", "tokens", "scored", "total", "truncated")}},
    ["name", "ms", "pairs", "tokens", "scored", "total", "truncated"],
)
_ANSWER = _object(
    {
        "schema": _WHOLE, "query": _object({"id": _TEXT, "text": _TEXT}, ["id", "text"]), "reranked": _FLAG,
        "reason": {**_TEXT, "description": "Why it was not reranked, or only partly."},
        "results": _array(_ref("Result")), "trace": _array(_STEP), "model": _TEXT,
        "stage": {**_TEXT, "description": "Who made the order: a model, or input or index."},
        "tokens": _WHOLE, "ms": _NUMBER,
        "left_out": {**_array({"type": "object"}), "description": "What min_relevance left out."},
        "threshold": _object({"min_score": _NUMBER, "applied": _FLAG, "cut": _array({"type": "object"})}, ["applied"]),
    },
    ["schema", "query", "reranked", "reason", "results", "trace", "model", "stage", "tokens", "ms"],
)  # fmt: skip
_SCORES = _object(
    {
        "schema": _WHOLE, "model": _TEXT, "kind": {"enum": [str(k) for k in ScoreKind]}, "tokens": _WHOLE,
        "scores": _array(
            _object({"index": _WHOLE, "value": _NUMBER, "flags": _FLAGS, "span": _SPAN}, ["index", "flags"])
        ),
    },
    ["schema", "model", "kind", "scores", "tokens"],
)  # fmt: skip
_ERROR = _object({n: _TEXT for n in ("id", "message", "detail", "error", "error_type")}, ["message", "error_type"])
_MODEL = _object(
    {"name": _TEXT, "kind": _nullable(_TEXT), "max_tokens": _WHOLE, "embeds": _FLAG, "fingerprint": _TEXT},
    ["name", "kind", "max_tokens", "embeds", "fingerprint"],
)

_REQUESTS = {
    "/api/rerank": _object(
        {
            "query": _QUERY,
            "documents": {**_array(_DOCUMENT), "description": "In first-stage order; over the server's limit: 413."},
            "truncate_to": {**_COUNT, "description": "Tokens of each document that are read; all when left out."},
            "min_score": _nullable(_NUMBER, description="Leave out what scores less; off after a fallback."),
            **_SHARED_FIELDS,
        },
        ["query", "documents"],
        closed=True,
    ),
    "/api/search": _object(
        {
            "query": _QUERY,
            "depth": {**_COUNT, "description": "How many candidates are found and scored; 100 when left out."},
            "blend": {
                "type": ["boolean", "number", "null"],
                "minimum": 0,
                "maximum": 1e6,
                "description": "Weight of the model.",
            },
            **_SHARED_FIELDS,
        },
        ["query"],
        closed=True,
    ),
    "/api/score": _object(
        {
            "pairs": _array({"type": "array", "prefixItems": [_QUERY, _TEXT], "items": False, "minItems": 2}),
            "model": _SHARED_FIELDS["model"],
        },
        ["pairs"],
        closed=True,
    ),
}
_ANSWERS = {"/api/rerank": "Answer", "/api/search": "Answer", "/api/score": "Scores"}
_SUMMARIES = {
    "/api/rerank": "Put documents in order",
    "/api/search": "Search the index and rerank",
    "/api/score": "Score pairs, in their order",
}
_REFUSALS = {
    "400": "Not HTTP that can be answered", "401": "The API key is missing or wrong", "404": "No such model",
    "413": "Over a limit; the message has the numbers", "422": "The request can't be used; the message says why",
    "429": "Too much waits; see Retry-After", "503": "The model failed; see Retry-After",
}  # fmt: skip


def _json(schema: _Schema) -> _Schema:
    return {"content": {"application/json": {"schema": schema}}}


def _post(path: str) -> _Schema:
    refusals = {code: {"description": text, **_json(_ref("Error"))} for code, text in _REFUSALS.items()}
    return {
        "post": {
            "summary": _SUMMARIES[path],
            "requestBody": {"required": True, **_json(_REQUESTS[path])},
            "responses": {"200": {"description": "The answer", **_json(_ref(_ANSWERS[path]))}, **refusals},
            "security": [{}, {"bearer": []}],
        }
    }


def _get(summary: str, schema: _Schema, unready: bool = False) -> _Schema:
    responses = {"200": {"description": summary, **_json(schema)}}
    if unready:
        responses["503"] = {"description": "Not yet", **_json(schema)}
    return {"get": {"summary": summary, "responses": responses}}


def document() -> dict[str, Any]:
    """The document; see GET /openapi.json."""
    from resift import __version__

    status = _object({"status": _TEXT}, ["status"])
    paths = {path: _post(path) for path in _REQUESTS} | {
        "/api/models": _get("The models served", _object({"models": _array(_ref("Model"))}, ["models"])),
        "/health": _get("The process answers", status),
        "/ready": _get("Every model has run", status, unready=True),
    }
    schemas = {
        "Answer": _ANSWER, "Result": _RESULT, "Score": _SCORE, "Scores": _SCORES, "Error": _ERROR, "Model": _MODEL,
    }  # fmt: skip
    return {
        "openapi": "3.1.0",
        "info": {"title": "Resift", "version": __version__},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    }
