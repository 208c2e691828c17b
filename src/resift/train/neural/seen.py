"""A pair of texts as a model sees it: with special tokens, at the seams, and how much of it is cut off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from resift.train.neural.trainable import SeenTexts

_SEAM = 6  # tokens that are shown at each end of a text


def seen_together(model: Any, pair: tuple[str, str]) -> SeenTexts:  # noqa: ANN401
    """A pair in one input, as a cross-encoder has it."""
    ids = model.preprocess([pair])["input_ids"][0].tolist()
    whole = model.tokenizer(*pair, truncation=False, verbose=False)["input_ids"]
    return SeenTexts(_at_seams(model.tokenizer, ids), len(ids), len(whole) - len(ids))


def seen_apart(model: Any, pair: tuple[str, str], prompts: tuple[str, str]) -> SeenTexts:  # noqa: ANN401
    """Query and document in inputs of their own, each behind its prompt."""
    shown, tokens, cut = [], 0, 0
    for text, prompt, task in zip(pair, prompts, ("query", "document"), strict=True):
        ids = model.preprocess([text], prompt=prompt or None, task=task)["input_ids"][0].tolist()
        whole = model.tokenizer(prompt + text, truncation=False, verbose=False)["input_ids"]
        shown.append(_at_seams(model.tokenizer, ids))
        tokens, cut = tokens + len(ids), cut + max(0, len(whole) - len(ids))
    return SeenTexts(" | ".join(shown), tokens, cut)


def _at_seams(tokenizer: Any, ids: list[int]) -> str:  # noqa: ANN401
    tokens, special = tokenizer.convert_ids_to_tokens(ids), set(tokenizer.all_special_ids)
    parts: list[str] = []
    start = 0
    for place in [*(i for i, id_ in enumerate(ids) if id_ in special), len(ids)]:
        parts += ends(tokens[start:place])
        parts += [tokens[place]] if place < len(ids) else []
        start = place + 1
    return " ".join(parts)


def ends(tokens: Sequence[str]) -> list[str]:
    """The first and the last tokens of a text, and how many lie between."""
    if len(tokens) <= 2 * _SEAM:
        return list(tokens)
    return [*tokens[:_SEAM], f"…{len(tokens) - 2 * _SEAM}…", *tokens[-_SEAM:]]
