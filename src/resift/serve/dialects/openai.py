"""OpenAI: /v1/embeddings and /v1/models."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from resift.errors import InputError
from resift.protocols import Role
from resift.serve.dialects.endpoint import openai_refusals, post
from resift.serve.dialects.request_body import RequestBody
from resift.serve.dialects.response_body import Json
from resift.serve.service import Service

if TYPE_CHECKING:
    from resift.protocols import FloatArray


def routes(service: Service) -> list[BaseRoute]:
    """The two calls, at the root."""
    created = int(time.time())

    async def models(request: Request) -> Response:
        data = [
            {
                "id": m.name,
                "object": "model",
                "created": created,
                "owned_by": "resift",
                "max_model_len": m.max_tokens,
                "kind": m.kind,
                "embeds": m.embeds,
            }
            for m in service.models()
        ]
        return Json({"object": "list", "data": data})

    return [
        post("/v1/embeddings", embeddings, openai_refusals(400), service),
        Route("/v1/models", models, methods=["GET"]),
    ]


async def embeddings(body: RequestBody, service: Service) -> Response:
    """Vectors of length 1, as numbers or base64; `input_type` says whether texts are queries or documents.

    Tokens are not counted here: `usage` has zeros.
    """
    name = body.text("model")
    texts = _texts(body)
    vectors = await embed(service, name, texts, role(body.text("input_type")))
    check_dims(body.whole("dimensions"), vectors)
    packed = body.text("encoding_format", "float") == "base64"
    data = [{"object": "embedding", "index": i, "embedding": _encoded(v, packed)} for i, v in enumerate(vectors)]
    return Json({"object": "list", "data": data, "model": name, "usage": {"prompt_tokens": 0, "total_tokens": 0}})


async def embed(service: Service, name: str, texts: Sequence[str], side: Role) -> FloatArray:
    """One vector per text, none of them zero: a cosine with a zero vector is no number, and vector stores refuse it.

    Raises:
        InputError: a text that is empty, or has nothing that the model knows; the message has its position.

    """
    if blank := [i for i, text in enumerate(texts) if not text.strip()]:
        raise InputError(f"text {blank[0]} is empty or only whitespace and has no vector; leave it out")
    vectors = await service.embed(name, texts, side)
    if len(zeros := np.flatnonzero(~vectors.any(axis=1))):
        raise InputError(f"text {zeros[0]} has no token that the model knows, hence no vector; leave it out")
    return vectors


def role(input_type: str) -> Role:
    """The role that OpenAI-like servers, Cohere and TEI name: a document unless the name has "query" in it."""
    return "query" if "query" in input_type else "document"


def check_dims(dims: int | None, vectors: FloatArray) -> None:
    """Refuse a request for vectors of another length than the model gives."""
    if dims is not None and dims != vectors.shape[1]:
        raise InputError(f"the model gives {vectors.shape[1]} dimensions and can't give {dims}; leave dimensions out")


def _texts(body: RequestBody) -> list[str]:
    value = body.get("input")
    if isinstance(value, list) and value and isinstance(value[0], (int, list)):
        raise InputError("input holds token ids; send texts (LangChain: check_embedding_ctx_length=False)")
    texts = body.texts("input")
    if not texts:
        raise InputError("input is empty; send at least one text")
    return texts


def _encoded(vector: FloatArray, packed: bool) -> str | list[float]:
    if packed:
        return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()
    return [float(x) for x in vector]
