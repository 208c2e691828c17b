"""Hugging Face text-embeddings-inference: /rerank with `texts`, /embed, /info, /tei/metrics."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

import resift
from resift.errors import InputError, ModelFailed, Overloaded, ResiftError, ScoreError
from resift.serve.dialects.endpoint import post
from resift.serve.dialects.openai import check_dims, role
from resift.serve.dialects.openai import embed as embed_texts
from resift.serve.dialects.request_body import RequestBody
from resift.serve.dialects.response_body import Json, ranked_items, rerank_response
from resift.serve.dialects.tei_metrics import exposition
from resift.serve.http.error_responses import headers_of, message_of, status_of
from resift.serve.service import RerankRequest, Service

_BATCH = 1000  # texts per request that /info names; many clients split longer lists by it
_WAITING = 512  # requests that /info names; nothing depends on it


class NoTexts(InputError):
    """An empty list, which TEI refuses with a status of its own."""


def routes(service: Service) -> list[BaseRoute]:
    """TEI's calls under its prefix; those that no other dialect has also without it."""

    async def info(request: Request) -> Response:
        return Json(_info(service))

    async def alive(request: Request) -> Response:
        return Response()

    async def metrics(request: Request) -> Response:
        return Response(exposition(request.app.state.service.metrics.registry), media_type="text/plain; version=0.0.4")

    return [
        *(post(path, rerank, refuse, service) for path in ("/tei/rerank", "/tei", "/tei/invocations", "/invocations")),
        *(post(path, embed, refuse, service) for path in ("/embed", "/tei/embed")),
        *(Route(path, info, methods=["GET"]) for path in ("/info", "/tei/info")),
        *(Route(path, alive, methods=["GET"]) for path in ("/ping", "/tei/ping", "/tei/health")),
        Route("/tei/metrics", metrics, methods=["GET"]),
    ]


async def rerank(body: RequestBody, service: Service) -> Response:
    """A bare array, best first. Its entries have no further fields, since Elasticsearch's parser refuses them.

    `truncate` changes nothing: long texts are read whole, in windows. `top_n` is no part of TEI and has no effect.
    """
    documents = body.documents("texts")
    if not documents:
        raise NoTexts("texts is empty; send at least one")
    answer = await service.rerank(RerankRequest(body.query(), documents, body.text("model")))
    with_text = body.flag("return_text")
    entries = [
        {"index": item.index, "score": item.score} | ({"text": item.document.text} if with_text else {})
        for item in ranked_items(answer, raw=body.flag("raw_scores"))
    ]
    response = rerank_response(entries, answer)
    milliseconds = str(round(answer.ms))
    response.headers.update(
        {
            "x-compute-type": "cpu",
            "x-compute-characters": str(sum(len(d.text) for d in documents)),
            "x-compute-tokens": str(answer.tokens),
            "x-compute-time": milliseconds,
            "x-total-time": milliseconds,
        }
    )
    return response


async def embed(body: RequestBody, service: Service) -> Response:
    """Vectors of length 1, whatever `normalize` says; of documents, unless `prompt_name` has "query" in it."""
    texts = body.texts("inputs")
    if not texts:
        raise NoTexts("inputs is empty; send at least one")
    vectors = await embed_texts(service, body.text("model"), texts, role(body.text("prompt_name")))
    check_dims(body.whole("dimensions"), vectors)
    return Json([[float(x) for x in v] for v in vectors])


def refuse(error: ResiftError) -> Response:
    """A refusal in TEI's format, with its statuses."""
    status, kind = _refusal(error)
    message = message_of(error)
    return Json(
        {"error": message, "error_type": kind, "message": message, "detail": message}, status, headers_of(error)
    )


def _refusal(error: ResiftError) -> tuple[int, str]:
    if isinstance(error, NoTexts):
        return 400, "Empty"
    if isinstance(error, Overloaded):
        return 429, "Overloaded"
    if isinstance(error, (ModelFailed, ScoreError)):
        return 424, "Backend"
    return status_of(error), "Validation"


def _info(service: Service) -> dict[str, object]:
    """The answer of /info. Dify asks it first, and wants "reranker" as the first key of `model_type`."""
    model = service.models()[0]
    labels = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    return {
        "model_id": model.name,
        "model_sha": model.fingerprint,
        "model_dtype": "auto",
        "served_model_name": model.name,
        "model_type": {"reranker": labels} if model.kind is not None else {"embedding": {"pooling": "mean"}},
        "max_concurrent_requests": _WAITING,
        "max_input_length": model.max_tokens,
        "max_batch_tokens": 16384,
        "max_batch_requests": None,
        "max_client_batch_size": _BATCH,
        "auto_truncate": True,
        "tokenization_workers": 1,
        "version": resift.__version__,
        "sha": None,
        "docker_label": None,
    }
