"""Rankings as data frames with PyTerrier's columns, which ranx reads too; only pandas is needed, and no Java."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from resift.adapters import Reranks
from resift.errors import InputError, MissingExtra
from resift.types import Candidate, Document, Query, Ranking, Signal

try:
    import pandas as pd
except ImportError as error:
    raise MissingExtra("exchanging data frames", "dataframes") from error

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS = ("qid", "query", "docno", "text", "score", "rank")


def frame_of(rankings: Iterable[Ranking]) -> pd.DataFrame:
    """Rankings as rows of `qid`, `query`, `docno`, `text`, `score`, `rank`; ranks begin at 0, as in PyTerrier.

    A score is the number of candidates below, as in `files.write_run`: it falls with the rank and never ties, whatever
    the stages were. A title stands before the text. Ids are of dtype object, which ranx demands.
    """
    rows = [
        (r.query.id, r.query.text, c.document.id, _text(c.document), float(len(r) - c.rank), c.rank - 1)
        for r in rankings
        for c in r
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=object).astype({"score": float, "rank": int})


def rankings_of(frame: pd.DataFrame) -> list[Ranking]:
    """Rows of `qid`, `query`, `docno` and, where there are, `text`, `score` and `rank` as rankings, in order of qid.

    Ranks decide; without ranks the scores, the highest first; of equals the rows' order. Without either, the rows are
    in order.

    Raises:
        InputError: a column is missing, a document comes twice for a query, or a query has two texts.

    """
    if missing := [name for name in ("qid", "query", "docno") if name not in frame.columns]:
        raise InputError(
            f"the frame has no column {', '.join(missing)}; it needs qid, query, docno, and text to rerank"
        )
    return [_ranking(str(qid), rows) for qid, rows in frame.groupby("qid", sort=False)]


def rerank_frame(reranker: Reranks, frame: pd.DataFrame, top_k: int | None = None) -> pd.DataFrame:
    """A frame of candidates with their texts in the order of a model: a PyTerrier pipeline takes it as a function.

    Written `pt.apply.generic(lambda frame: rerank_frame(model, frame))`.

    Raises:
        InputError: see `rankings_of`; or there is no column `text`.

    """
    if "text" not in frame.columns:
        raise InputError("the frame has no column text; put pt.text.get_text(index) in front")
    return frame_of(_reranked(reranker, ranking, top_k) for ranking in rankings_of(frame))


def _reranked(reranker: Reranks, ranking: Ranking, top_k: int | None) -> Ranking:
    """The ranking in the model's order, under the ids of its documents."""
    ordered = reranker.rerank(ranking.query.text, [c.document.text for c in ranking], top_k)
    documents = (ranking[int(c.document.id)].document for c in ordered)
    return Ranking(ranking.query, tuple(Candidate(document) for document in documents))


def _ranking(qid: str, rows: pd.DataFrame) -> Ranking:
    texts = list(dict.fromkeys(rows["query"]))
    if len(texts) > 1:
        raise InputError(f"the query {qid!r} has two texts, {texts[0]!r} and {texts[1]!r}; one qid is one query")
    if "rank" in rows.columns:
        rows = rows.sort_values("rank", kind="stable")
    elif "score" in rows.columns:
        rows = rows.sort_values("score", ascending=False, kind="stable")
    ids = [str(id_) for id_ in rows["docno"]]
    if len(set(ids)) < len(ids):
        raise InputError(f"the query {qid!r} has a document twice; drop duplicates of qid and docno")
    return Ranking(Query(str(texts[0]), qid), tuple(_candidates(ids, rows)))


def _candidates(ids: list[str], rows: pd.DataFrame) -> Iterator[Candidate]:
    texts = [str(text) for text in rows["text"]] if "text" in rows.columns else [""] * len(ids)
    for rank, (id_, text) in enumerate(zip(ids, texts, strict=True), 1):
        yield Candidate(Document(id_, text), None, (Signal("frame", rank),))


def _text(document: Document) -> str:
    return f"{document.title} {document.text}".strip()
