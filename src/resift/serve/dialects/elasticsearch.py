"""Elasticsearch's inference API, for its client: /_inference/rerank/{id}."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from resift.errors import InputError, ResiftError
from resift.serve.dialects.request_body import read_body
from resift.serve.dialects.response_body import Json, ranked_items, rerank_response
from resift.serve.http.error_responses import headers_of, message_of, status_of
from resift.serve.service import RerankRequest, Service

_PRODUCT = {"X-Elastic-Product": "Elasticsearch"}  # the client refuses an answer without it


def routes(service: Service) -> list[BaseRoute]:
    """The one call of Elasticsearch that reranks; the id in its path is the model's name."""

    async def rerank(request: Request) -> Response:
        try:
            body = await read_body(request)
            model = request.path_params["id"]
            answer = await service.rerank(
                RerankRequest(body.query(), body.one_or_more("input"), model, body.whole("top_n"))
            )
        except ResiftError as error:
            return _refuse(error)
        with_text = body.flag("return_documents")
        entries = [
            {"index": item.index, "relevance_score": item.score} | ({"text": item.document.text} if with_text else {})
            for item in ranked_items(answer)
        ]
        response = rerank_response({"rerank": entries}, answer)
        response.headers.update(_PRODUCT)
        return response

    return [Route("/_inference/rerank/{id}", rerank, methods=["POST"])]


def _refuse(error: ResiftError) -> Response:
    status = 400 if isinstance(error, InputError) else status_of(error)
    cause = {"type": "status_exception", "reason": message_of(error)}
    content = {"error": {"root_cause": [cause], **cause}, "status": status}
    return Json(content, status, headers_of(error) | _PRODUCT)
