"""Encoders that run a batch in groups of inputs of like length, so that little of the work is padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
        batch = Groups.of(input, self.token_budget)
        if batch is None:
            return dict(super().forward(input, **kwargs))
        scores = [super(GroupedCrossEncoder, self).forward(part, **kwargs)["scores"] for part in batch.parts(input)]
        return {**input, "scores": batch.in_order(scores)}


def run_in_groups(model: Any) -> None:  # noqa: ANN401
    """Make the encoder of an embedder or of late interaction run its batches in groups; what it gives is the same.

    Args:
        model: of sentence-transformers; its first module gives `token_embeddings`. What is written of that stays a
            module of sentence-transformers.

    """
    encoder = model[0]
    whole = encoder.forward
    budget = CPU_BUDGET if model.device.type == "cpu" else GPU_BUDGET

    def forward(features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        batch = Groups.of(features, budget)
        if batch is None:
            return dict(whole(features, **kwargs))
        outputs = [whole(part, **kwargs)["token_embeddings"] for part in batch.parts(features)]
        return {**features, "token_embeddings": batch.in_order([batch.padded(tokens) for tokens in outputs])}

    encoder.forward = forward


@dataclass(frozen=True, slots=True)
class Groups:
    """The rows of a padded batch in groups of like length.

    Attributes:
        rows: of each group.
        mask: (n, L), 1 where a token is no padding.
        at_left: whether padding stands before the tokens.

    """

    rows: list[list[int]]
    mask: Tensor
    at_left: bool

    @classmethod
    def of(cls, batch: dict[str, Any], budget: int) -> Groups | None:
        """The groups of a batch; None where it is one group, or has no mask to group it by."""
        mask = batch.get("attention_mask")
        if not isinstance(mask, Tensor) or mask.ndim != 2:
            return None
        rows = groups_of(mask.sum(dim=1).tolist(), budget)
        if len(rows) == 1:
            return None
        return cls(rows, mask, bool((mask[:, -1] == 1).all() and (mask[:, 0] == 0).any()))

    def parts(self, batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The batch of each group, cut to the longest of its rows."""
        for rows in self.rows:
            longest = int(self.mask[rows].sum(dim=1).max())
            columns = slice(self.mask.shape[1] - longest, None) if self.at_left else slice(longest)
            yield {
                name: value[rows][:, columns] if isinstance(value, Tensor) and value.shape == self.mask.shape else value
                for name, value in batch.items()
            }

    def padded(self, tokens: Tensor) -> Tensor:
        """(rows, L, D) of (rows, longest, D): zeros stand where the whole batch has padding."""
        room = self.mask.shape[1] - tokens.shape[1]
        return torch.nn.functional.pad(tokens, (0, 0, room, 0) if self.at_left else (0, 0, 0, room))

    def in_order(self, outputs: Sequence[Tensor]) -> Tensor:
        """Outputs of the groups in the order of the batch."""
        places = torch.tensor([row for rows in self.rows for row in rows], device=self.mask.device).argsort()
        return torch.cat(list(outputs))[places]


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
