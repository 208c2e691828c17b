"""Which data can have their negatives mined again, their first ones, and the exchange of old ones for new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from resift.errors import InputError
from resift.score.pairs import whole_text
from resift.train.choices import BM25
from resift.train.data.collect import content_hash
from resift.train.examples import ExampleSet, LabelKind, Labelled, TrainingQuery
from resift.train.mine import MineOptions, mine
from resift.train.neural.losses import DataFacts, Form, Loss, Values
from resift.train.neural.settings import TrainingSettings

Key = tuple[str, str, str]


def check(examples: ExampleSet, loss: Loss, facts: DataFacts) -> None:
    """Refuse data whose negatives can't be mined again.

    Raises:
        InputError: there is no corpus, or the loss does not learn from labelled negatives.

    """
    if examples.corpus is None:
        raise InputError(
            f"{examples.name} brings no corpus in which negatives could be mined again; name one with --corpus, give "
            "a BEIR folder, or leave --remine out"
        )
    if loss.values is Values.TEACHER:
        raise InputError(
            f"the loss {loss.name} learns from a teacher's scores, and nobody has scored the negatives that --remine "
            "would find; choose a loss of labels, or leave --remine out"
        )
    if facts.kind not in (LabelKind.BINARY, LabelKind.GRADED) or not facts.negatives:
        raise InputError(
            f"{examples.name} has no negatives, which are candidates labelled 0, so --remine has nothing to exchange; "
            "mine some first (resift mine), or leave --remine out"
        )


def with_first_negatives(
    examples: ExampleSet, queries: Sequence[TrainingQuery], settings: TrainingSettings, form: Form
) -> tuple[ExampleSet, tuple[TrainingQuery, ...]]:
    """Data whose queries have negatives: as they are, or, where no query has one, with those of BM25 in the corpus.

    Queries for which BM25 finds none stay as they are.
    """
    if examples.corpus is None or any(negatives_of(query) for query in queries):
        return examples, tuple(queries)
    count = settings.list_size - 1 if form is Form.LIST else settings.negatives
    options = MineOptions((BM25,), count, range_max=max(settings.depth, count), seed=settings.seed)
    result = mine(replace(examples, queries=queries), examples.corpus, options)
    by_key = {key_of(query): query for query in result.examples.queries}
    mined = tuple(by_key.get(key_of(query), query) for query in queries)
    return replace(examples, detection=result.examples.detection), mined  # nobody judged these negatives


def key_of(query: TrainingQuery) -> Key:
    """What tells the queries of a data set apart."""
    return query.query.id, query.query.text, query.prompt


def negatives_of(query: TrainingQuery) -> list[Labelled]:
    """Candidates that are labelled 0."""
    return [c for c in query.candidates if c.label is not None and c.label <= 0]


@dataclass(frozen=True, slots=True)
class Exchange:
    """Queries with other negatives, how many negatives there are, and how many of them were not there before."""

    queries: tuple[TrainingQuery, ...]
    negatives: int
    changed: int


def exchanged(queries: Sequence[TrainingQuery], mined: Mapping[Key, Sequence[Labelled]]) -> Exchange:
    """Give each query its mined negatives in the place of those that it has.

    Each query keeps the number of its negatives, so that an epoch has as many rows as before: where fewer were mined,
    the first of the old ones stay.

    Args:
        queries: of the training.
        mined: new negatives by the query's key, the best first.

    """
    results, total, changed = [], 0, 0
    for query in queries:
        before = negatives_of(query)
        old_texts = {whole_text(c.document) for c in before}
        new = [c for c in mined.get(key_of(query), ()) if whole_text(c.document).strip()][: len(before)]
        new_texts = {whole_text(c.document) for c in new}
        rest = [c for c in before if whole_text(c.document) not in new_texts][: len(before) - len(new)]
        others = [c for c in query.candidates if c.label is None or c.label > 0]
        candidates = sorted([*others, *new, *rest], key=lambda c: content_hash(c.document.title, c.document.text))
        results.append(replace(query, candidates=tuple(candidates)))
        total += len(before)
        changed += len(new_texts - old_texts)
    return Exchange(tuple(results), total, changed)
