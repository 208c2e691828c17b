"""What a training will do: which queries train, by which loss and why, and on which lists the model is measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

from resift.errors import InputError, MissingExtra
from resift.evaluate.dataset import Dataset
from resift.train.examples import ExampleSet, LabelKind, Shape, TrainingQuery
from resift.train.neural import hard_negatives, losses, processes, splits
from resift.train.neural.losses import DataFacts, Form, Loss, Values
from resift.train.neural.measures import Measures
from resift.train.neural.ranking_lists import Candidates, Pool, RankingLists, of_dataset
from resift.train.neural.rows import TrainingRows, named, rows_of
from resift.train.neural.settings import AUTO, TrainingSettings
from resift.train.neural.tasks import Task, task_of
from resift.train.neural.vector_losses import TEACHER_SCALES


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """One data set as it is trained on.

    Attributes:
        name: of the data.
        loss, reason: what it is trained with, and why.
        queries: that train.
        facts: what was counted over them.
        rows: of the loss.
        teacher_scale: what a teacher's scores are multiplied by.
        rows_per_batch: of one process, so that a batch of all has about as many pairs as the settings say.
        examples: the data that these queries are of, with their corpus.

    """

    name: str
    loss: Loss
    reason: str
    queries: tuple[TrainingQuery, ...]
    facts: DataFacts
    rows: TrainingRows
    teacher_scale: float
    rows_per_batch: int
    examples: ExampleSet

    @property
    def batches(self) -> int:
        """Batches of one epoch."""
        return math.ceil(self.rows.count / (self.rows_per_batch * processes.count()))


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole training.

    Attributes:
        sets: that are trained on.
        dev: lists that choose the checkpoint; test: lists that are reported, on which nothing was chosen.
        general_dev, general_test: the same of the data that show what was forgotten; None without such data.
        measures: of dev and test; the first one decides.
        notes: what was left out or moved, in sentences.
        settings: of the training.

    """

    sets: tuple[TrainingSet, ...]
    dev: RankingLists
    test: RankingLists
    general_dev: RankingLists | None
    general_test: RankingLists | None
    measures: Measures
    settings: TrainingSettings
    notes: tuple[str, ...] = field(default=())

    @property
    def task(self) -> Task:
        """What is trained."""
        return task_of(self.settings.task)

    @property
    def steps(self) -> int:
        """Steps of the optimizer, at most."""
        steps = max(1, math.ceil(self._batches / self.settings.accumulation * self.settings.epochs))
        return min(steps, self.settings.steps) if self.settings.steps else steps

    @property
    def _batches(self) -> int:
        return sum(each.batches for each in self.sets)

    @property
    def round_steps(self) -> int:
        """Steps after which negatives are mined again; 0: never."""
        return self.settings.remine * math.ceil(self._batches / self.settings.accumulation)

    @property
    def every(self) -> int:
        """Steps between two evaluations."""
        return max(1, self.steps // self.settings.evaluations)

    @property
    def outputs(self) -> int:
        """Of the model's head."""
        return max(each.loss.outputs for each in self.sets)


def make_plan(
    sets: Sequence[ExampleSet], settings: TrainingSettings, dev: Dataset | None = None, general: Dataset | None = None
) -> Plan:
    """Split, check and lay out data; a wrong measure, loss or label is refused here, before a model is opened.

    Args:
        sets: that are trained on.
        settings: of the training.
        dev: judged queries that take the place of those which are otherwise held out; a half of them chooses the
            checkpoint, and the other half is reported.
        general: judged queries of another domain, to see what is forgotten.

    Raises:
        InputError: a measure, a loss or data that can't be used.
        MissingExtra: the extra `train` or `evaluate` is not installed.

    """
    _check_installed()
    task = task_of(settings.task)
    measures = Measures.parse(settings.measures or task.measures, task.name == "reranker")
    if settings.remine and processes.count() > 1:
        raise InputError("one process alone mines negatives again; leave --remine out, or start one")
    if not sets:
        raise InputError("there are no data to train on; name a file or folder")
    notes = [f"{examples.name}: {issue.message}" for examples in sets for issue in examples.issues]
    parts, dev_lists, test_lists = _held_out(sets, settings, measures, dev)
    general_lists = None if general is None else _of_dataset(general, settings)
    held_out = [item.query for lists in (dev_lists, test_lists, general_lists) if lists for item in lists.lists]
    rest = []
    for examples, part in zip(sets, parts, strict=True):
        queries, count = splits.without_texts(part, held_out)
        if count:
            notes.append(
                f"{examples.name}: {count} queries are among those that measure the model, and do not train it"
            )
        rest.append(queries)
    laid_out = _training_sets(sets, rest, settings)
    notes += [
        f"{each.name}: the teacher's scores are from -1 to 1, as cosines are, and are multiplied by "
        f"{each.teacher_scale:g}, as the model's own are"
        for each in laid_out
        if each.teacher_scale > 1
    ]
    notes += [f"{each.name}: {named(each.rows.left_out)} (not trained on)" for each in laid_out if each.rows.left_out]
    if len({each.loss.outputs for each in laid_out}) > 1:
        raise InputError("the loss ce needs a head of two outputs and the others one of one; train with one kind only")
    plan = Plan(
        laid_out,
        dev_lists,
        test_lists,
        *_general_halves(general_lists),
        measures,
        settings,
        tuple(notes),
    )
    for lists in filter(None, (plan.dev, plan.test, plan.general_dev, plan.general_test)):
        for each in laid_out:
            measures.check(lists, each.loss.name)
    return _with_rounds(plan) if settings.remine else plan


def _with_rounds(plan: Plan) -> Plan:
    """A plan that says how often negatives are mined again.

    Raises:
        InputError: it ends before that.

    """
    rounds = (plan.steps - 1) // plan.round_steps
    if not rounds:
        raise InputError(
            f"negatives are mined again after {plan.round_steps} steps, and the training has {plan.steps}; raise "
            "--steps or --epochs, or leave --remine out"
        )
    times = f"{rounds} times" if rounds > 1 else "once"
    note = f"negatives are mined again {times}, after every {plan.round_steps} steps, with the model as it then stands"
    return replace(plan, notes=(*plan.notes, note))


def _check_installed() -> None:
    try:
        import accelerate  # noqa: F401
        import datasets  # noqa: F401
        import sentence_transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtra("training a model", "train") from error


def _held_out(
    sets: Sequence[ExampleSet], settings: TrainingSettings, measures: Measures, dev: Dataset | None
) -> tuple[list[Sequence[TrainingQuery]], RankingLists, RankingLists]:
    """Queries that train, of each set; lists that choose, and lists that are reported."""
    if dev is not None:
        lists = _of_dataset(dev, settings)
        first, second = splits.halves([item.query for item in lists.lists])
        return [s.queries for s in sets], lists.part(first, "dev"), lists.part(second, f"{lists.name}, held out")
    trained: list[Sequence[TrainingQuery]] = []
    dev_parts, test_parts = [], []
    for examples in sets:
        if losses.facts_of(examples).kind is LabelKind.NONE:
            raise InputError(
                f"{examples.name} has no labels, so nothing can be held out to measure; if scores are labels, and not "
                "a teacher's, say so with --columns label=COLUMN; else give judged queries with --dev"
            )
        parts = splits.split(examples, measures.reads, settings.seed)
        candidates = _candidates(examples, settings)
        depth = settings.documents if candidates == "corpus" else settings.depth
        pool = Pool(examples.queries, None if candidates == "given" else examples.corpus)
        trained.append(parts.train)
        dev_parts.append(pool.lists("dev", parts.dev, depth, candidates))
        test_parts.append(pool.lists(f"{examples.name}, held out", parts.test, depth, candidates))
    return trained, _joined(dev_parts), _joined(test_parts)


def _of_dataset(data: Dataset, settings: TrainingSettings) -> RankingLists:
    """What a search brings, also where DATA's own candidates are ranked: the judged ones here are mostly answers."""
    if _named_candidates(settings) == "corpus":
        return of_dataset(data, settings.documents, "corpus")
    return of_dataset(data, settings.depth)


def _named_candidates(settings: TrainingSettings) -> Candidates:
    if settings.candidates == AUTO:
        return task_of(settings.task).candidates
    return next(name for name in get_args(Candidates) if name == settings.candidates)


def _candidates(examples: ExampleSet, settings: TrainingSettings) -> Candidates:
    candidates = _named_candidates(settings)
    by_run = settings.candidates == AUTO and examples.detection.shape is Shape.RUN
    return "given" if candidates == "bm25" and by_run else candidates


def _joined(parts: Sequence[RankingLists]) -> RankingLists:
    names = dict.fromkeys(part.name for part in parts)
    stages = dict.fromkeys(part.first_stage for part in parts)
    return RankingLists(" + ".join(names), tuple(item for part in parts for item in part.lists), "; ".join(stages))


def _general_halves(lists: RankingLists | None) -> tuple[RankingLists | None, RankingLists | None]:
    if lists is None:
        return None, None
    first, second = splits.halves([item.query for item in lists.lists])
    if not first or not second:
        raise InputError(f"{lists.name} has one query; give general data with at least two")
    return lists.part(first, lists.name), lists.part(second, lists.name)


def _teacher_scale(loss: Loss, queries: Sequence[TrainingQuery], task: Task) -> float:
    """What a teacher's scores are multiplied by: 1, but for cosines where the model's own are multiplied, too."""
    if loss.values is not Values.TEACHER or task.name not in TEACHER_SCALES:
        return 1.0
    scores = (c.teacher for query in queries for c in query.candidates if c.teacher is not None)
    return TEACHER_SCALES[task.name] if all(-1 <= score <= 1 for score in scores) else 1.0


def _training_sets(
    sets: Sequence[ExampleSet], rest: Sequence[tuple[TrainingQuery, ...]], settings: TrainingSettings
) -> tuple[TrainingSet, ...]:
    names = settings.losses * len(sets) if len(settings.losses) == 1 else settings.losses
    if len(names) != len(sets):
        raise InputError(f"{len(sets)} data sets and {len(names)} losses: name one loss for all, or one for each")
    made, task = [], task_of(settings.task)
    for examples, queries, name in zip(sets, rest, names, strict=True):
        if settings.remine:
            form = task.losses[name].form if name in task.losses else Form.PAIR
            examples, queries = hard_negatives.with_first_negatives(examples, queries, settings, form)
        facts = DataFacts.of(queries, losses.has_margins(examples))
        loss, reason = (
            losses.choose(facts, task.losses)
            if name == AUTO
            else (losses.check(name, facts, task.losses), "it was asked for")
        )
        if settings.remine:
            hard_negatives.check(examples, loss, facts)
        weighted = loss.weighted and facts.weighted > 0
        scale = _teacher_scale(loss, queries, task)
        rows = rows_of(loss, queries, settings.list_size, settings.negatives, weighted, scale)
        contrasts = loss.form is Form.TUPLE
        in_batch = settings.options.in_batch if contrasts and task.name == "reranker" else 0
        pairs, most = settings.batch / processes.count(), rows.count // processes.count()
        size = max(2 if contrasts else 1, round(pairs / (rows.pairs_per_row + in_batch)))
        made.append(
            TrainingSet(examples.name, loss, reason, queries, facts, rows, scale, min(size, max(1, most)), examples)
        )
    return tuple(made)
