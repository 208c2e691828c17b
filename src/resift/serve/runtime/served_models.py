"""The models of one server: what is loaded, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from resift.api import load
from resift.errors import InputError
from resift.protocols import Embedder, RunsOn, Scorer, Stage
from resift.reranker import Reranker
from resift.serve.runtime.metrics import CountedEngine, Metrics
from resift.serve.service import ServedInfo
from resift.types import ScoreKind

if TYPE_CHECKING:
    from resift.engine.batching import Engine
    from resift.score.options import Precision


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What is served under one name: a reranker, a stage of one's own, an embedder, or the first and last in one."""

    info: ServedInfo
    reranker: Reranker | None = None
    embedder: Embedder | None = None
    own_stage: Stage | None = None

    @classmethod
    def of(cls, reranker: Reranker, name: str = "") -> ServedModel:
        """Serve a loaded reranker; a late-interaction model with pooled vectors embeds as well."""
        from resift.score.late_interaction import LateInteraction

        scorer, info = reranker.scorer, reranker.info
        embedder = scorer if isinstance(scorer, LateInteraction) and scorer.pools else None
        shown = ServedInfo(name or info.name, info.kind, info.max_tokens, embedder is not None, info.fingerprint)
        return cls(shown, reranker, embedder)

    @classmethod
    def of_stage(cls, stage: Stage, kind: ScoreKind, name: str = "") -> ServedModel:
        """Serve a stage, such as a listwise or progressive one; `kind` is that of the scores that it leaves behind."""
        return cls(ServedInfo(name or stage.name, kind, 0, False, ""), own_stage=stage)

    @property
    def reranks(self) -> bool:
        """Whether it puts documents in order."""
        return self.reranker is not None or self.own_stage is not None

    def shared(self, metrics: Metrics) -> ServedModel:
        """The same model for many slices at once, its batches counted; what runs on no engine stays as it is."""
        from resift.engine.openvino import OpenVINOEngine

        def wrap(engine: Engine) -> Engine:
            inner = engine.shared() if isinstance(engine, OpenVINOEngine) else engine
            return CountedEngine(inner, metrics, self.info.name)

        if self.reranker is None or not isinstance(self.reranker.scorer, RunsOn):
            return self
        counted = self.reranker.scorer.with_engine(wrap)
        embedder = counted if self.embedder is not None and isinstance(counted, Embedder) else self.embedder
        return replace(self, reranker=Reranker(counted, self.reranker.cache, self.reranker.named), embedder=embedder)

    def stage(self, scorer: Scorer | None, blend: bool | float, depth: int | None) -> Stage:
        """The stage of one request.

        Args:
            scorer: whom the reranker's stage asks: its own, or the same with stored vectors.
            blend: see `Reranker.stage`; a stage of one's own blends as it likes.
            depth: how many candidates are scored; None: all.

        """
        if self.own_stage is not None or self.reranker is None or scorer is None:
            assert self.own_stage is not None
            return self.own_stage
        return self.reranker.pipeline(blend, depth).stage(lambda name: scorer, self.reranker.named)


def load_models(names: Sequence[str] = (), precision: Precision = "auto") -> list[ServedModel]:
    """Load models by bundled name, folder or hub id; the default model, unnamed (see Reranker), when none is named.

    Raises:
        InputError: two models would have one name.
        ModelError: one of them can't be used.

    """
    found: list[ServedModel] = []
    if not names:
        return [ServedModel.of(load(precision=precision))]
    for name in names:
        model = _load(name, precision)
        if any(m.info.name == model.info.name for m in found):
            raise InputError(f"two models are called {model.info.name}; name each once")
        found.append(model)
    return found


def _load(name: str, precision: Precision) -> ServedModel:
    from resift.score.load import load_embedder, recognise

    folder, contract = recognise(name)
    if contract.row.reranks:
        return ServedModel.of(load(name, precision=precision))
    embedder = load_embedder(name, precision)
    return ServedModel(ServedInfo(embedder.name, None, contract.max_tokens, True, folder.fingerprint), None, embedder)
