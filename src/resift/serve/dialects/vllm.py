"""vLLM: /score, and /rerank that always returns the documents."""

from __future__ import annotations

import time
from uuid import uuid4

from starlette.responses import Response
from starlette.routing import BaseRoute

from resift.errors import InputError
from resift.serve.dialects.endpoint import openai, post
from resift.serve.dialects.reading import Body
from resift.serve.dialects.response_body import Json, items, reply, usage, values
from resift.serve.service import RerankRequest, Service

REFUSED = openai(400)
_SIDES = (("text_1", "text_2"), ("queries", "documents"), ("queries", "items"), ("data_1", "data_2"))


def routes(service: Service) -> list[BaseRoute]:
    """Exactly vLLM, under its prefix; /score also at the root, where no one else has it."""
    return [
        *(post(f"/vllm{path}", rerank, REFUSED, service) for path in ("/rerank", "/v1/rerank", "/v2/rerank")),
        *(post(path, score, REFUSED, service) for path in ("/score", "/v1/score", "/vllm/score", "/vllm/v1/score")),
    ]


async def rerank(body: Body, service: Service) -> Response:
    """0 tokens per document and 0 documents mean all of them."""
    request = RerankRequest(
        body.query(),
        body.some_documents(),
        body.text("model"),
        body.count("top_n", least=0) or None,
        body.count("max_tokens_per_doc", least=0) or None,
    )
    answer = await service.rerank(request)
    results = [
        {
            "index": i.index,
            "document": {"text": i.document.text, "multi_modal": None},
            "relevance_score": i.score,
        }
        for i in items(answer, raw=not body.flag("use_activation", True))
    ]
    said = {"id": f"rerank-{uuid4().hex}", "model": answer.model, "usage": usage(answer.tokens), "results": results}
    return reply(said, answer)


async def score(body: Body, service: Service) -> Response:
    """One text against many, or many against as many, in their order."""
    pairs = _pairs(body)
    name = body.text("model")
    scores = await service.score(name, pairs)
    numbers = values(scores, raw=not body.flag("use_activation", True))
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


def _scored(found: tuple[float | None, ...]) -> int:
    return sum(v is not None for v in found)


def _pairs(body: Body) -> list[tuple[str, str]]:
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
