"""Errors as HTTP: one table of statuses, and a body that every client can read."""

from __future__ import annotations

import math
from uuid import uuid4

from starlette.responses import JSONResponse

from resift.errors import InputError, ModelFailed, Overloaded, ResiftError, TooLarge, UnknownModel

# The status of each type of error; the first type that fits counts.
STATUS: tuple[tuple[type[Exception], int], ...] = (
    (InputError, 422),
    (UnknownModel, 404),
    (TooLarge, 413),
    (Overloaded, 429),
    (ModelFailed, 503),
    (Exception, 500),
)


def status_of(error: Exception) -> int:
    """The HTTP status of an error."""
    return next(status for kind, status in STATUS if isinstance(error, kind))


def headers_of(error: Exception) -> dict[str, str]:
    """Retry-After, in whole seconds, where the error says when to come again."""
    wait = getattr(error, "retry_after", 0.0)
    return {"Retry-After": str(max(1, math.ceil(wait)))} if wait else {}


def message_of(error: Exception) -> str:
    """The message for a client: Resift's own; another error may quote texts, and only the log has it."""
    return str(error) if isinstance(error, ResiftError) else "internal error; the server's log has more"


def error_response(error: Exception) -> JSONResponse:
    """An error as a response that Cohere, Jina, Voyage and TEI clients can all read: every field is a string."""
    return refusal_response(status_of(error), type(error).__name__, message_of(error), headers_of(error))


def refusal_response(status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The same for a refusal without an exception."""
    body = {"id": uuid4().hex, "message": message, "detail": message, "error": message, "error_type": kind}
    return JSONResponse(body, status, headers)
