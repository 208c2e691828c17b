"""Losses over the list of a query's documents that sentence-transformers does not have, all on raw logits in f32."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.util import batch_to_device
from torch import Tensor, nn
from torch.nn import functional

# Logits (n,), values (n,) and weights (n,) of one list give its loss.
Formula = Callable[[Tensor, Tensor, Tensor], Tensor]


class ListLoss(nn.Module):
    """The mean of a formula over lists; rows are (query, documents, [value, weight] of each document)."""

    def __init__(self, model: CrossEncoder, formula: Formula, settings: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.model, self.formula, self._settings = model, formula, dict(settings or {})

    def forward(
        self, inputs: list[Any], labels: list[Tensor], prompt: str | None = None, task: str | None = None
    ) -> Tensor:
        """The loss of a batch of lists, which may differ in length."""
        queries, lists = inputs
        pairs = [(query, document) for query, documents in zip(queries, lists, strict=True) for document in documents]
        features = batch_to_device(self.model.preprocess(pairs, prompt=prompt, task=task), self.model.device)
        logits = self.model(features)["scores"].view(-1).float()
        parts = zip(logits.split([len(documents) for documents in lists]), labels, strict=True)
        losses = [self.formula(part, *_columns(values, part)) for part, values in parts]
        return torch.stack(losses).mean()

    def get_config_dict(self) -> dict[str, float]:
        """What the model card of sentence-transformers shows of the loss."""
        return self._settings


def _columns(values: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    return tuple(values.to(like).unbind(dim=1))  # type: ignore[return-value]


class WeightedBinaryCrossEntropyLoss(nn.Module):
    """Binary cross-entropy of raw logits with a weight for each pair; rows are (query, document, [label, weight])."""

    def __init__(self, model: CrossEncoder, pos_weight: float) -> None:
        super().__init__()
        self.model, self._pos_weight = model, pos_weight

    def forward(
        self, inputs: list[Any], labels: list[Tensor], prompt: str | None = None, task: str | None = None
    ) -> Tensor:
        """The loss of a batch of pairs."""
        pairs = list(zip(*inputs, strict=True))
        features = batch_to_device(self.model.preprocess(pairs, prompt=prompt, task=task), self.model.device)
        logits = self.model(features)["scores"].view(-1).float()
        targets, weights = _columns(torch.stack(labels), logits)
        positive = logits.new_tensor(self._pos_weight)
        return functional.binary_cross_entropy_with_logits(logits, targets, weights, pos_weight=positive)

    def get_config_dict(self) -> dict[str, float]:
        """What the model card of sentence-transformers shows of the loss."""
        return {"pos_weight": self._pos_weight}


def group_softmax(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Each document's cross-entropy among those with lower labels, averaged by weight.

    With binary labels: each positive among the negatives of its query (Gao, Dai & Callan, Rethink Training of BERT
    Rerankers in Multi-Stage Retrieval Pipeline, 2021). With grades, every grade learns to stand above those below it.
    """
    lower = labels[None, :] < labels[:, None]
    others = logits[None, :].masked_fill(~lower, float("-inf"))
    terms = torch.logsumexp(torch.cat([logits[:, None], others], dim=1), dim=1) - logits
    weights = weights * lower.any(dim=1)
    return (terms * weights).sum() / weights.sum().clamp_min(1e-9)


def generalised_bce(calibration: float, sampled_from: int) -> Formula:
    """Binary cross-entropy of negatives that are a sample; the positives' term is made weaker by as much.

    beta = 1 - t (1 - a) with a the share of the negatives that are in the list: Petrov & Macdonald, gSASRec (2023), and
    Shallow Cross-Encoders for Low-Latency Retrieval (2024).

    Args:
        calibration: t, from 0 (plain cross-entropy) to 1 (probabilities as if nothing had been sampled).
        sampled_from: how many negatives the sample stands for: the depth of the first stage.

    """

    def formula(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        positive = labels > 0
        share = min(1.0, float((~positive).sum()) / sampled_from)
        beta = 1 - calibration * (1 - share)
        terms = torch.where(positive, -beta * functional.logsigmoid(logits), -functional.logsigmoid(-logits))
        return (terms * weights).sum() / weights.sum()

    return formula


def teacher_kl(temperature: float) -> Formula:
    """Kullback-Leibler divergence of the list's softmax from the teacher's, times the temperature squared.

    Hinton, Vinyals & Dean, Distilling the Knowledge in a Neural Network (2015).
    """

    def formula(logits: Tensor, teacher: Tensor, weights: Tensor) -> Tensor:
        target = (teacher / temperature).log_softmax(dim=0)
        terms = target.exp() * (target - (logits / temperature).log_softmax(dim=0))
        return (terms * weights).sum() * temperature**2

    return formula


def teacher_margin(logits: Tensor, teacher: Tensor, weights: Tensor) -> Tensor:
    """The mean squared difference of margins over all pairs of a list.

    Hofstätter and others, Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge Distillation
    (2020), with all pairs instead of a positive and a negative.
    """
    difference = logits - teacher
    pairs = (difference[:, None] - difference[None, :]) ** 2
    both = (weights[:, None] * weights[None, :]).triu(diagonal=1)
    return (pairs * both).sum() / both.sum()


def teacher_ranknet(logits: Tensor, teacher: Tensor, weights: Tensor) -> Tensor:
    """Logistic loss of each pair that the teacher orders; pairs that it ties say nothing.

    Burges and others, Learning to Rank using Gradient Descent (2005).
    """
    above = (teacher[:, None] > teacher[None, :]) * weights[:, None] * weights[None, :]
    terms = functional.softplus(logits[None, :] - logits[:, None])
    return (terms * above).sum() / above.sum().clamp_min(1e-9)
