"""What a caller may choose of an index's settings, and which settings come of it."""

from __future__ import annotations

from dataclasses import dataclass

from resift import arguments
from resift.errors import InputError
from resift.index.layout import IndexSettings
from resift.retrieve.bm25 import K1, B
from resift.score.defaults import EMBEDDERS, DefaultModels


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """The choices of one call; None leaves a setting as the index has it, and gives a new index the default.

    Attributes:
        tensors: whether the index stores token vectors.
        model: the late-interaction model of the token vectors; only with `tensors`.
        embedder: the model of the passages' vectors.
        pool: how many neighbouring tokens share one vector: 1, 2 or 3.
        hnsw: whether the index keeps a graph over the vectors. None in a new index: above 50,000 passages, where the
            engine is installed.
        k1, b: of BM25; 1.5 and 0.75 in a new index.

    Raises:
        InputError: a model or embedder that is no name and no path, or another pooling.

    """

    tensors: bool | None = None
    model: str | None = None
    embedder: str | None = None
    pool: int | None = None
    hnsw: bool | None = None
    k1: float | None = None
    b: float | None = None

    def __post_init__(self) -> None:
        for field in ("model", "embedder"):
            if getattr(self, field) is not None:
                arguments.path(getattr(self, field), field)
        if self.pool not in (None, 1, 2, 3):
            raise InputError(f"tokens are pooled by 1, 2 or 3; not {self.pool}")

    @property
    def encode_anew(self) -> bool:
        """Whether a choice was made on which the stored vectors depend."""
        return any(choice is not None for choice in (self.tensors, self.model, self.embedder, self.pool))


def settings_for(options: IndexOptions, before: IndexSettings | None, defaults: DefaultModels) -> IndexSettings:
    """The settings of an index after a call with these options, which `encode.encoder_for` completes.

    Args:
        options: what the caller chose.
        before: the settings that the index has; None for a new index.
        defaults: the models where the caller and the index name none.

    Raises:
        InputError: a model or pooling of token vectors that the index does not store.

    """
    had_tensors = before is not None and before.tensors
    tensors = had_tensors if options.tensors is None else options.tensors
    if not tensors and (options.model or (options.pool or 1) > 1):
        raise InputError(
            "a model and pooling are about stored token vectors: add --tensors (tensors=True), or name none"
        )
    k1 = (K1 if before is None else before.k1) if options.k1 is None else options.k1
    b = (B if before is None else before.b) if options.b is None else options.b
    # The embedder that the caller once chose, or the default one; "" where the token vectors' model is its own.
    embedder = "" if before is None else before.embedder or ("" if had_tensors else before.model)
    if not tensors:
        model = options.embedder or embedder or defaults.embedder
        return IndexSettings("", model, "", tensors=False, pool=1, hnsw=options.hnsw, k1=k1, b=b)
    model = options.model or (before.model if before and had_tensors else defaults.late_interaction)
    same_model = before is not None and had_tensors and before.model == model
    if options.embedder is not None:
        embedder = options.embedder
    elif not same_model and embedder in EMBEDDERS:  # nobody chose it
        embedder = ""
    pool = options.pool or (before.pool if before and had_tensors else 1)
    return IndexSettings("", model, "", True, pool, embedder, hnsw=options.hnsw, k1=k1, b=b)
