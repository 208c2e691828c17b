"""From a route to a dialect: read the body, let the dialect answer, and refuse in the dialect's own format."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from resift.errors import InputError, ResiftError
from resift.serve.dialects.request_body import RequestBody, read_body
from resift.serve.dialects.response_body import Json
from resift.serve.http.error_responses import headers_of, message_of, refusal_response, status_of
from resift.serve.service import Service

Answer = Callable[[RequestBody, Service], Awaitable[Response]]
Refuse = Callable[[ResiftError], Response]


def post(path: str, answer: Answer, refuse: Refuse, service: Service, fields: Sequence[str] | None = None) -> Route:
    """A route for POST.

    Args:
        path: of the route.
        answer: gives the response to a body.
        refuse: gives the response to an error of `resift.errors`.
        service: runs requests.
        fields: see `read_body`.

    """

    async def endpoint(request: Request) -> Response:
        try:
            return await answer(await read_body(request, fields), service)
        except ResiftError as error:
            return refuse(error)

    return Route(path, endpoint, methods=["POST"], name=path)


def plain_refusals(input_status: int) -> Refuse:
    """Refusals that Cohere, Jina, Voyage and TEI clients can all read, with the dialect's own status for bad input."""

    def refuse(error: ResiftError) -> Response:
        status = input_status if isinstance(error, InputError) else status_of(error)
        return refusal_response(status, type(error).__name__, message_of(error), headers_of(error))

    return refuse


_TYPES = {400: "BadRequestError", 404: "NotFoundError", 413: "BadRequestError", 422: "UnprocessableEntityError"}


def openai_refusals(input_status: int) -> Refuse:
    """Refusals in OpenAI's format."""

    def refuse(error: ResiftError) -> Response:
        status = input_status if isinstance(error, InputError) else status_of(error)
        kind = "RateLimitError" if status == 429 else _TYPES.get(status, "InternalServerError")
        content = {"message": message_of(error), "type": kind, "param": None, "code": status}
        return Json({"error": content}, status, headers_of(error))

    return refuse
