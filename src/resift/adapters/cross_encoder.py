"""A model that is called as CrossEncoder of Sentence Transformers is: for code that was written for one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from resift import files
from resift.arguments import items
from resift.errors import InputError
from resift.loading import load
from resift.reranker import Reranker
from resift.types import Score, ScoreKind

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Activation = Callable[[Any], Any]  # of a torch tensor, as Sentence Transformers has them


class ModelCard:
    """The object into which evaluators write their figures; Resift writes no card, so that they are dropped."""

    def set_evaluation_metrics(
        self, evaluator: object, metrics: Mapping[str, Any], epoch: int = 0, step: int = 0
    ) -> None:
        """Accept the figures, which the evaluator also returns."""


class CrossEncoder:
    """`predict` and `rank` with the signatures of Sentence Transformers 6, and its older keywords.

    Scores are what they would be there: the logistic function of a logit, unless `activation_fn` says otherwise; models
    of another kind give their own score. Resift chooses batches and devices itself and shows no progress bar:
    their arguments have no effect. A pair that can't be scored (an empty document) has minus infinity.
    """

    num_labels = 1

    def __init__(self, model: str | Reranker | None = None, activation_fn: Activation | None = None) -> None:
        """Load a model, or take one that is loaded; None takes the bundled ones by language."""
        self._reranker = load(model) if model is None or isinstance(model, str) else model
        self._activation = activation_fn
        self.model_card_data = ModelCard()

    def predict(
        self,
        inputs: Sequence[Any] | None = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        activation_fn: Activation | None = None,
        apply_softmax: bool | None = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: object = None,
        pool: object = None,
        chunk_size: int | None = None,
        *,
        sentences: Sequence[Any] | None = None,
        activation_fct: Activation | None = None,
        num_workers: int = 0,
    ) -> Any:  # noqa: ANN401 - a number, an array, a list or a tensor, as asked for
        """Score pairs, in their order: a float32 array, or one number for one pair; a tensor or a list on request.

        Args:
            inputs: (query, document) pairs, or one pair; `sentences` is its older name.
            prompt_name: refused unless None, as are `prompt` and `apply_softmax`: there is one label, and no prompt.
            prompt: see `prompt_name`.
            batch_size: no effect, as `show_progress_bar`, `device`, `pool`, `chunk_size` and `num_workers`.
            show_progress_bar: no effect.
            activation_fn: of the raw scores, as a tensor; `activation_fct` is its older name.
            apply_softmax: see `prompt_name`.
            convert_to_numpy: False gives a list of floats.
            convert_to_tensor: gives a torch tensor.
            device: no effect.
            pool: no effect.
            chunk_size: no effect.
            sentences: see `inputs`.
            activation_fct: see `activation_fn`.
            num_workers: no effect.

        Raises:
            InputError: no pairs, an item that is no pair, or an argument for what a reranker with one label lacks.

        """
        pairs = inputs if inputs is not None else sentences
        if pairs is None:
            raise InputError("predict needs pairs of query and document")
        all_pairs = list(items(pairs, "inputs", "(query, document)"))
        _refuse(prompt_name=prompt_name, prompt=prompt, apply_softmax=apply_softmax or None)
        single = len(all_pairs) == 2 and isinstance(all_pairs[0], str) and isinstance(all_pairs[1], str)
        scores = self._reranker.score([(all_pairs[0], all_pairs[1])] if single else all_pairs)
        raw = [-math.inf if v is None else v for v in scores.values]
        values = self._activated(raw, activation_fn or activation_fct)
        return _form(values, single, convert_to_numpy, convert_to_tensor)

    def rank(
        self,
        query: str,
        documents: Sequence[str],
        top_k: int | None = None,
        return_documents: bool = False,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        activation_fn: Activation | None = None,
        device: object = None,
        pool: object = None,
        chunk_size: int | None = None,
        *,
        activation_fct: Activation | None = None,
        apply_softmax: bool | None = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        num_workers: int = 0,
    ) -> list[dict[str, Any]]:
        """The best documents first: `corpus_id`, `score`, and `text` on request; arguments as in `predict`."""
        _refuse(prompt_name=prompt_name, prompt=prompt, apply_softmax=apply_softmax or None)
        texts = list(items(documents, "documents", "document"))
        numbered = [replace(files.document(d, str(i)), id=str(i)) for i, d in enumerate(texts)]
        ranking = self._reranker.rerank(query, numbered, top_k)
        raw = [-math.inf if c.score is None else c.score.value for c in ranking]
        values = self._activated(raw, activation_fn or activation_fct)
        results = []
        for c, value in zip(ranking, values, strict=True):
            i = int(c.document.id)
            results.append({"corpus_id": i, "score": float(value)} | ({"text": texts[i]} if return_documents else {}))
        return results

    def _activated(self, raw: Sequence[float], activation: Activation | None) -> npt.NDArray[np.float32]:
        """Scores after the activation function; the default one leaves minus infinity as it is."""
        import numpy as np

        function, kind = activation or self._activation, self._reranker.info.kind
        if function is not None:
            import torch

            return np.asarray(function(torch.tensor(raw, dtype=torch.float64)), np.float32)
        if kind is ScoreKind.LOGIT:
            raw = [v if v == -math.inf else Score(v, kind, "").to_probability().value for v in raw]
        return np.asarray(raw, np.float32)


def _refuse(**arguments: object) -> None:
    for name, value in arguments.items():
        if value is not None:
            raise InputError(f"{name} has no meaning for this model; leave it out")


def _form(values: npt.NDArray[np.float32], single: bool, array: bool, tensor: bool) -> Any:  # noqa: ANN401 - see predict
    if tensor:
        import torch

        tensor_values = torch.from_numpy(values)
        return tensor_values[0] if single else tensor_values
    if single:
        return values[0]
    return values if array else values.tolist()
