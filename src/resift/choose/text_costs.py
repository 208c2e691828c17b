"""What a tokenizer makes of the user's texts: tokens per character, and how many pairs are longer than a window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from resift.choose.sample import UserSample, texts_of
from resift.models.folder import ModelFolder
from resift.models.tokenizer import Tokens
from resift.text.clean import clean

WINDOWS = (256, 512, 1024, 2048, 4096, 8192)


@dataclass(frozen=True, slots=True)
class TextCosts:
    """What a model's tokenizer makes of a sample.

    Attributes:
        tokens_per_character: by language, "" where it can't be told; fewer is faster, and more than 0.5 in a language
            of letters says that the vocabulary was not made for it.
        over: the share of the documents that, with a query of median length and the special tokens between, are longer
            than a window, by the window: what "truncate" would cut, and "windows" reads in parts.

    """

    tokens_per_character: Mapping[str, float]
    over: Mapping[int, float]


def text_costs(folder: Path, sample: UserSample, window: int | None = None) -> TextCosts:
    """Count the tokens of at most 200 documents of a sample.

    Args:
        folder: of the model; only its tokenizer is read.
        sample: at least one document with a text.
        window: the model's own, which is counted too.

    Raises:
        BrokenModel: there is no usable tokenizer.

    """
    model = ModelFolder(folder).encoder
    tokens = Tokens(model, lower=model.lower_case)
    lengths: list[int] = []
    rates: dict[str, float] = {}
    for code, documents in sample.by_language().items():
        texts = [clean(text) for text in texts_of(documents)]
        counts = [len(ids) for ids in tokens.ids(texts)]
        lengths += counts
        if characters := sum(map(len, texts)):
            rates[code] = sum(counts) / characters
    queries = [len(ids) for ids in tokens.ids([clean(query.text) for query in sample.queries])] or [0]
    around = median(queries) + tokens.template.size
    windows = sorted({*WINDOWS, *([window] if window else [])})
    over = {w: sum(length + around > w for length in lengths) / max(len(lengths), 1) for w in windows}
    return TextCosts(rates, over)
