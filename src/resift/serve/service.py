"""The requests and answers of all dialects: the one border between wire formats and what runs models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from resift.protocols import Role
from resift.types import Document, Ranking, ScoreKind, Scores

if TYPE_CHECKING:
    from resift.protocols import FloatArray

OnError = Literal["raise", "keep_order", "next_stage"]


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """One query and its documents, whose ids are their positions from "0".

    Attributes:
        model: the name that the client sent; empty: the first model served, or the one that the language chooses.
        top_k: how many to answer with; all when None.
        truncate_to: tokens of each document that are read; None: all, in windows.
        deadline_ms: time to answer in, from arrival; None: the server's.
        may_shrink: under overload fewer documents may be scored instead of a refusal; the trace then says `scored n/m`.
        on_error: what to do when the model fails: raise ModelFailed, keep the order of the request, or ask the next
            model of the server's chain and keep the order where that fails too; None: the server's.
        min_relevance: leave out documents that are less likely relevant, or below a level; see `Reranker.rerank`.

    """

    query: str
    documents: tuple[Document, ...]
    model: str = ""
    top_k: int | None = None
    truncate_to: int | None = None
    deadline_ms: float | None = None
    may_shrink: bool = False
    on_error: OnError | None = None
    min_relevance: float | str | None = None


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One query to the server's index: `depth` candidates are retrieved and scored, `top_k` are the answer.

    `blend` as in `resift.Index.search`; the rest as in RerankRequest.
    """

    query: str
    top_k: int = 10
    depth: int = 100
    blend: bool | float = True
    model: str = ""
    deadline_ms: float | None = None
    may_shrink: bool = False
    on_error: OnError | None = None
    min_relevance: float | str | None = None


@dataclass(frozen=True, slots=True)
class RerankAnswer:
    """A ranking, the model that was asked for, the stage that made the order, and the cost in tokens and milliseconds.

    The trace says whether it was reranked, and why not. `stage` is the name of the model that made the order, which is
    another one after a fallback; "input" for the order of the request, "index" for the first stage's. Every document is
    in the ranking unless `top_k` or `min_relevance` left it out; one without a score has a flag that says why: "empty",
    "failed", "deadline" or "overload".
    """

    ranking: Ranking
    model: str
    stage: str
    tokens: int
    ms: float


@dataclass(frozen=True, slots=True)
class ServedInfo:
    """What clients may read about a served model; `kind` is None for an embedder."""

    name: str
    kind: ScoreKind | None
    max_tokens: int
    embeds: bool
    fingerprint: str


class Service(Protocol):
    """Runs requests; safe to call from many tasks of one event loop, which it never blocks."""

    def models(self) -> Sequence[ServedInfo]:
        """The models served, the default one first."""

    async def rerank(self, request: RerankRequest) -> RerankAnswer:
        """Order the documents.

        Raises:
            UnknownModel: no such model is served.
            Overloaded: the queue is full; it says after how many seconds to come again.
            InputError: an empty query.
            TooLarge: more documents or characters than the server takes.
            ModelFailed: the model raised or hung on every document.

        """

    async def search(self, request: SearchRequest) -> RerankAnswer:
        """Search the server's index and order the candidates; raises as `rerank`, and InputError without an index."""

    async def score(self, model: str, pairs: Sequence[tuple[str, str]]) -> Scores:
        """Score (query, document) pairs, in their order; one that failed has no value and the flag "failed".

        Raises as `rerank`.
        """

    async def embed(self, model: str, texts: Sequence[str], role: Role) -> FloatArray:
        """Return (n, dims) vectors of length 1; raises as `rerank`."""
