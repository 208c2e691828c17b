"""Text to token ids with the checkpoint's own tokenizer; special-token literals in the text stay plain text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, normalizers

from resift.errors import BrokenModel
from resift.models.folder import ModelFolder
from resift.models.tokenizers.built import UNWRITABLE, Built
from resift.models.tokenizers.formats import build_tokenizer
from resift.models.tokenizers.text_steps import LOWER, change_aligned, change_text

TOKENIZER = "tokenizer.json"


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


def tokenizer_json(folder: ModelFolder) -> dict[str, Any]:
    """tokenizer.json; of one that was cut short or never fetched the tokenizers library says a bare Exception.

    Raises:
        BrokenModel: no JSON object with a tokenizer model in it.

    """
    path = folder.path / TOKENIZER
    try:
        value = json.loads(folder.content(TOKENIZER).decode("utf-8"))
    except (OSError, ValueError) as error:
        raise BrokenModel(f"{path} is damaged or was not fetched whole ({error}); fetch the model again") from error
    if not isinstance(value, dict) or "model" not in value:
        raise BrokenModel(f"{path} holds no tokenizer; fetch the model again")
    return value


def _read_tokenizer(value: dict[str, Any], path: Path, markers: Sequence[str]) -> tuple[Tokenizer, dict[str, int]]:
    """The tokenizer of a file that holds `value`, its special tokens such that they can't be written in a text.

    Beside it the ids of those that it no longer names. Special tokens are not looked for in texts
    (`encode_special_tokens`), but a model that knows whole pieces or words finds them in its vocabulary: "</s>" in a
    document would close it. There they get names that no text has.
    """
    model, added = value["model"], value.get("added_tokens") or []
    template = _template_names(value.get("post_processor"))
    plain = [t for t in added if t["content"] in template and not t.get("special")]
    for token in plain:  # saved as an ordinary word, though the template is made of it
        token["special"] = True
    hidden = _hidden(model, {*markers, *template, *(t["content"] for t in added if t.get("special"))})
    if hidden:
        value["added_tokens"] = [t for t in added if t["content"] not in hidden]
    if hidden or plain:
        return Tokenizer.from_str(json.dumps(value)), hidden
    return Tokenizer.from_file(str(path)), hidden


def _unknown(model: dict[str, Any], tokenizer: Tokenizer) -> int:
    """The id of what the vocabulary lacks: unigram models name it by its place, the others by its token."""
    place = model.get("unk_id")
    if place is None:
        place = tokenizer.token_to_id(str(model.get("unk_token") or ""))
    return -1 if place is None else int(place)


def _hidden(model: dict[str, Any], names: set[str]) -> dict[str, int]:
    """Rename these pieces of a vocabulary from which texts take pieces or words whole; returns their ids."""
    vocab = model["vocab"]
    if isinstance(vocab, list):
        unknown = vocab[model["unk_id"]][0] if model.get("unk_id") is not None else None
        hidden = {p: i for i, (p, _) in enumerate(vocab) if p in names and p != unknown}
        for piece, i in hidden.items():  # the rest stays as it is: a vocabulary may have 250,000 pieces
            vocab[i] = [UNWRITABLE + piece, vocab[i][1]]
        return hidden
    if model.get("type") == "BPE" and not model.get("ignore_merges"):
        return {}  # it builds what texts hold from characters, by its merges
    hidden = {p: i for p, i in vocab.items() if p in names and p != model.get("unk_token")}
    model["vocab"] = {UNWRITABLE + p if p in hidden else p: i for p, i in vocab.items()}
    return hidden


def _template_names(processor: Any) -> set[str]:  # noqa: ANN401 - JSON
    """The tokens that a post-processor puts around texts."""
    if not isinstance(processor, dict):
        return set()
    ends = {processor[name][0] for name in ("cls", "sep") if name in processor}
    inner = (name for p in processor.get("processors") or () for name in _template_names(p))
    return {*ends, *(processor.get("special_tokens") or ()), *inner}


_CHARACTERS = 32  # a token has 3 to 5 in alphabets, 1 to 2 in Han
_GENERIC = ("TokenizersBackend", "PreTrainedTokenizerFast")


def _has_segments(config: Mapping[str, Any]) -> bool:
    """Whether the model is given segment ids; a tokenizer that makes some may say that the model gets none of them."""
    names, kind = config.get("model_input_names"), config.get("tokenizer_class")
    if names or kind not in _GENERIC:
        return not names or "token_type_ids" in names
    # Of these classes Transformers 5 gives no segment ids unless told to, and it writes down its "backend". What an
    # older one wrote was trained with segment ids.
    return kind != "TokenizersBackend" and "backend" not in config


def _read_or_build(folder: ModelFolder, markers: Sequence[str]) -> Built:
    """The tokenizer of tokenizer.json; without one, that of the vocabulary files.

    Where there are both, tokenizer.json counts, as for Transformers: what was trained with the folder read that file.
    """
    if not folder.has(TOKENIZER):
        return build_tokenizer(folder, markers)
    value = tokenizer_json(folder)
    tokenizer, hidden = _read_tokenizer(value, folder.path / TOKENIZER, markers)
    if known := [m for m in markers if tokenizer.token_to_id(m) is not None]:
        tokenizer.add_special_tokens([AddedToken(m, normalized=False) for m in known])
    # The token that stands for what the vocabulary lacks; byte-level tokenizers have none.
    unknown = _unknown(value["model"], tokenizer)
    # Special tokens are left out: a tokenizer may know some that no text and no template brings up.
    added = {t.content: i for i, t in tokenizer.get_added_tokens_decoder().items() if not t.special}
    size = tokenizer.get_vocab_size(with_added_tokens=False)
    return Built(tokenizer, TOKENIZER, hidden, added, unknown, size)


class Tokens:
    """A tokenizer that is never changed after it is built, so that threads share it.

    Args:
        folder: holds tokenizer.json, or vocabulary files (`models.tokenizers.formats`).
        built: instead of what the folder has; for a comparison.
        lower: whether texts are put in lower case beforehand.
        markers: tokens that a model adds to its inputs; where a text holds one, it is plain text.

    Attributes:
        source: the files from which the tokenizer is.
        size: the ids of the vocabulary are below it.
        unknown: the id of what the vocabulary lacks; -1 where there is none.
        added: words that were added to the vocabulary, by their ids.
        largest_id: that an input can have.

    Raises:
        BrokenModel: there is no usable tokenizer.
        MissingExtra: it needs a library that is not installed.

    """

    def __init__(
        self, folder: ModelFolder, lower: bool = False, markers: Sequence[str] = (), built: Built | None = None
    ) -> None:
        built = built or _read_or_build(folder, markers)
        self.source, self.size, self.unknown = built.source, built.size, built.unknown
        self._tokenizer, self._special, self._replaced = built.tokenizer, built.special, built.replaced
        self._path = folder.path / TOKENIZER
        self._steps = built.steps
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        if lower and built.source != TOKENIZER:
            self._steps = (*LOWER, *built.steps)
        elif lower:
            normalizer = [self._tokenizer.normalizer] if self._tokenizer.normalizer else []
            self._tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *normalizer])
        self.template, self.single = self._read_template(), self._read_single()
        if not _has_segments(folder.tokenizer_config):
            self.template = replace(self.template, segments=(0, 0, 0, 0, 0))
        special = self.template.prefix + self.template.middle + self.template.suffix
        self.added = {i: word for word, i in built.added.items()}
        self.largest_id = max([self.size - 1, *special, *self.added])
        self._tokenizer.encode_special_tokens = True

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Tokenise without special tokens."""
        if not self._steps:
            encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
            return [self._with_replaced(e.ids, e.offsets) for e in encodings]
        changed = [change_aligned(self._steps, text) for text in texts]
        encodings = self._tokenizer.encode_batch([c.text for c in changed], add_special_tokens=False)
        return [
            self._with_replaced(e.ids, [c.span(*offsets) for offsets in e.offsets])
            for c, e in zip(changed, encodings, strict=True)
        ]

    def _with_replaced(self, ids: list[int], offsets: list[tuple[int, int]]) -> Encoded:
        """The ids that the model knows; several in place of one share its characters."""
        if self._replaced.keys().isdisjoint(ids):
            return Encoded(ids, offsets)
        parts = [(self._replaced.get(i, (i,)), place) for i, place in zip(ids, offsets, strict=True)]
        return Encoded([i for part, _ in parts for i in part], [place for part, place in parts for _ in part])

    def start_of(self, text: str, tokens: int) -> str:
        """The beginning of a text, `tokens` tokens at most."""
        if len(text.encode("utf-8", "replace")) <= tokens:  # a token has a byte or more
            return text
        reach = tokens * _CHARACTERS
        offsets = self.encode([text[:reach]])[0].offsets
        if len(offsets) <= tokens and len(text) <= reach:
            return text
        return text[: offsets[min(tokens, len(offsets)) - 1][1] if offsets else 0]

    def encode_start(self, texts: Sequence[str], count: int) -> list[Encoded]:
        """Tokenise enough of each text for its first `count` tokens to be those of the whole; not all of a megabyte.

        Where 32 characters for each token give less than `2 * count` tokens, the whole text is read.
        """
        starts = [t[: count * _CHARACTERS] for t in texts]
        encoded = self.encode(starts)
        for i, (start, text) in enumerate(zip(starts, texts, strict=True)):
            if len(start) < len(text) and len(encoded[i].ids) < 2 * count:
                encoded[i] = self.encode([text])[0]
        return encoded

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids alone: several times cheaper than `encode`, whose offsets are Python objects."""
        changed = [change_text(self._steps, text) for text in texts]
        encodings = self._tokenizer.encode_batch_fast(changed, add_special_tokens=False)
        if not self._replaced:
            return [e.ids for e in encodings]
        return [[j for i in e.ids for j in self._replaced.get(i, (i,))] for e in encodings]

    def id_of(self, token: str) -> int | None:
        """The id of a token of the vocabulary, special ones included."""
        return self._special.get(token, self._tokenizer.token_to_id(token))

    def leading(self, prefix: str) -> tuple[list[int], str]:
        """Ids of the special and added tokens that a prefix begins with, and what is left of it."""
        if self.source != TOKENIZER:
            return self._leading_names(prefix)
        names = {*self._special, *(token.content for token in self._tokenizer.get_added_tokens_decoder().values())}
        if not prefix.strip().lower().startswith(tuple(name.strip().lower() for name in names)):
            return [], prefix  # without parsing the file anew, which takes a second where the vocabulary is large
        tokenizer = Tokenizer.from_file(str(self._path))  # which still knows them in a text
        added, ids, end = tokenizer.get_added_tokens_decoder(), [], 0
        encoded = tokenizer.encode(prefix, add_special_tokens=False)
        for token, (start, stop) in zip(encoded.ids, encoded.offsets, strict=True):
            if token not in added or start != end:
                break
            ids.append(token)
            end = stop
        return ids, prefix[end:]

    def _leading_names(self, prefix: str) -> tuple[list[int], str]:
        """The same for a tokenizer that was built, which knows special tokens by name alone."""
        names = {**self._special, **{word: i for i, word in self.added.items()}}
        ids: list[int] = []
        while name := max((n for n in names if prefix.startswith(n)), key=len, default=""):
            ids.append(names[name])
            prefix = prefix[len(name) :]
        return ids, prefix

    def behind(self, prefix: str, texts: Sequence[str], count: int | None = None) -> list[tuple[list[int], Encoded]]:
        """Tokenise prefix and text together: the prefix's ids, and the text's with their characters in the text.

        With a count, only enough of each text for its first `count` tokens is read; see `encode_start`.
        """
        together = [prefix + t for t in texts]
        encoded = self.encode(together) if count is None else self.encode_start(together, count)
        if not prefix:
            return [([], e) for e in encoded]
        parts, width = [], len(prefix)
        for e in encoded:
            n = sum(end <= width for _, end in e.offsets)
            offsets = [(max(0, start - width), end - width) for start, end in e.offsets[n:]]
            parts.append((e.ids[:n], Encoded(e.ids[n:], offsets)))
        return parts

    def joint(self, first: str, second: str) -> tuple[list[int], list[int]]:
        """Ids and segment ids of a pair as the tokenizer itself puts it together."""
        e = self._tokenizer.encode(change_text(self._steps, first), change_text(self._steps, second))
        if self._replaced.keys().isdisjoint(e.ids):
            return e.ids, e.type_ids
        pairs = [(j, kind) for i, kind in zip(e.ids, e.type_ids, strict=True) for j in self._replaced.get(i, (i,))]
        return [i for i, _ in pairs], [kind for _, kind in pairs]

    def _read_single(self) -> tuple[list[int], list[int]]:
        """The special tokens before and behind one text."""
        e = self._tokenizer.encode(change_text(self._steps, "a"))
        text = [i for i, special in enumerate(e.special_tokens_mask) if not special]
        return e.ids[: text[0]], e.ids[text[-1] + 1 :]

    def _read_template(self) -> Template:
        """Read the pair template off an encoded pair: what stands before, between and behind the two texts."""
        e = self._tokenizer.encode(change_text(self._steps, "a"), change_text(self._steps, "b"))
        text = [i for i, special in enumerate(e.special_tokens_mask) if not special]
        first = [i for i in text if e.sequence_ids[i] == 0]
        second = [i for i in text if e.sequence_ids[i] == 1]
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
