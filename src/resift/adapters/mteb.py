"""MTEB: a model as `mteb.CrossEncoderProtocol`, for `mteb.evaluate` over its reranking tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from resift.errors import MissingExtra
from resift.loading import load
from resift.reranker import Reranker

try:
    from mteb.models.model_meta import ModelMeta
except ImportError as error:
    raise MissingExtra("the MTEB adapter", "mteb") from error

if TYPE_CHECKING:
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.types import PromptType

Batches = Iterable[Mapping[str, Any]]


class MTEBCrossEncoder:
    """Scores pairs for MTEB 2; the results carry the model's name and the fingerprint of its files.

    Scores are the model's own, so that a logistic function makes no ties of them. A pair that can't be scored, such as
    one with an empty document, has minus infinity. Resift chooses batches and devices itself.
    """

    def __init__(self, model: str | Reranker) -> None:
        """Load a model, or take one that is loaded."""
        self._reranker = load(model) if isinstance(model, str) else model
        info = self._reranker.info
        self.mteb_model_meta = ModelMeta.create_empty(
            overwrites={
                "name": info.name if info.name.count("/") == 1 else f"resift/{info.name.strip('/').replace('/', '-')}",
                "revision": info.fingerprint or None,
                "max_tokens": info.max_tokens or None,
                "model_type": ["cross-encoder"],
            }
        )

    def predict(
        self,
        inputs1: Batches,
        inputs2: Batches,
        *,
        task_metadata: TaskMetadata | None = None,
        hf_split: str = "",
        hf_subset: str = "",
        prompt_type: PromptType | None = None,
        **kwargs: object,  # MTEB passes its encode_kwargs
    ) -> npt.NDArray[np.float64]:
        """Score pairs, in their order, by the texts that MTEB makes of query and instruction, title and body.

        Args:
            inputs1: batches of queries, each with a list under "text".
            inputs2: batches of documents, one for each query.
            task_metadata: no effect, as `hf_split`, `hf_subset`, `prompt_type` and all others.
            hf_split: no effect.
            hf_subset: no effect.
            prompt_type: no effect.
            kwargs: no effect.

        Raises:
            ValueError: not as many documents as queries.
            InputError: an empty query.

        """
        scores = self._reranker.score(list(zip(_texts(inputs1), _texts(inputs2), strict=True)))
        return np.array([-np.inf if value is None else value for value in scores.values], np.float64)


def _texts(batches: Batches) -> list[str]:
    return [text for batch in batches for text in batch["text"]]
