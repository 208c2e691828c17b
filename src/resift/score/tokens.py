"""Text to token ids with the checkpoint's own tokenizer; special-token literals in the text stay plain text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from resift.errors import BrokenModel


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids without special tokens, and the characters (start, end) that each covers."""

    ids: list[int]
    offsets: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Template:
    """The special tokens around one text or a pair, with the segment id of each part."""

    prefix: list[int]
    middle: list[int]
    suffix: list[int]
    segments: tuple[int, int, int, int, int]  # of prefix, first, middle, second, suffix

    def pair(self, first: Sequence[int], second: Sequence[int]) -> tuple[list[int], list[int]]:
        """Ids and segment ids of a pair."""
        parts = (self.prefix, first, self.middle, second, self.suffix)
        ids = [i for part in parts for i in part]
        segments = [s for part, s in zip(parts, self.segments, strict=True) for _ in part]
        return ids, segments

    @property
    def size(self) -> int:
        """How many special tokens a pair takes."""
        return len(self.prefix) + len(self.middle) + len(self.suffix)


def check_json(path: Path) -> None:
    """Refuse a tokenizer file that was cut short or never fetched; the library raises a bare Exception for these.

    Raises:
        BrokenModel: no JSON object with a tokenizer model in it.

    """
    try:
        whole = "model" in json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, TypeError) as error:
        raise BrokenModel(f"{path} is damaged or was not fetched whole ({error}); fetch the model again") from error
    if not whole:
        raise BrokenModel(f"{path} holds no tokenizer; fetch the model again")


class Tokens:
    """A tokenizer that is never changed after it is built, so that threads share it."""

    def __init__(self, folder: Path) -> None:
        path = folder / "tokenizer.json"
        if not path.exists():
            raise BrokenModel(f"{folder} has no tokenizer.json; save the model with its fast tokenizer")
        check_json(path)
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.template = self._read_template()
        unknown = self._tokenizer.token_to_id(self._unknown_token(path))
        self.unknown = -1 if unknown is None else unknown
        # Added tokens are left out: a tokenizer may know markers that no text and no template brings up.
        own = self.template.prefix + self.template.middle + self.template.suffix
        self.largest_id = max([self._tokenizer.get_vocab_size(with_added_tokens=False) - 1, *own])
        self._tokenizer.encode_special_tokens = True

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Tokenise without special tokens."""
        return [Encoded(e.ids, e.offsets) for e in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids alone: several times cheaper than `encode`, whose offsets are Python objects."""
        return [e.ids for e in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def joint(self, first: str, second: str) -> tuple[list[int], list[int]]:
        """Ids and segment ids of a pair as the tokenizer itself puts it together."""
        e = self._tokenizer.encode(first, second)
        return e.ids, e.type_ids

    def id_of(self, token: str) -> int | None:
        """The id of a token by its text; None when the vocabulary lacks it."""
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    @staticmethod
    def _unknown_token(path: Path) -> str:
        """The token that stands for what the vocabulary lacks; byte-level tokenizers have none."""
        return str(json.loads(path.read_text("utf-8"))["model"].get("unk_token") or "")

    def _read_template(self) -> Template:
        """Read the pair template off an encoded pair: what stands before, between and behind the two texts."""
        e = self._tokenizer.encode("a", "b")
        own = [i for i, special in enumerate(e.special_tokens_mask) if not special]
        first = [i for i in own if e.sequence_ids[i] == 0]
        second = [i for i in own if e.sequence_ids[i] == 1]
        if not first or not second or first[-1] > second[0]:
            raise BrokenModel("the tokenizer gives no pair template; its post-processor is missing")
        a, b, c, d = first[0], first[-1] + 1, second[0], second[-1] + 1
        types = e.type_ids
        segments = (
            types[0] if a else 0,
            types[a],
            types[b] if c > b else types[a],
            types[c],
            types[d] if d < len(types) else types[c],
        )
        return Template(e.ids[:a], e.ids[b:c], e.ids[d:], segments)
