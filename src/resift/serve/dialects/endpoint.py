"""One way from a route to a dialect: read the body, translate, and refuse in the dialect's own words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from resift.errors import InputError, ResiftError
from resift.serve.dialects.reading import Body, read
from resift.serve.dialects.response_body import Json
from resift.serve.http.error_responses import headers_of, message_of, refusal_response, status_of
from resift.serve.service import Service

Translate = Callable[[Body, Service], Awaitable[Response]]
Refuse = Callable[[ResiftError], Response]


def post(path: str, translate: Translate, refused: Refuse, service: Service) -> Route:
    """A route that answers POST with `translate`, and what Resift refuses with `refused`."""

    async def endpoint(request: Request) -> Response:
        try:
            return await translate(await read(request), service)
        except ResiftError as error:
            return refused(error)

    return Route(path, endpoint, methods=["POST"], name=path)


def plain(input_status: int) -> Refuse:
    """Refusals that Cohere, Jina, Voyage and TEI clients can all read, with the dialect's own status for bad input."""

    def refused(error: ResiftError) -> Response:
        status = input_status if isinstance(error, InputError) else status_of(error)
        return refusal_response(status, type(error).__name__, message_of(error), headers_of(error))

    return refused


_TYPES = {400: "BadRequestError", 404: "NotFoundError", 413: "BadRequestError", 422: "UnprocessableEntityError"}


def openai(input_status: int) -> Refuse:
    """Refusals as OpenAI has them."""

    def refused(error: ResiftError) -> Response:
        status = input_status if isinstance(error, InputError) else status_of(error)
        kind = "RateLimitError" if status == 429 else _TYPES.get(status, "InternalServerError")
        said = {"message": message_of(error), "type": kind, "param": None, "code": status}
        return Json({"error": said}, status, headers_of(error))

    return refused
