"""Mines hard negatives: rank, rescore, leave out what is likely relevant, draw, report."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from heapq import nsmallest
from pathlib import Path
from statistics import median

import numpy as np

from resift import atomic
from resift.errors import InputError
from resift.evaluate.document_store import DocumentStore
from resift.protocols import RemembersDocuments, Scorer
from resift.score.cache import PairCache
from resift.score.pairs import whole_text
from resift.train.choices import Sampling
from resift.train.data.collect import content_hash
from resift.train.data.labels import kind_of
from resift.train.examples import Detection, ExampleSet, Labelled, Shape, TrainingQuery
from resift.train.mine.candidates import MinedCandidate, in_range, is_suspect, remaining
from resift.train.mine.options import MineOptions
from resift.train.mine.rankers import Listing, Places, Progress
from resift.train.mine.report import MiningReport, Suspect, area, histogram_of, verdict_of
from resift.train.mine.retrievers import corpus_of, rank_all
from resift.train.near_duplicates import says_the_same, shingles
from resift.types import Candidate, Document

_SHOWN = 20  # likely false negatives
_SHOWN_CHARACTERS = 200
_SHINGLE = 3  # words
_TOGETHER = 64  # queries whose pairs are scored in one call
_MOST_POSITIVES = 100  # by which a list is longer than the range of ranks
_REMEMBERED = 1 << 29  # bytes of documents that the judge encoded
# Shapes whose labels of 0 somebody stated. Negatives of tuples were mined, and a run has what nobody judged.
_JUDGED = (Shape.PAIRS, Shape.LISTS, Shape.BEIR)
_TRIES = 20  # draws for each random negative


@dataclass(frozen=True)
class MiningResult:
    """Queries with their positives and mined negatives, and what mining did."""

    examples: ExampleSet
    report: MiningReport


@dataclass(slots=True)
class _Query:
    """One query on its way: its positives and candidates, and the negatives that it gets."""

    query: TrainingQuery
    positives: dict[int, Labelled]  # by place
    labelled: frozenset[int]  # places of all its labelled documents
    candidates: list[MinedCandidate]
    listed: frozenset[int]  # places that any retriever lists
    scores: dict[str, dict[int, float]]  # of the positives, by ranker
    negatives: list[MinedCandidate] = field(default_factory=list)
    random: list[MinedCandidate] = field(default_factory=list)


def mine(
    examples: ExampleSet,
    corpus: Iterable[Document] | None = None,
    options: MineOptions | None = None,
    scorer: Scorer | None = None,
    on_progress: Progress = lambda step, count, share: None,
    keep: Path | None = None,
) -> MiningResult:
    """Find hard negatives for the queries that have a positive.

    It may be called again between epochs, with the model that is being trained as `scorer`, or among the retrievers.

    Args:
        examples: queries with a candidate whose label is over 0. What is labelled 0 is no false negative, except in
            tuples, whose negatives nobody judged; examples that were mined before are such tuples.
        corpus: documents among which negatives are looked for, beside those of the examples; by default
            `examples.corpus`.
        options: how it is done.
        scorer: the judge, which scores every candidate and positive; its scores become teacher scores.
        on_progress: is called with a step, a count and a share.
        keep: a folder for what retrievers list and the judge says, from which an interrupted run goes on; what
            depends on other data, options or models is not taken. Whoever names it deletes it in the end.

    Raises:
        InputError: no query has a positive, there are no other documents, or options that don't fit together.
        ModelError: an embedder can't be used.

    """
    options = options or MineOptions()
    options.check()
    began = time.perf_counter()
    queries, left_out = _with_positives(examples, options)
    documents = corpus_of(replace(examples, queries=queries), corpus)
    # A document is a candidate of many queries.
    judge = scorer.remembering(_REMEMBERED) if isinstance(scorer, RemembersDocuments) else scorer
    if judge is not None and keep is not None:
        with atomic.blaming(keep):
            keep.mkdir(exist_ok=True)
        judge = PairCache(path=keep / "scores.sqlite").before(judge)
    miner = _Miner(replace(examples, queries=queries), documents, options, judge, left_out)
    miner.rank(on_progress, keep)
    results = miner.mine(on_progress)
    return MiningResult(results, miner.report(results, time.perf_counter() - began))


def _with_positives(examples: ExampleSet, options: MineOptions) -> tuple[list[TrainingQuery], Counter[str]]:
    queries = [q for q in examples.queries if any((c.label or 0) > 0 for c in q.candidates)]
    left_out = Counter({"without_a_positive": len(examples.queries) - len(queries)})
    if not queries:
        raise InputError(f"no query of {examples.name} has a positive; negatives are mined for queries that have one")
    if options.limit is not None and options.limit < len(queries):
        left_out["not_in_the_sample"] = len(queries) - options.limit
        seed = str(options.seed)
        queries = nsmallest(options.limit, queries, key=lambda q: content_hash(seed, q.query.text, q.query.id))
    return queries, +left_out


class _Miner:
    """The state of one run."""

    def __init__(
        self,
        examples: ExampleSet,
        documents: DocumentStore,
        options: MineOptions,
        scorer: Scorer | None,
        left_out: Counter[str],
    ) -> None:
        self._name, self._queries, self._documents = examples.name, examples.queries, documents
        self._labels_are_judgements = examples.detection.shape in _JUDGED
        self._options, self._scorer, self._left_out = options, scorer, left_out
        self._rankings: list[Listing] = []
        self._questions: list[list[Places]] = []
        self._dropped: Counter[str] = Counter()
        self._suspects: list[tuple[int, bytes, int, _Query, MinedCandidate]] = []
        self._scores: tuple[list[float], list[float]] = [], []  # the judge's, of positives and hard negatives
        self._short = self._random = self._suspect_count = 0
        self._sizes: list[int] = []

    @property
    def _judge(self) -> str:
        return self._scorer.info.name if self._scorer is not None else self._rankings[-1].name

    def rank(self, on_progress: Progress, keep: Path | None) -> None:
        """Run the retrievers."""
        if all(len(self._documents) <= len(q.candidates) for q in self._queries):
            raise InputError(
                f"{self._name} has no documents beside those of the queries themselves; name others with --documents"
            )
        row = self._documents.row
        positives = [
            np.array(sorted(row(c.document.id) for c in q.candidates if (c.label or 0) > 0), np.int64)
            for q in self._queries
        ]
        width = self._options.range_max + min(max(map(len, positives)), _MOST_POSITIVES)
        texts = [q.query.text for q in self._queries]
        self._rankings, self._questions = rank_all(
            texts, positives, self._documents, self._options.retrievers, width, on_progress, keep
        )

    def mine(self, on_progress: Progress) -> ExampleSet:
        """The queries with positives and negatives; those that get none are left out."""
        results: list[TrainingQuery] = []
        for start in range(0, len(self._queries), _TOGETHER):
            part = [self._query(q) for q in range(start, min(start + _TOGETHER, len(self._queries)))]
            if self._scorer is not None:
                self._rescore(self._scorer, part, [query.candidates for query in part])
            for query in part:
                self._select(query)
            if self._scorer is not None and self._options.random:
                self._score(self._scorer, [(query, query.random) for query in part])
            results += filter(None, map(self._finished, part))
            self._suspects = nsmallest(_SHOWN, self._suspects, key=lambda suspect: suspect[:3])
            on_progress("queries mined", start + len(part), (start + len(part)) / len(self._queries))
        if not results:
            reasons = ", ".join(f"{name}: {count}" for name, count in sorted(self._dropped.items())) or "none listed"
            raise InputError(f"no query of {self._name} got a negative ({reasons}); relax the margins or the range")
        results.sort(key=lambda q: (content_hash(q.query.text, q.prompt), q.query.id))
        kind = kind_of(c.label for q in results for c in q.candidates if c.label is not None)
        count = sum(len(q.candidates) for q in results)
        sentence = f"{self._name} with mined negatives: {len(results):,} queries, {count:,} candidates"
        return ExampleSet(self._name, tuple(results), Detection(Shape.TUPLES, {}, kind, count, sentence))

    def _query(self, q: int) -> _Query:
        """What the retrievers say of a query."""
        query = self._queries[q]
        by_place = {self._documents.row(c.document.id): c for c in query.candidates}
        positives = {place: c for place, c in by_place.items() if (c.label or 0) > 0}
        candidates: dict[int, MinedCandidate] = {}
        scores: dict[str, dict[int, float]] = {}
        for listing, questions in zip(self._rankings, self._questions, strict=True):
            rank = 0
            for place, value in zip(listing.places[q].tolist(), listing.values[q].tolist(), strict=True):
                if place < 0 or place in positives:
                    continue
                rank += 1
                is_judged = self._labels_are_judgements and place in by_place and by_place[place].label is not None
                candidate = candidates.setdefault(place, MinedCandidate(place, judged=is_judged))
                candidate.ranks[listing.name], candidate.values[listing.name] = rank, value
            scores[listing.name] = {}
            for place, value in zip(questions[q].tolist(), listing.asked[q].tolist(), strict=True):
                if place in positives:
                    scores[listing.name][place] = value
                elif place in candidates:
                    candidates[place].values.setdefault(listing.name, value)
        within = [candidate for candidate in candidates.values() if in_range(candidate, self._options)]
        for candidate in within:
            candidate.score = candidate.values[self._rankings[-1].name]
        return _Query(query, positives, frozenset(by_place), within, frozenset(candidates), scores)

    def _rescore(self, scorer: Scorer, part: Sequence[_Query], lists: Sequence[list[MinedCandidate]]) -> None:
        """Let the judge score positives and candidates; those without a score are dropped."""
        positives = [[MinedCandidate(place) for place in query.positives] for query in part]
        self._score(
            scorer,
            [(query, [*of_query, *listed]) for query, of_query, listed in zip(part, positives, lists, strict=True)],
        )
        name = scorer.info.name
        for query, of_query in zip(part, positives, strict=True):
            query.scores[name] = {c.place: c.values[name] for c in of_query if name in c.values}
            scored = [candidate for candidate in query.candidates if name in candidate.values]
            self._dropped["without_a_score"] += len(query.candidates) - len(scored)
            scored.sort(key=lambda candidate: (-candidate.score, candidate.place))
            for rank, candidate in enumerate(scored, 1):
                candidate.ranks[name] = rank
            query.candidates = scored

    def _score(self, scorer: Scorer, lists: Sequence[tuple[_Query, Sequence[MinedCandidate]]]) -> None:
        """Write the judge's scores into candidates."""
        entries = [(query, candidate) for query, candidates in lists for candidate in candidates]
        pairs = [(query.query.query, Candidate(self._documents[candidate.place])) for query, candidate in entries]
        if not pairs:
            return
        for (_, candidate), value in zip(entries, scorer.score(pairs).values, strict=True):
            if value is not None:
                candidate.score = candidate.values[scorer.info.name] = value

    def _select(self, query: _Query) -> None:
        """Choose the negatives of a query."""
        judge_scores = query.scores[self._judge]
        if not judge_scores:
            self._left_out["without_a_score"] += 1
            return
        best = {name: max(scores.values()) for name, scores in query.scores.items() if scores}
        suspects = [candidate for candidate in query.candidates if is_suspect(candidate, best)]
        for candidate in suspects:
            worst_rank = max(candidate.ranks.values())
            self._suspects.append((worst_rank, content_hash(query.query.query.text), candidate.place, query, candidate))
        self._suspect_count += len(suspects)
        eligible, reasons = remaining(query.candidates, median(judge_scores.values()), suspects, self._options)
        self._dropped += reasons
        rng = random.Random(content_hash(str(self._options.seed), query.query.query.text))
        eligible.sort(key=lambda candidate: (-candidate.score, candidate.place))
        if self._options.sampling is Sampling.RANDOM:
            rng.shuffle(eligible)
        texts = [self._shingles(place) for place in query.positives]
        query.negatives = self._distinct(eligible, texts, self._options.negatives)
        query.random = self._drawn(query, texts, rng)
        self._scores[0].extend(judge_scores.values())
        self._scores[1].extend(candidate.score for candidate in query.negatives)
        self._short += len(query.negatives) < self._options.negatives

    def _distinct(
        self, candidates: Iterable[MinedCandidate], positives: Sequence[frozenset[str]], count: int
    ) -> list[MinedCandidate]:
        """The first so many that say neither the same as a positive nor exactly the same as one before."""
        selection: list[MinedCandidate] = []
        texts: set[frozenset[str]] = set()
        for candidate in candidates:
            if len(selection) == count:
                break
            text = self._shingles(candidate.place)
            if not candidate.judged and any(says_the_same(text, positive) for positive in positives):
                self._dropped["near_duplicates_of_a_positive"] += 1
            elif text in texts:
                self._dropped["repeated_texts"] += 1
            else:
                selection.append(candidate)
                texts.add(text)
        return selection

    def _drawn(self, query: _Query, positives: Sequence[frozenset[str]], rng: random.Random) -> list[MinedCandidate]:
        """Random documents that no retriever lists for the query."""
        places: dict[int, MinedCandidate] = {}
        for _ in range(_TRIES * self._options.random):
            if len(places) == self._options.random:
                break
            place = rng.randrange(len(self._documents))
            if place in query.listed or place in query.labelled or place in places:
                continue
            if not any(says_the_same(self._shingles(place), positive) for positive in positives):
                places[place] = MinedCandidate(place)
        return list(places.values())

    def _shingles(self, place: int) -> frozenset[str]:
        return shingles(whole_text(self._documents[place]), _SHINGLE)

    def _finished(self, query: _Query) -> TrainingQuery | None:
        """The query with its positives and negatives; None where it has no negative."""
        negatives = [*query.negatives, *query.random]
        if not negatives:
            self._left_out["without_a_negative"] += bool(query.scores[self._judge])
            return None
        self._sizes.append(len(negatives))
        self._random += len(query.random)
        name = self._judge if self._scorer is not None else ""
        taught = query.scores.get(name, {})
        candidates = [
            replace(positive, teacher=taught.get(place, positive.teacher))
            for place, positive in query.positives.items()
        ]
        candidates += [
            Labelled(self._documents[candidate.place], 0.0, candidate.values.get(name)) for candidate in negatives
        ]
        candidates.sort(key=lambda c: content_hash(c.document.title, c.document.text))
        return TrainingQuery(query.query.query, tuple(candidates), query.query.prompt)

    def report(self, results: ExampleSet, seconds: float) -> MiningReport:
        """What was done."""
        auc = area(*self._scores)
        rankers = [listing.name for listing in self._rankings]
        if self._scorer is not None:
            rankers.append(self._judge)
        shown = [self._shown(query, candidate) for *_, query, candidate in self._suspects]
        return MiningReport(
            data=self._name,
            queries=len(results.queries),
            documents=len(self._documents),
            rankers=tuple(rankers),
            judge=self._judge,
            mined=sum(self._sizes) - self._random,
            random=self._random,
            per_query=(min(self._sizes), median(self._sizes), max(self._sizes)),
            short=self._short,
            left_out=dict(+self._left_out),
            dropped=dict(sorted((+self._dropped).items())),
            suspects=tuple(shown),
            suspect_count=self._suspect_count,
            auc=auc,
            verdict=verdict_of(auc),
            histogram=histogram_of(*self._scores),
            seconds=seconds,
        )

    def _shown(self, query: _Query, candidate: MinedCandidate) -> Suspect:
        judge_scores = query.scores[self._judge]
        positive = max(judge_scores, key=lambda place: (judge_scores[place], -place))
        texts = [whole_text(self._documents[place])[:_SHOWN_CHARACTERS] for place in (positive, candidate.place)]
        id_ = self._documents.ids[candidate.place]
        return Suspect(query.query.query.text, texts[0], texts[1], id_, dict(candidate.ranks))
