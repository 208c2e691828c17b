"""vLLM: /score, and /rerank that always returns the documents."""

from __future__ import annotations

import time
from uuid import uuid4

from starlette.responses import Response
from starlette.routing import BaseRoute

from resift.errors import InputError
from resift.serve.dialects.endpoint import openai_refusals, post
from resift.serve.dialects.request_body import RequestBody
from resift.serve.dialects.response_body import Json, pair_numbers, ranked_items, rerank_response, usage
from resift.serve.service import RerankRequest, Service

REFUSE = openai_refusals(400)
_SIDES = (("text_1", "text_2"), ("queries", "documents"), ("queries", "items"), ("data_1", "data_2"))


def routes(service: Service) -> list[BaseRoute]:
    """VLLM's calls, under its prefix; /score also without it, since no other dialect has that path."""
    return [
        *(post(f"/vllm{path}", rerank, REFUSE, service) for path in ("/rerank", "/v1/rerank", "/v2/rerank")),
        *(post(path, score, REFUSE, service) for path in ("/score", "/v1/score", "/vllm/score", "/vllm/v1/score")),
    ]


async def rerank(body: RequestBody, service: Service) -> Response:
    """0 tokens per document and 0 documents mean all of them."""
    request = RerankRequest(
        body.query(),
        body.some_documents(),
        body.text("model"),
        body.whole("top_n", least=0) or None,
        body.whole("max_tokens_per_doc", least=0) or None,
    )
    answer = await service.rerank(request)
    results = [
        {
            "index": item.index,
            "document": {"text": item.document.text, "multi_modal": None},
            "relevance_score": item.score,
        }
        for item in ranked_items(answer, raw=not body.flag("use_activation", True))
    ]
    content = {
        "id": f"rerank-{uuid4().hex}",
        "model": answer.model,
        "usage": usage(answer.tokens),
        "results": results,
    }
    return rerank_response(content, answer)


async def score(body: RequestBody, service: Service) -> Response:
    """One text against many, or many against as many, in their order."""
    pairs = _pairs(body)
    name = body.text("model")
    scores = await service.score(name, pairs)
    numbers = pair_numbers(scores, raw=not body.flag("use_activation", True))
    return Json(
        {
            "id": f"score-{uuid4().hex}",
            "object": "list",
            "created": int(time.time()),
            "model": name or scores.source,
            "data": [{"index": i, "object": "score", "score": value} for i, value in enumerate(numbers)],
            "usage": usage(scores.tokens) | {"completion_tokens": 0, "prompt_tokens_details": None},
        },
        headers={"X-Resift-Kind": scores.kind, "X-Resift-Scored": f"{_scored(scores.values)}/{len(pairs)}"},
    )


def _scored(values: tuple[float | None, ...]) -> int:
    return sum(value is not None for value in values)


def _pairs(body: RequestBody) -> list[tuple[str, str]]:
    names = next((s for s in _SIDES if all(body.get(n) is not None for n in s)), None)
    if names is None:
        raise InputError(f"send two sides: {' or '.join(' and '.join(s) for s in _SIDES)}")
    left, right = (body.texts(n) for n in names)
    if not left or not right:
        raise InputError(f"{names[0] if not left else names[1]} is empty; send at least one text")
    if len(left) == 1:
        left = left * len(right)
    if len(left) != len(right):
        raise InputError(f"{len(left)} {names[0]} against {len(right)} {names[1]}; send one, or as many")
    return list(zip(left, right, strict=True))
