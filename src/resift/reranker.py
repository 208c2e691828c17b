"""A loaded model and what it does: order documents, score pairs, become a stage of a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from resift import arguments, files
from resift.engine.once import OfOneProcess
from resift.errors import InputError
from resift.files.records import DocumentLike
from resift.machine import held, parse_size
from resift.pipeline import Part, Pipeline, boosts
from resift.protocols import Budget, Calibrator, HasContract, Scorer, Stage, StoresTokens, TokenStore
from resift.rerank.drive import drive
from resift.rerank.guard import choose_for_pairs
from resift.types import Candidate, Document, ModelInfo, Pair, Query, Ranking, Scores

if TYPE_CHECKING:  # these import much; `import resift` stays light
    from resift.calibrate.calibration import Calibration
    from resift.models.contract import Contract
    from resift.score.cache import PairCache


class Reranker(OfOneProcess):
    """A loaded model; safe to share between threads. With a cache, pairs that were scored before are looked up.

    Where the query or most of the texts are in a language that the model does not read, it leaves the order as it is
    and the trace's reason says why and which model to take. One that was chosen by name (`named`) reranks all the same,
    and the reason says that.

    With a calibration its scores come back as probabilities of relevance, and a threshold (`min_relevance`) may leave
    documents out. The order is the same as without.
    """

    def __init__(
        self,
        scorer: Scorer,
        cache: PairCache | None = None,
        named: bool = True,
        calibration: Calibration | None = None,
    ) -> None:
        self.scorer, self.cache, self.named, self.calibration = scorer, cache, named, calibration
        self.judge = scorer if cache is None else cache.before(scorer)  # the scorer, with the cache before it

    @property
    def info(self) -> ModelInfo:
        """Name, kind of score and limits of the model."""
        return self.scorer.info

    @property
    def contract(self) -> Contract:
        """How the model is fed and read, as its folder says.

        Raises:
            InputError: the scorer was not loaded from a model folder.

        """
        if not isinstance(self.scorer, HasContract):
            raise InputError(f"{self.info.name} has no model folder, and so no contract; see `info`")
        contract: Contract = self.scorer.contract
        return contract

    def warm(self) -> None:
        """Score one short pair, so that the weights are read and compiled before the time of a request runs."""
        self.scorer.score([(Query("a"), Candidate(Document("", "a")))])

    def rerank(
        self,
        query: str | Query,
        documents: Iterable[DocumentLike],
        top_k: int | None = None,
        depth: int | None = None,
        deadline_ms: float | None = None,
        max_memory: int | str | None = None,
        min_relevance: float | str | None = None,
        boost: str = "",
    ) -> Ranking:
        """Order documents by the model's score.

        Args:
            query: what is looked for; not empty.
            documents: texts, objects with "text" (and "id", "title"), or Documents, in first-stage order, which breaks
                ties and is each candidate's `first_rank`; ids default to the position from 0.
            top_k: how many to return; all by default.
            depth: how many to score, from the first; all by default.
            deadline_ms: after so many milliseconds no further batch is begun, and the best order so far comes back, all
                documents in it; the trace's reason says "scored n/m". A model's first call also reads its weights.
            max_memory: what the process may hold, in bytes or as "2GiB", pages of mapped files aside: less is scored at
                once, and when the next batch, or one long document, does not fit beside what is held already, the best
                order so far comes back, as by a deadline. On a model's first call its weights come on top. Linux only.
            min_relevance: leave out documents whose probability of relevance is less, or whose level is below "high" or
                "some"; they are in the ranking's `left_out`. Needs a calibration.
            boost: what of the documents' metadata counts beside the score, such as 'boost("date", half_life="90d")';
                several are joined by ">>" (see `rerank.boost.Boost`).

        Raises:
            InputError: an empty query, one document instead of a list, a document that is none of the three, a top_k or
                limit as `budget` refuses it, a min_relevance without a calibration, or that it does not have, or a
                boost that is none.

        """
        limits, most = budget(deadline_ms, max_memory), arguments.whole(top_k, "top_k")
        ranking = Ranking.unscored(arguments.query(query), files.documents(documents))
        checked_depth = arguments.whole(depth, "depth")
        stage = self.stage(blend=False, depth=checked_depth, min_relevance=min_relevance, boost=boost)
        return drive(stage, [ranking], limits)[0].top(most)

    def score(self, pairs: Iterable[tuple[str | Query, DocumentLike]]) -> Scores:
        """Score (query, document) pairs of any number of queries in one call; see `Scores`.

        Raises:
            InputError: one pair instead of a list, something that is no pair, or a query or document as in `rerank`.
            NotCalibrated: there is a calibration, and the scores are clearly others than those that it was made of.

        """
        listed = enumerate(arguments.items(pairs, "pairs", "(query, document)"))
        return self.converted(self._score([_pair(pair, i) for i, pair in listed]))

    def _score(self, pairs: Sequence[Pair]) -> Scores:
        return self.judge.score(pairs)

    def explaining(self) -> Reranker:
        """The same, whose rankings say why, where the model can: a learned one names features, others nothing."""
        return self

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The fingerprints of the models of which this is one or takes one."""
        return (self.info.fingerprint,)

    def converted(self, scores: Scores) -> Scores:
        """The judge's scores as this model gives them: probabilities where it has a calibration."""
        return scores if self.calibration is None else self.calibration.converted(scores)

    def stage(
        self,
        blend: bool | float = True,
        store: TokenStore | None = None,
        depth: int | None = None,
        min_relevance: float | str | None = None,
        when: str = "",
        boost: str = "",
    ) -> Stage:
        """The pipeline stage of this model, blended with what the first stage thought, guarded by language.

        Args:
            blend: True for the weights that were tuned with the model, a number for another, False for the score alone.
            store: token vectors computed before; used by models that compare token vectors.
            depth: how many candidates are scored, from the first; None: all.
            min_relevance: see `rerank`.
            when: the file of a rule that says for which queries the model is asked; empty: for all.
            boost: see `rerank`; it counts where the model is not asked, too.

        Raises:
            InputError: a blend that is neither true, false nor a number of 0 or more, a depth below 1, or a
                min_relevance or boost as `rerank` refuses it.

        """
        return self._stage(self.pipeline(blend, depth, None, min_relevance, when, boost), store)

    def _stage(self, plan: Pipeline, store: TokenStore | None) -> Stage:
        return self.stage_of(plan, self.with_store(store))

    def stage_of(self, plan: Pipeline, scorer: Scorer) -> Stage:
        """The stage of a pipeline of this model alone, whose pairs go to `scorer`."""
        return plan.stage(lambda name: scorer, self.named, lambda name: self.calibrator)

    @property
    def calibrator(self) -> Calibrator:
        """The calibration.

        Raises:
            InputError: there is none.

        """
        if self.calibration is None:
            raise InputError(
                f"{self.info.name} was loaded without a calibration, which a threshold of relevance needs; load it "
                "with calibrated=True (command line and server: --calibrated)"
            )
        return self.calibration

    def with_store(self, store: TokenStore | None) -> Scorer:
        """The scorer with stored token vectors where it compares any, and without the cache: they are quicker than it.

        Their scores may be others, since stored vectors are rounded, and may be pooled. A calibrated model therefore
        takes none: its calibration is of the scores that it gives itself.
        """
        if store is not None and self.calibration is None and isinstance(self.scorer, StoresTokens):
            return self.scorer.with_store(store)
        return self.judge

    def pipeline(
        self,
        blend: bool | float = True,
        depth: int | None = None,
        top_k: int | None = None,
        min_relevance: float | str | None = None,
        when: str = "",
        boost: str = "",
    ) -> Pipeline:
        """The model as a pipeline without a retriever; the arguments are those of `stage` and `rerank`.

        Raises:
            InputError: see `stage`.

        """
        stages = [Part("when", None, (("rule", when),))] if when else []
        stages.append(self._model(depth))
        if blend is not False:
            weight = None if blend is True else arguments.number(blend, "blend")
            stages.append(Part("blend", None, () if weight is None else (("weight", weight),)))
        stages += boosts(boost)
        if min_relevance is not None:
            least = self.calibrator.least(min_relevance)
            word = min_relevance if min_relevance in ("high", "some") else least
            stages.append(Part("relevant", None, (("least", word),)))
        elif self.calibration is not None:
            stages.append(Part("relevant"))
        return Pipeline((), tuple(stages), top_k)

    def _model(self, depth: int | None) -> Part:
        """The model's part of a pipeline."""
        return Part(self.info.name, depth)


