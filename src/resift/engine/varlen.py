"""Classifiers of Transformers without padding: the texts of a pass form one sequence, and attention stays in each text.

On CUDA at half precision attention is `torch.nn.attention.varlen.varlen_attn`; elsewhere it goes text by text, which is
slow and serves tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from resift.engine.batching import Batch, IntArray
from resift.engine.graphs.bert import OFFSET_TYPES
from resift.engine.torch_layers import CutEncoder

ATTENTION = "resift_varlen"  # the name under which Transformers knows it
MODEL_TYPES = ("bert", "electra", "modernbert", *OFFSET_TYPES)


@cache
def register() -> str:
    """Register the attention with Transformers; returns its name, for `attn_implementation`."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(ATTENTION, _attention)
    AttentionMaskInterface.register(ATTENTION, lambda **_: None)  # there is no padding to hide
    return ATTENTION


def logits(model: Any, batches: Sequence[Batch]) -> Any:  # noqa: ANN401 - torch is optional
    """Logits (n, labels) of all rows of the batches, in order, in one pass.

    Args:
        model: of MODEL_TYPES, read with `attn_implementation=register()`.
        batches: only the tokens that their masks attend to are read.

    """
    import torch

    lengths = np.concatenate([b.mask.sum(axis=1) for b in batches])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    first = model.config.pad_token_id + 1 if model.config.model_type in OFFSET_TYPES else 0
    positions = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths) + first
    inputs = {"input_ids": _joined([b.ids for b in batches], batches), "position_ids": positions}
    if model.config.model_type != "modernbert":
        inputs["token_type_ids"] = _joined([b.segments for b in batches], batches)
    at = torch.from_numpy(starts).to(model.device)
    hidden = model.base_model(
        **{name: torch.from_numpy(a)[None].to(model.device) for name, a in inputs.items()},
        cu_seq_lens_q=at.int(),
        max_length_q=int(lengths.max()),
    ).last_hidden_state[0]
    return _head(model, hidden, at)


def _joined(arrays: Sequence[IntArray], batches: Sequence[Batch]) -> IntArray:
    return np.concatenate([a[b.mask == 1] for a, b in zip(arrays, batches, strict=True)])


def _head(model: Any, hidden: Any, starts: Any) -> Any:  # noqa: ANN401
    """The classifier that the architecture puts on hidden states (tokens, H); `starts` (n + 1,) are the texts' ends."""
    import torch

    if isinstance(model, CutEncoder):
        return model.of_joined(hidden, starts)
    kind = model.config.model_type
    if kind == "modernbert" and model.config.classifier_pooling == "mean":
        pooled = torch.segment_reduce(hidden.float(), "mean", lengths=starts.diff(), axis=0).to(hidden.dtype)
        return model.classifier(model.head(pooled))
    first = hidden[starts[:-1]]
    if kind == "modernbert":
        return model.classifier(model.head(first))
    alone = first[:, None]  # these heads take the first of each row's tokens
    return model.classifier(model.bert.pooler(alone) if kind == "bert" else alone)


def _attention(
    module: Any,  # noqa: ANN401
    query: Any,  # noqa: ANN401
    key: Any,  # noqa: ANN401
    value: Any,  # noqa: ANN401
    attention_mask: None,
    scaling: float,
    cu_seq_lens_q: Any,  # noqa: ANN401
    max_length_q: int,
    sliding_window: int | None = None,
    **_: object,  # dropout and flags of other kinds of attention, which Transformers hands to all
) -> tuple[Any, None]:
    """As Transformers calls it: (1, heads, tokens, D) each -> (1, tokens, heads, D).

    A token sees those of its text; with a sliding window, those less than so many places away.
    """
    import torch

    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
    reach = sliding_window - 1 if sliding_window else -1
    if q.is_cuda and q.dtype in (torch.float16, torch.bfloat16):
        from torch.nn.attention.varlen import varlen_attn

        ends, longest = cu_seq_lens_q, max_length_q
        mixed: Any = varlen_attn(q, k, v, ends, ends, longest, longest, scale=scaling, window_size=(reach, reach))
        return mixed[None], None
    out = torch.empty_like(q)
    for start, end in zip(cu_seq_lens_q[:-1].tolist(), cu_seq_lens_q[1:].tolist(), strict=True):
        at = torch.arange(end - start, device=q.device)
        near = (at[:, None] - at).abs() <= reach if sliding_window else None
        queries, keys, values = (x[start:end].transpose(0, 1)[None] for x in (q, k, v))
        mixed = torch.nn.functional.scaled_dot_product_attention(queries, keys, values, attn_mask=near, scale=scaling)
        out[start:end] = mixed[0].transpose(0, 1)
    return out[None], None
