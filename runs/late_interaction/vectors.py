"""Token vectors in training: padding, MaxSim, the distance from a teacher, and where a projection begins."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def neighbours(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Positions of texts in batches of like lengths, each of `budget` tokens at most, padding included."""
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    batches: list[list[int]] = []
    for i in order:
        if batches and (len(batches[-1]) + 1) * lengths[i] <= budget:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches


def pad_ids(rows: Sequence[Sequence[int]], padding: int) -> tuple[Tensor, Tensor]:
    """Token ids (B, T), and the mask (B, T) of those that are no padding."""
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), padding)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    return ids, mask


def pad_vectors(rows: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Vectors (B, T, D) in f32 and their mask (B, T)."""
    width = max(map(len, rows))
    out = torch.zeros(len(rows), width, rows[0].shape[1])
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for i, row in enumerate(rows):
        out[i, : len(row)] = torch.from_numpy(row.astype(np.float32))
        mask[i, : len(row)] = True
    return out, mask


def maxsim(query: Tensor, shares: Tensor, documents: Tensor, mask: Tensor) -> Tensor:
    """(Q, Tq, D), shares (Q, Tq), (N, Td, D), mask (N, Td) -> (Q, N): the shared-out mean of the best cosines."""
    similarity = torch.einsum("qtd,nsd->qnts", query, documents)
    best = similarity.masked_fill(~mask[None, :, None, :], -1.0).amax(-1)
    return (best * shares[:, None, :]).sum(-1)


def kl(scores: Tensor, reference: Tensor, sharpness: float) -> Tensor:
    """The Kullback-Leibler divergence of the softmax of scores (Q, N) from that of a teacher's."""
    log_scores, log_reference = (F.log_softmax(sharpness * x, -1) for x in (scores, reference))
    return F.kl_div(log_scores, log_reference, log_target=True, reduction="batchmean")


def contrast(scores: Tensor, documents: Sequence[int], sharpness: float) -> Tensor:
    """The list softmax of scores (Q, N), where the i-th document answers the i-th query.

    A document that stands in the batch again, as the answer of another query, is no negative of this one.
    """
    target = torch.arange(len(scores))
    copies = torch.tensor([[a == b for b in documents] for a in documents[: len(scores)]])
    copies[target, target] = False
    return F.cross_entropy(sharpness * scores + copies.float() * -1e4, target)


def principal_axes(vectors: np.ndarray, dims: int) -> Tensor:
    """The uncentred principal axes (dims, H) of vectors (N, H), the strongest first."""
    _, axes = np.linalg.eigh(vectors.T @ vectors)
    return torch.from_numpy(np.ascontiguousarray(axes[:, ::-1][:, :dims].T))
