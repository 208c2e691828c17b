"""A cross-encoder that runs a batch in groups of inputs of like length, so that little of the work is padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import CrossEncoder
from torch import Tensor

Floats = npt.NDArray[np.float64]

CPU_BUDGET, GPU_BUDGET = 2048, 32_768  # tokens of one pass, padding included
_AT_ONCE = 256  # pairs that are tokenised at once when nothing is learned


class GroupedCrossEncoder(CrossEncoder):
    """`CrossEncoder` whose passes have inputs of like length; batches stay random, and scores and gradients the same.

    Attributes:
        token_budget: the most tokens of one pass, padding included; an input that is longer is a pass by itself.

    """

    token_budget: int = CPU_BUDGET

    def forward(self, input: dict[str, Any], **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        """Scores of a padded batch, in its order."""
        mask = input.get("attention_mask")
        if not isinstance(mask, Tensor) or mask.ndim != 2:
            return dict(super().forward(input, **kwargs))
        groups = groups_of(mask.sum(dim=1).tolist(), self.token_budget)
        if len(groups) == 1:
            return dict(super().forward(input, **kwargs))
        at_left = bool((mask[:, -1] == 1).all() and (mask[:, 0] == 0).any())  # where padding stands
        parts = [super(GroupedCrossEncoder, self).forward(_part(input, mask, g, at_left), **kwargs) for g in groups]
        places = torch.tensor([row for group in groups for row in group], device=mask.device).argsort()
        return {**input, "scores": torch.cat([part["scores"] for part in parts])[places]}


def groups_of(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Rows in groups of like length: rows times the longest is at most `budget`, or the group has one row."""
    groups: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        longest = lengths[groups[-1][0]] if groups else 0
        if groups and (len(groups[-1]) + 1) * longest <= budget:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _part(batch: dict[str, Any], mask: Tensor, rows: list[int], at_left: bool) -> dict[str, Any]:
    """Some rows of a padded batch, cut to the longest of them."""
    longest = int(mask[rows].sum(dim=1).max())
    columns = slice(mask.shape[1] - longest, None) if at_left else slice(longest)
    return {
        name: value[rows][:, columns] if isinstance(value, Tensor) and value.shape == mask.shape else value
        for name, value in batch.items()
    }


def score_pairs(model: CrossEncoder, pairs: Sequence[tuple[str, str]], bf16: bool = False) -> Floats:
    """(n,) raw logits of pairs of texts, f64; of two outputs the second minus the first. The model stays in its mode.

    Args:
        model: is run as it is, without any activation behind its head.
        pairs: query and document.
        bf16: matrix products in bf16, as in a training that uses it.

    """
    logits = np.zeros(len(pairs))
    for rows, features in passes_of(model, pairs, bf16):
        logits[rows] = one_logit(features["scores"])
    return logits


def passes_of(
    model: CrossEncoder, pairs: Sequence[tuple[str, str]], bf16: bool = False
) -> Iterator[tuple[list[int], dict[str, Any]]]:
    """Places of some pairs, and what the model gives for them; see `score_pairs`."""
    from sentence_transformers.util import batch_to_device

    training, order = model.training, sorted(range(len(pairs)), key=lambda i: -len(pairs[i][0]) - len(pairs[i][1]))
    model.eval()
    device = model.device
    try:
        for start in range(0, len(order), _AT_ONCE):
            rows = order[start : start + _AT_ONCE]
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                features = model(batch_to_device(model.preprocess([pairs[i] for i in rows]), device))
            yield rows, features
    finally:
        model.train(training)


def one_logit(scores: Tensor) -> Floats:
    """(n,) f64 of scores (n,) or (n, outputs); of two outputs the second minus the first."""
    outputs = scores.double().cpu().numpy().reshape(len(scores), -1)
    logits: Floats = outputs[:, 0] if outputs.shape[1] == 1 else outputs[:, 1] - outputs[:, 0]
    return logits
