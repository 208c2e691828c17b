"""What the layouts of all ColBERT-like checkpoints share."""

from __future__ import annotations

import string
from dataclasses import replace

from resift.models.contract import Contract
from resift.models.folder import ModelFolder
from resift.models.inputs import LateInput
from resift.types import ScoreKind

PUNCTUATION = tuple(string.punctuation)


def late_contract(folder: ModelFolder, record: LateInput, window: int) -> Contract:
    """Special tokens are compared, vectors are those of tokens alone, and they are not rounded."""
    record = replace(record, special=True, pooled=False, rounded=False)
    limit = folder.encoder.positions
    kind = ScoreKind.MAXSIM if record.reduce == "mean" else ScoreKind.MAXSIM_SUM
    return Contract(folder.name, "late", kind, limit, min(window, limit), record)


def fill_token(folder: ModelFolder) -> str:
    """The token that short queries are filled up with: [MASK], or the end of text for tokenizers without one."""
    encoder = folder.encoder
    return encoder.special_token("mask_token", "") or encoder.special_token("eos_token", "[MASK]")
