"""Elasticsearch's inference API, for its client: /_inference/rerank/{id}."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from resift.errors import InputError, ResiftError
from resift.serve.dialects.reading import read
from resift.serve.dialects.response_body import Json, items, reply
from resift.serve.http.error_responses import headers_of, message_of, status_of
from resift.serve.service import RerankRequest, Service

_PRODUCT = {"X-Elastic-Product": "Elasticsearch"}  # the client takes no answer without it


def routes(service: Service) -> list[BaseRoute]:
    """The one call of Elasticsearch that reranks; the id is the model's name."""

    async def rerank(request: Request) -> Response:
        try:
            body = await read(request)
            model = request.path_params["id"]
            asked = RerankRequest(body.query(), body.one_or_more("input"), model, body.count("top_n"))
            answer = await service.rerank(asked)
        except ResiftError as error:
            return _refused(error)
        shown = body.flag("return_documents")
        entries = [
            {"index": i.index, "relevance_score": i.score} | ({"text": i.document.text} if shown else {})
            for i in items(answer)
        ]
        response = reply({"rerank": entries}, answer)
        response.headers.update(_PRODUCT)
        return response

    return [Route("/_inference/rerank/{id}", rerank, methods=["POST"])]


def _refused(error: ResiftError) -> Response:
    status = 400 if isinstance(error, InputError) else status_of(error)
    said = {"type": "status_exception", "reason": message_of(error)}
    content = {"error": {"root_cause": [said], **said}, "status": status}
    return Json(content, status, headers_of(error) | _PRODUCT)
