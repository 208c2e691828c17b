"""The loss of a cross-encoder with several heads: each learns what the last one does, and learns from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from sentence_transformers import CrossEncoder
from torch import Tensor, nn
from torch.nn import functional

from resift.train.neural.layerwise import LayerScores, LayerwiseCrossEncoder
from resift.train.neural.losses import Form, Loss, LossSettings


def loss_of(loss: Loss, model: CrossEncoder, settings: LossSettings, weights: bool) -> nn.Module:
    """The loss of a row of the table for a model with one head or several; see `Loss.make`."""
    if not isinstance(model, LayerwiseCrossEncoder):
        return loss.make(model, settings, weights)
    made = loss.make(model, settings, weights)
    if getattr(made, "uses_gradient_cache", False):
        return HeadByHead(model, {layer: loss.make(model, settings, weights) for layer in model.layers})
    return LayerwiseLoss(model, made, loss.form)


class LayerwiseLoss(nn.Module):
    """The loss of the last head, and the mean of what the inner heads lose: the same, and how far they are from it.

    That is the Kullback-Leibler divergence of a head's distribution from the last head's, which learns nothing by it:
    over the documents of a query, or over relevant or not where rows are pairs. All heads are computed in one pass.
    Self-distillation: Zhang and others, Be Your Own Teacher (2019); over layers of a reranker: FlagEmbedding.
    """

    def __init__(self, model: LayerwiseCrossEncoder, loss: nn.Module, form: Form) -> None:
        super().__init__()
        self.model, self.loss, self._form = model, loss, form

    def forward(self, inputs: list[Any], labels: Any, prompt: str | None = None, task: str | None = None) -> Tensor:  # noqa: ANN401
        """The loss of a batch."""
        with self.model.recorded() as passes:
            last: Tensor = self.loss(inputs, labels, prompt=prompt, task=task)
        *inner, top = self.model.layers
        target = self._distributions(passes, top, inputs)
        losses = []
        for layer in inner:
            with self.model.replayed(passes, layer):
                alone = self.loss(inputs, labels, prompt=prompt, task=task)
            losses.append(alone + divergence(self._distributions(passes, layer, inputs), target))
        return last + torch.stack(losses).mean()

    def _distributions(self, passes: Sequence[LayerScores], layer: int, inputs: list[Any]) -> list[Tensor]:
        """What a head's scores are distributions over: (n, choices) of logits, or of lists (choices,) each."""
        scores = [each[layer].float() for each in passes]
        if self._form is Form.LIST:
            return list(torch.split(torch.cat(scores).view(-1), [len(documents) for documents in inputs[1]]))
        if self._form is Form.PAIR:
            logits = torch.cat(scores)
            return [logits if logits.shape[1] > 1 else torch.cat([torch.zeros_like(logits), logits], dim=1)]
        return [torch.cat(scores, dim=1)]  # a pass for each document of the queries

    def get_config_dict(self) -> dict[str, Any]:
        """What the model card of sentence-transformers shows of the loss."""
        config: Any = self.loss.get_config_dict if hasattr(self.loss, "get_config_dict") else dict
        return {**config(), "layers": list(self.model.layers)}


class HeadByHead(nn.Module):
    """A loss that computes its passes again for their gradients, for each head by itself, without distillation."""

    def __init__(self, model: LayerwiseCrossEncoder, losses: dict[int, nn.Module]) -> None:
        super().__init__()
        for layer, loss in losses.items():
            loss.model = _OneHead(model, layer)
        self.model, self.losses = model, nn.ModuleList(losses.values())

    def forward(self, inputs: list[Any], labels: Any, prompt: str | None = None, task: str | None = None) -> Tensor:  # noqa: ANN401
        """The loss of a batch."""
        *inner, last = [loss(inputs, labels, prompt=prompt, task=task) for loss in self.losses]
        total: Tensor = last + torch.stack(inner).mean()
        return total

    def get_config_dict(self) -> dict[str, Any]:
        """What the model card of sentence-transformers shows of the loss."""
        return {"layers": list(self.model.layers)}


class _OneHead(nn.Module):
    """A model that gives the scores of one of its heads."""

    def __init__(self, model: LayerwiseCrossEncoder, layer: int) -> None:
        super().__init__()
        self.model, self._layer = model, layer
        self.preprocess, self.device = model.preprocess, model.device

    def forward(self, features: dict[str, Any]) -> Any:  # noqa: ANN401
        with self.model.reading(self._layer):
            return self.model(features)


def divergence(logits: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
    """The mean Kullback-Leibler divergence of distributions from those of the target, which is taken as it is.

    Args:
        logits: (n, choices) or (choices,) each.
        target: of the same shapes.

    """
    terms = [
        functional.kl_div(
            ours.log_softmax(dim=-1), theirs.detach().log_softmax(dim=-1), log_target=True, reduction="none"
        )
        .sum(dim=-1)
        .view(-1)
        for ours, theirs in zip(logits, target, strict=True)
    ]
    return torch.cat(terms).mean()
