"""The models of one server, and what clients may read about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from resift.errors import InputError
from resift.loading import load
from resift.pipeline import STAGES, Part, boosts, without_models
from resift.protocols import Embedder, RunsOn, Scorer, Stage
from resift.rerank.cascade import Cascade
from resift.reranker import Reranker
from resift.score.defaults import RERANKERS, bundled
from resift.serve.runtime.metrics import CountedEngine, Metrics
from resift.serve.service import ServedInfo
from resift.types import ScoreKind

if TYPE_CHECKING:
    from resift.engine.batching import Engine
    from resift.score.options import Precision


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What is served under one name: a reranker, a custom stage, an embedder, or a reranker that embeds as well.

    `by_language`: it's one of the models among which the language decides where a request names none of those served.
    """

    info: ServedInfo
    reranker: Reranker | None = None
    embedder: Embedder | None = None
    custom_stage: Stage | None = None
    by_language: bool = False

    @classmethod
    def of(cls, reranker: Reranker, name: str = "") -> ServedModel:
        """Serve a loaded reranker; a late-interaction model with pooled vectors embeds as well."""
        from resift.score.late_interaction import LateInteraction

        scorer, info = reranker.scorer, reranker.info
        embedder = scorer if isinstance(scorer, LateInteraction) and scorer.pools else None
        kind = info.kind if reranker.calibration is None else ScoreKind.PROBABILITY
        shown = ServedInfo(name or info.name, kind, info.max_tokens, embedder is not None, info.fingerprint)
        return cls(shown, reranker, embedder)

    @classmethod
    def of_stage(cls, stage: Stage, kind: ScoreKind, name: str = "") -> ServedModel:
        """Serve a stage, such as a listwise or progressive one; `kind` is that of the scores in its ranking."""
        return cls(ServedInfo(name or stage.name, kind, 0, False, ""), custom_stage=stage)

    @property
    def reranks(self) -> bool:
        """Whether it puts documents in order."""
        return self.reranker is not None or self.custom_stage is not None

    def with_shared_engine(self, metrics: Metrics) -> ServedModel:
        """The same model, its engine shared by many slices and its batches counted; one without engine is returned."""
        from resift.engine.openvino import OpenVINOEngine

        def wrap(engine: Engine) -> Engine:
            inner = engine.shared() if isinstance(engine, OpenVINOEngine) else engine
            return CountedEngine(inner, metrics, self.info.name)

        if self.reranker is None or not isinstance(self.reranker.scorer, RunsOn):
            return self
        scorer = self.reranker.scorer.with_engine(wrap)
        embedder = scorer if self.embedder is not None and isinstance(scorer, Embedder) else self.embedder
        shared = Reranker(scorer, self.reranker.cache, self.reranker.named, self.reranker.calibration)
        return replace(self, reranker=shared, embedder=embedder)

    def stage(
        self,
        scorer: Scorer | None,
        blend: bool | float,
        depth: int | None,
        min_relevance: float | str | None = None,
        guard: bool = True,
        when: str = "",
        boost: str = "",
        behind: Sequence[Part] = (),
    ) -> Stage:
        """The stage of one request.

        Args:
            scorer: answers the reranker's stage: the reranker's judge, or its scorer with stored vectors.
            blend: see `Reranker.stage`; a custom stage blends as it likes.
            depth: how many candidates are scored; None: all.
            min_relevance: see `Reranker.rerank`.
            guard: whether the model says what it does not read; False where it was chosen by the language.
            when: see `Reranker.stage`; a custom stage is always run.
            boost: see `Reranker.rerank`; it is run behind a custom stage, too.
            behind: the model, in a pipeline: takes the place of the blend. Empty: the blend stays.

        Raises:
            InputError: a min_relevance that the model's calibration does not have, or without one.

        """
        if self.custom_stage is not None:
            if min_relevance is not None:
                raise InputError(f"{self.info.name} has no calibration; leave min_relevance out")
            return Cascade([self.custom_stage, without_models(boosts(boost))]) if boost else self.custom_stage
        assert self.reranker is not None and scorer is not None
        plan = self.reranker.pipeline(blend, depth, None, min_relevance, when, boost)
        if behind:
            stages = [part for part in plan.stages if part.name != "blend"]
            place = 1 + next(i for i, part in enumerate(stages) if part.name not in STAGES)
            plan = replace(plan, stages=(*stages[:place], *behind, *stages[place:]))
        return self.reranker.stage_of(replace(plan, guard=guard), scorer)


def load_models(
    names: Sequence[str] = (), precision: Precision = "auto", calibrated: bool = False
) -> list[ServedModel]:
    """Load models by bundled name, folder or hub id; without names the default ones, of which the language decides.

    A calibration is of one model: with calibrated=True and without names that is the first one, alone.

    Raises:
        InputError: two models would have one name, or one has no calibration, with calibrated=True.
        ModelError: one of them can't be used.

    """
    if not names:
        defaults = [contract.name for contract in bundled(RERANKERS)]
        if len(defaults) == 1 or calibrated:
            return [ServedModel.of(load(precision=precision, calibrated=calibrated))]
        return [replace(_load(name, precision, calibrated), by_language=True) for name in defaults]
    models: list[ServedModel] = []
    for name in names:
        model = _load(name, precision, calibrated)
        if any(other.info.name == model.info.name for other in models):
            raise InputError(f"two models are called {model.info.name}; name each once")
        models.append(model)
    return models


def _load(name: str, precision: Precision, calibrated: bool) -> ServedModel:
    from resift.score.load import load_embedder, recognise

    folder, contract = recognise(name)
    if contract.row.reranks:
        return ServedModel.of(load(name, precision=precision, calibrated=calibrated))
    embedder = load_embedder(name, precision)
    return ServedModel(ServedInfo(embedder.name, None, contract.max_tokens, True, folder.fingerprint), None, embedder)
