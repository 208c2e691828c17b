"""From a click log to rows: its queries run through a pipeline as in serving, and clicks in the place of judgements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from resift.errors import InputError
from resift.evaluate import Dataset
from resift.evaluate.document_store import DocumentStore
from resift.rerank.ranking_function import Matrix
from resift.train.ltr.click_log import Impression
from resift.train.ltr.click_rows import BOUND, click_rows
from resift.train.ltr.dataset_rows import DataOptions, RankedData, facts_of, issues_of, ranked_queries
from resift.train.ltr.propensities import Propensities, estimated_propensities
from resift.train.ltr.search import Progress
from resift.types import Query


@dataclass(frozen=True, eq=False)
class ClickData:
    """A log with the texts that it speaks of.

    Attributes:
        data: the queries with a click; documents that were shown have the grade 1 where anyone clicked them, else 0.
        impressions: of the whole log, queries by their ids in `data`.

    """

    data: Dataset
    impressions: tuple[Impression, ...]

    @classmethod
    def of(
        cls,
        impressions: Sequence[Impression],
        documents: DocumentStore,
        queries: Mapping[str, str] | None = None,
        name: str = "clicks",
    ) -> ClickData:
        """Put a log and texts together.

        Args:
            impressions: as `read_clicks` gives them.
            documents: by their ids in the log.
            queries: texts by the ids that the log has; None: the log has the texts themselves.
            name: of the data.

        Raises:
            InputError: no query or no document of the log is known; see `Dataset.of`.

        """
        qrels: dict[str, dict[str, int]] = {}
        for i in impressions:
            grades = qrels.setdefault(i.query, {})
            grades[i.document] = max(grades.get(i.document, 0), int(i.clicked))
        texts = {query: query for query in qrels} if queries is None else queries
        asked = [Query(text, id_) for id_, text in texts.items()]
        return cls(Dataset.of(asked, documents, qrels, name=name, pooled=True), tuple(impressions))

    def sample(self, limit: int | None, seed: int = 0) -> ClickData:
        """At most so many of the queries; propensities are still those of the whole log."""
        return replace(self, data=self.data.sample(limit, seed))


def rows_of_clicks(
    clicks: ClickData,
    options: DataOptions,
    propensities: Propensities | None = None,
    bound: float = BOUND,
    on_progress: Progress = lambda step, count, share: None,
) -> RankedData:
    """Run the pipeline over the log's queries, and make a list of each click; see `click_rows`.

    Features are of the pipeline's candidates, as in serving; a document that was shown and is none of them is left out.

    Args:
        clicks: the log with its texts.
        options: pipeline, depth; `unjudged` plays no part, since documents that were not shown teach nothing.
        propensities: None: they are estimated from the log.
        bound: the most that a click weighs.
        on_progress: is called after each query.

    Raises:
        InputError: as `click_rows`, `estimated_propensities` and `dataset_rows.rows_of`.

    """
    if bound < 1:
        raise InputError(f"the bound of a click's weight is 1 or more; not {bound:g}")
    chances = propensities or estimated_propensities(clicks.impressions)
    data = clicks.data
    ranked = ranked_queries(data, options, on_progress)
    features: dict[tuple[str, str], Matrix] = {}
    matrices, unread = ranked.matrices()
    for ranking, matrix in zip(ranked.rankings, matrices, strict=True):
        features |= {(ranking.query.id, c.document.id): matrix[i] for i, c in enumerate(ranking)}
    asked = {query.id for query in data.queries}
    impressions = [i for i in clicks.impressions if i.query in asked]
    rows = click_rows(impressions, lambda q, d: features.get((q, d)), ranked.features.names, chances, bound)
    order = "each click is a list: figures are of clicks by their weights, and no reranking is the order that was shown"
    rows = replace(rows, issues=(*issues_of(data, options), *unread, order, *rows.issues))
    facts = facts_of(data, options, rows) | {"unjudged": "left out", "clicks": _facts(clicks, chances, bound)}
    return ranked.data(rows, facts)


def _facts(clicks: ClickData, chances: Propensities, bound: float) -> dict[str, Any]:
    return {
        "shown": len(clicks.impressions),
        "clicked": sum(i.clicked for i in clicks.impressions),
        "bound": bound,
        "source": chances.source,
        "propensities": {str(position): round(value, 4) for position, value in sorted(chances.values.items())},
    }
