"""Mines the negatives of a training again between its epochs, with the model as it stands.

A training whose negatives are mined again is one run in rounds. At the end of a round a checkpoint is written, the
negatives of the next one are mined and kept beside it, and the trainer goes on from there, with optimizer and schedule.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from transformers import TrainerCallback

from resift import atomic
from resift.errors import BrokenModel, InputError
from resift.protocols import Role
from resift.score.pairs import whole_text
from resift.train.choices import BM25
from resift.train.examples import Labelled, TrainingQuery
from resift.train.mine import MineOptions, MiningReport, mine
from resift.train.mine.rankers import Progress
from resift.train.mine.retrievers import corpus_of
from resift.train.neural.hard_negatives import Exchange, exchanged, key_of, negatives_of
from resift.train.neural.plan import Plan, TrainingSet
from resift.train.neural.report import MiningRound
from resift.train.neural.rows import query_text, rows_of
from resift.train.neural.trainable import BaseModel
from resift.train.neural.vector_scores import encoded
from resift.types import ModelInfo, Pair, ScoreKind, Scores

_NAME = "the model in training"


@dataclass(frozen=True, slots=True)
class ModelScorer:
    """A model in training as the judge of mining."""

    base: BaseModel
    bf16: bool

    @property
    def info(self) -> ModelInfo:
        """Its name, and what its scores are."""
        return ModelInfo(_NAME, ScoreKind.LOGIT if self.base.kind.logits else ScoreKind.MAXSIM)

    def score(self, pairs: Sequence[Pair]) -> Scores:
        """One score per pair."""
        texts = [(query_text(TrainingQuery(query, ())), whole_text(c.document)) for query, c in pairs]
        return Scores.of(self.base.score(texts, self.bf16).tolist(), self.info)


@dataclass(frozen=True, slots=True)
class ModelEmbedder:
    """A model in training as a retriever of mining."""

    base: BaseModel
    bf16: bool
    name: str = _NAME

    @property
    def dims(self) -> int:
        """How many numbers a vector has."""
        return int(self.base.model.get_embedding_dimension())

    def embed(self, texts: Sequence[str], role: Role) -> npt.NDArray[np.float32]:
        """(n, dims) vectors of length 1."""
        is_query = role == "query"
        queries, documents = encoded(self.base.model, texts if is_query else [], [] if is_query else texts, self.bf16)
        vectors = np.asarray(queries if is_query else documents, np.float32)
        return vectors.reshape(len(texts), -1)


class RoundEnd(TrainerCallback):
    """Writes a checkpoint at the end of a round, and ends the training for the time being."""

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Look whether the round is over."""
        if state.global_step % self._steps == 0 and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = True


class Remining:
    """The data of each round of a training.

    Attributes:
        rounds: what was mined, in order.

    """

    def __init__(self, plan: Plan, base: BaseModel, folder: Path, bf16: bool) -> None:
        self._plan, self._base, self._folder, self._bf16 = plan, base, folder, bf16
        self._documents = [corpus_of(each.examples, None) for each in plan.sets]
        self._queries = [each.queries for each in plan.sets]
        self.rounds: list[MiningRound] = []

    def sets_at(self, step: int, on_progress: Progress) -> tuple[TrainingSet, ...]:
        """The data from a step on; negatives are mined where a round begins there, or read where they were mined.

        Raises:
            BrokenModel: the negatives of an earlier round are missing.

        """
        for number in range(len(self.rounds) + 1, step // self._plan.round_steps + 1):
            began = number * self._plan.round_steps
            path = self._folder / f"negatives-{began}.json"
            if path.exists():
                self._read(path)
            elif began == step:
                self._mine(path, step, on_progress)
            else:
                raise BrokenModel(f"{path}, the negatives of step {began}, is missing; start without --resume")
        return tuple(
            self._laid_out(each, queries) for each, queries in zip(self._plan.sets, self._queries, strict=True)
        )

    def _laid_out(self, each: TrainingSet, queries: tuple[TrainingQuery, ...]) -> TrainingSet:
        settings = self._plan.settings
        weighted = each.loss.weighted and each.facts.weighted > 0
        rows = rows_of(each.loss, queries, settings.list_size, settings.negatives, weighted)
        return replace(each, queries=queries, rows=rows)

    def _mine(self, path: Path, step: int, on_progress: Progress) -> None:
        """Mine the negatives of a round, and keep them."""
        results, sentences = [], []
        for place in range(len(self._queries)):
            exchange, sentence = self._mined(place, on_progress)
            results.append(exchange)
            sentences.append(sentence)
        self._queries = [exchange.queries for exchange in results]
        done = MiningRound(
            step, sum(each.negatives for each in results), sum(each.changed for each in results), "; ".join(sentences)
        )
        ids = [[[c.document.id for c in negatives_of(query)] for query in queries] for queries in self._queries]
        atomic.write(path, [json.dumps({"round": asdict(done), "negatives": ids}).encode()])
        self.rounds.append(done)

    def _mined(self, place: int, on_progress: Progress) -> tuple[Exchange, str]:
        """Exchange the negatives of one set for the hardest that BM25 and the model find; what the model says of them.

        Where nothing is found the negatives stay, and the sentence says why.
        """
        each, before, settings = self._plan.sets[place], self._queries[place], self._plan.settings
        count = max(len(negatives_of(query)) for query in before)
        embeds = self._plan.task.name == "embedder"
        retrievers = (BM25, ModelEmbedder(self._base, self._bf16)) if embeds else (BM25,)
        options = MineOptions(retrievers, count, range_max=max(settings.depth, count), seed=settings.seed)
        # What the data say of each query: a negative that was mined in an earlier round is no judgement.
        asked = [replace(q, query=replace(q.query, instruction=q.prompt or q.query.instruction)) for q in each.queries]
        scorer = None if embeds else ModelScorer(self._base, self._bf16)
        try:
            result = mine(replace(each.examples, queries=asked), self._documents[place], options, scorer, on_progress)
        except InputError as error:
            return exchanged(before, {}), f"the negatives stay: {error}"
        mined = {key_of(query): _by_hardness(query) for query in result.examples.queries}
        return exchanged(before, mined), _sentence(result.report)

    def _read(self, path: Path) -> None:
        """Take the negatives of a round that was mined before."""
        entries = json.loads(path.read_text("utf-8"))
        queries = []
        for documents, before, ids in zip(self._documents, self._queries, entries["negatives"], strict=True):
            mined = {
                key_of(query): [Labelled(documents[documents.row(id_)], 0.0) for id_ in of_query]
                for query, of_query in zip(before, ids, strict=True)
            }
            queries.append(exchanged(before, mined).queries)
        self._queries = queries
        self.rounds.append(MiningRound(**entries["round"]))


def _by_hardness(query: TrainingQuery) -> list[Labelled]:
    """The negatives of a query, those of the highest score first where the judge's are known."""
    negatives = sorted(negatives_of(query), key=lambda c: -(c.teacher or 0.0))
    return [Labelled(c.document, 0.0) for c in negatives]


def _sentence(report: MiningReport) -> str:
    share = "" if report.auc is None else f", and a positive has the higher score in {report.auc:.1%} of the pairs"
    return f"{report.data}: {report.histogram_sentence}{share} ({report.verdict})"