class DefaultReranker(Reranker):
    """What is taken where no model is named: of several models the one that reads the language at hand.

    Each ranking gets the first model that reads its query and all but a fifth of its texts (`rerank.guard.choose`); the
    trace says which and why, where that is not the first. Where none reads them, the order stays, and the reason says
    so. All pairs of one call of `score` go to one model, whose name is the `source`. `info`, `scorer` and `contract`
    are those of the first model. The others are loaded when they are first needed. There is no calibration: it would be
    of one model.

    Args:
        models: the one that is preferred first.

    """

    def __init__(self, models: Sequence[LazyReranker]) -> None:
        first = models[0].load()
        super().__init__(first.scorer, first.cache, named=False)
        self.models = {model.name: model for model in models}

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The fingerprints of all models; this loads none."""
        return tuple(model.fingerprint() for model in self.models.values())

    @property
    def calibrator(self) -> Calibrator:
        """There is none; see `Reranker.calibrator`."""
        raise InputError(
            "the default models were loaded without a calibration, which a threshold of relevance needs; load one "
            "with calibrated=True (command line and server: --calibrated)"
        )

    def _model(self, depth: int | None) -> Part:
        """All models, joined by "|"."""
        first, *others = self.models
        return Part(first, depth, (), tuple(others))

    def _stage(self, plan: Pipeline, store: TokenStore | None) -> Stage:
        """A model whose token vectors are stored goes before the others, and the trace says so."""
        makers = [name for name, model in self.models.items() if store and model.fingerprint() == store.fingerprint]
        first, *others = dict.fromkeys([*makers, *self.models])
        because = "" if first == next(iter(self.models)) else "the index holds its token vectors"
        stages = (replace(p, name=first, others=tuple(others)) if p.others else p for p in plan.stages)

        def scorer_of(name: str) -> Scorer:
            return self.models[name].load().with_store(store if name in makers else None)

        return replace(plan, stages=tuple(stages)).stage(scorer_of, because=because)

    def _score(self, pairs: Sequence[Pair]) -> Scores:
        texts = [(query.text, f"{c.document.title} {c.document.text}") for query, c in pairs]
        models = list(self.models.values())
        position = choose_for_pairs([partial(_scorer_of, model) for model in models], texts)
        return models[position].load().judge.score(pairs)


class LearnedReranker(Reranker):
    """A model of learning to rank, made by `resift train ltr`: a stage over what others said of the candidates.

    It reads signals, so that it belongs behind retrievers and models; documents alone have none, and the trace names
    what is missing. There is no blend: the first stage's opinion is among what it learned from.

    Args:
        scorer: of its folder (`score.learned`).
        folder: where it lies.
        explain: whether rankings say what each feature added to a score.

    """

    def __init__(self, scorer: Scorer, folder: str, explain: bool = False) -> None:
        super().__init__(scorer)
        self.folder, self.explain = folder, explain

    def explaining(self) -> LearnedReranker:
        """The same, whose rankings give the reasons of each score."""
        return LearnedReranker(self.scorer, self.folder, True)

    def pipeline(
        self,
        blend: bool | float = True,
        depth: int | None = None,
        top_k: int | None = None,
        min_relevance: float | str | None = None,
        when: str = "",
        boost: str = "",
    ) -> Pipeline:
        """The model as a pipeline without a retriever; see `Reranker.pipeline`.

        Raises:
            InputError: a weight of a blend, a threshold of relevance or a rule of when to rerank.

        """
        if not isinstance(blend, bool) or when:
            raise InputError(f"{self.info.name} is learned: it takes no weight of a blend and no rule; leave them out")
        if min_relevance is not None:
            self.calibrator.least(min_relevance)
        return Pipeline((), (self._model(depth), *boosts(boost)), top_k)

    def _model(self, depth: int | None) -> Part:
        parameters: tuple[tuple[str, str | bool], ...] = (("model", self.folder),)
        return Part("ltr", depth, (*parameters, ("explain", True)) if self.explain else parameters)


@dataclass(frozen=True, slots=True)
class LazyReranker:
    """A model that is loaded by the first call of `load`, which gives the same at each call.

    `fingerprint` gives that of its files without loading it.
    """

    name: str
    load: Callable[[], Reranker]
    fingerprint: Callable[[], str]


def _scorer_of(model: LazyReranker) -> Scorer:
    return model.load().scorer


def budget(deadline_ms: float | None, max_memory: int | str | None = None) -> Budget:
    """The limits of one call, whose time runs from now.

    Raises:
        InputError: a limit that is no number, not positive or not a size, or one for memory where the system doesn't
            tell how much a process holds.

    """
    if deadline_ms is not None and not 0 < arguments.number(deadline_ms, "deadline_ms (more than 0)") < float("inf"):
        raise InputError(f"a deadline is a time of more than 0 milliseconds; not {deadline_ms}")
    size = parse_size(max_memory) if isinstance(max_memory, str) else max_memory
    if (bytes_ := arguments.whole(size, "max_memory")) is not None and not held():
        raise InputError("this system doesn't tell how much memory a process holds; leave max_memory out")
    return Budget.within(deadline_ms, bytes_)


def _pair(pair: Any, i: int) -> tuple[Query, Candidate]:  # noqa: ANN401 - whatever a caller passes
    try:
        query, document = [] if isinstance(pair, (str, bytes, Mapping)) else pair
    except (TypeError, ValueError) as error:
        raise InputError(f"pair {i} is no pair; give a list of (query, document)") from error
    return arguments.query(query), Candidate(files.document(document, str(i)))
