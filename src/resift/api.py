"""The facade: puts retrievers, scorers and stages together; what `import resift` gives."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from resift import files
from resift.errors import InputError
from resift.protocols import Budget, Stage
from resift.rerank.blend import Blend
from resift.rerank.cascade import Cascade
from resift.rerank.pointwise import Pointwise
from resift.types import Candidate, Document, Query, Ranking, Scores

if TYPE_CHECKING:  # these import NumPy and the tokenizers; `import resift` stays light
    from resift.score.contract import Contract
    from resift.score.encoder import CrossEncoder, LongDocuments
    from resift.score.late import LateInteraction
    from resift.score.load import Precision

DEFAULT_MODEL = "resift-mini-en"
DEFAULT_DEPTH = 100

DocumentLike = str | Mapping[str, Any] | Document


class Reranker:
    """A loaded model; safe to share between threads."""

    def __init__(self, scorer: CrossEncoder | LateInteraction) -> None:
        self.scorer = scorer

    @property
    def contract(self) -> Contract:
        """What the model's scores mean and how it is fed."""
        return self.scorer.contract

    def rerank(
        self, query: str | Query, documents: Iterable[DocumentLike], top_k: int | None = None, depth: int | None = None
    ) -> Ranking:
        """Order documents by the model's score.

        Args:
            query: what is looked for; not empty.
            documents: texts, objects with "text" (and "id", "title"), or Documents, in first-stage order, which breaks
                ties and is each candidate's `first_rank`; ids default to the position from 0.
            top_k: how many to return; all by default.
            depth: how many to score, from the first; all by default.

        Raises:
            InputError: an empty query, or a document that is none of the three.
            NonFiniteScore: the model gave NaN or infinity.

        """
        given = [files.document(d, str(i)) for i, d in enumerate(documents)]
        ranking = Ranking.unscored(_query(query), given)
        return (
            Pointwise(self.scorer)
            .run([ranking], Budget(depth=_positive(depth, "depth")))[0]
            .top(_positive(top_k, "top_k"))
        )

    def score(self, pairs: Iterable[tuple[str | Query, DocumentLike]]) -> Scores:
        """Score (query, document) pairs of any number of queries in one call; see `Scores`."""
        return self.scorer.score([(_query(q), Candidate(files.document(d, str(i)))) for i, (q, d) in enumerate(pairs)])

    def stage(self, blend: bool | float = True) -> Stage:
        """The pipeline stage of this model, blended with the first stage's ranks.

        Args:
            blend: True for the weight that was tuned with the model, a number for another, False for the score alone.

        """
        pointwise = Pointwise(self.scorer)
        if blend is False:
            return pointwise
        weight = self.contract.blend_weight if blend is True else blend
        return Cascade([(pointwise, None), (Blend(self.scorer.name, weight), None)])


class Index:
    """Documents that can be searched: BM25, then the reranker's stage on the best `depth`."""

    def __init__(self, documents: Iterable[DocumentLike]) -> None:
        from resift.retrieve.bm25 import BM25Retriever

        self.documents = [files.document(d, str(i)) for i, d in enumerate(documents)]
        self.retriever = BM25Retriever(self.documents)

    def search(
        self, query: str | Query, top_k: int | None = 10, depth: int = DEFAULT_DEPTH, stage: Stage | None = None
    ) -> Ranking:
        """Retrieve max(depth, top_k) candidates, rerank the first `depth` with `stage`, return the first `top_k`.

        Raises:
            InputError: an empty query, or a depth or top_k below 1.

        """
        pool = max(_positive(depth, "depth") or 0, _positive(top_k, "top_k") or 0)
        ranking = self.retriever.retrieve([_query(query)], pool)[0]
        if stage is not None:
            ranking = stage.run([ranking], Budget(depth=depth))[0]
        return ranking.top(top_k)


def load(
    name_or_path: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    precision: Precision = "auto",
    long_documents: LongDocuments = "windows",
) -> Reranker:
    """Load a reranker: a bundled name, a folder or a hub id; see `resift.score.load.load_scorer`.

    Raises:
        ModelError: not a model, not a reranker, or damaged; the message says which and what to do.

    """
    from resift.score.load import load_scorer

    return Reranker(load_scorer(os.fspath(name_or_path), precision, long_documents))


def search(
    query: str,
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    top_k: int | None = 10,
    depth: int = DEFAULT_DEPTH,
    model: str | Literal[False] = DEFAULT_MODEL,
) -> Ranking:
    """Search files and folders: passages, BM25, reranking, blend; `model=False` leaves the last two out.

    Raises:
        InputError: an empty query, or a path that is missing, unreadable or of no known format.
        ModelError: the model can't be used.

    """
    where = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    stage = load(model).stage() if model else None
    return Index(files.read_paths(where)).search(query, top_k, depth, stage)


def _query(query: str | Query) -> Query:
    asked = Query(query) if isinstance(query, str) else query
    if not isinstance(asked, Query):
        raise InputError(f"a query is a text; not {type(query).__name__}")
    if not asked.text.strip():
        raise InputError("the query is empty; ask with at least one word")
    return asked


def _positive(value: int | None, name: str) -> int | None:
    if value is not None and value < 1:
        raise InputError(f"{name} must be 1 or more; not {value}")
    return value
