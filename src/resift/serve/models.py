"""The models of one server: what is loaded, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resift.api import Reranker, load
from resift.errors import InputError
from resift.serve.metrics import CountedEngine, Metrics
from resift.serve.service import ModelInfo

if TYPE_CHECKING:
    from resift.engine.batching import Engine
    from resift.protocols import Embedder
    from resift.score.engines import Precision


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model under the name that clients use; it scores pairs, embeds texts, or both."""

    info: ModelInfo
    reranker: Reranker | None = None
    embedder: Embedder | None = None

    @classmethod
    def of(cls, reranker: Reranker, name: str = "") -> ServedModel:
        """Serve a loaded reranker; a late-interaction model embeds as well."""
        from resift.score.late import LateInteraction

        scorer, contract = reranker.scorer, reranker.contract
        embedder = scorer if isinstance(scorer, LateInteraction) and contract.tokens.pooled else None
        info = ModelInfo(
            name or scorer.name, contract.kind, contract.max_tokens, embedder is not None, scorer.fingerprint
        )
        return cls(info, reranker, embedder)

    def shared(self, metrics: Metrics) -> ServedModel:
        """The same model for many slices at once, its batches counted; other scorers than Resift's stay as they are."""
        from resift.engine.openvino import OpenVINOEngine
        from resift.score.encoder import CrossEncoder
        from resift.score.late import LateInteraction

        def wrap(engine: Engine) -> Engine:
            own = engine.shared() if isinstance(engine, OpenVINOEngine) else engine
            return CountedEngine(own, metrics, self.info.name)

        if self.reranker is None or not isinstance(scorer := self.reranker.scorer, (CrossEncoder, LateInteraction)):
            return self
        counted = scorer.with_engine(wrap)
        return ServedModel(
            self.info,
            Reranker(counted, named=self.reranker.named),
            counted if self.embedder and isinstance(counted, LateInteraction) else None,
        )


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
    from resift.score.contract import read_contract
    from resift.score.load import find_model, fingerprint, load_embedder

    folder = find_model(name)
    contract = read_contract(folder)
    if contract.family not in ("static", "embedder"):
        return ServedModel.of(load(name, precision=precision))
    embedder = load_embedder(name, precision)
    return ServedModel(ModelInfo(embedder.name, None, contract.max_tokens, True, fingerprint(folder)), None, embedder)
