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
    path = folder.path / "tokenizer.json"
    try:
        value = json.loads(folder.content("tokenizer.json").decode("utf-8"))
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


def _hidden(model: dict[str, Any], names: set[str]) -> dict[str, int]:
    """Rename these pieces of a vocabulary from which texts take pieces or words whole; returns their ids."""
    vocab = model["vocab"]
    if isinstance(vocab, list):
        unknown = vocab[model["unk_id"]][0] if model.get("unk_id") is not None else None
        hidden = {p: i for i, (p, _) in enumerate(vocab) if p in names and p != unknown}
        for piece, i in hidden.items():  # the rest stays as it is: a vocabulary may have 250,000 pieces
            vocab[i] = [_UNWRITABLE + piece, vocab[i][1]]
        return hidden
    if model.get("type") == "BPE" and not model.get("ignore_merges"):
        return {}  # it builds what texts hold from characters, by its merges
    hidden = {p: i for p, i in vocab.items() if p in names and p != model.get("unk_token")}
    model["vocab"] = {_UNWRITABLE + p if p in hidden else p: i for p, i in vocab.items()}
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
_UNWRITABLE = "\x00"  # cleaning takes it out of every text


def _has_segments(config: Mapping[str, Any]) -> bool:
    """Whether the model is given segment ids; a tokenizer that makes some may say that the model gets none of them."""
    names, kind = config.get("model_input_names"), config.get("tokenizer_class")
    if names or kind not in _GENERIC:
        return not names or "token_type_ids" in names
    # Of these classes Transformers 5 gives no segment ids unless told to, and it writes down its "backend". What an
    # older one wrote was trained with segment ids.
    return kind != "TokenizersBackend" and "backend" not in config


class Tokens:
    """A tokenizer that is never changed after it is built, so that threads share it.

    Args:
        folder: holds tokenizer.json.
        lower: whether texts are put in lower case beforehand.
        markers: tokens that a model adds to its inputs; where a text holds one, it is plain text.

    Raises:
        BrokenModel: there is no usable tokenizer.json.

    """

    def __init__(self, folder: ModelFolder, lower: bool = False, markers: Sequence[str] = ()) -> None:
        path = folder.path / "tokenizer.json"
        if not folder.has("tokenizer.json"):
            raise BrokenModel(
                f"{folder} has no tokenizer.json; save the model with its fast tokenizer, or where Transformers has "
                "none (PhoBERT) build one with the tokenizers library from its vocabulary and merges"
            )
        value, self._path = tokenizer_json(folder), path
        self._contents = tuple(token["content"].strip().lower() for token in value.get("added_tokens") or ())
        self._tokenizer, self._hidden = _read_tokenizer(value, path, markers)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        if markers := [m for m in markers if self._tokenizer.token_to_id(m) is not None]:
            self._tokenizer.add_special_tokens([AddedToken(m, normalized=False) for m in markers])
        if lower:
            normalizer = [self._tokenizer.normalizer] if self._tokenizer.normalizer else []
            self._tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *normalizer])
        self.template, self.single = self._read_template(), self._read_single()
        if not _has_segments(folder.tokenizer_config):
            self.template = replace(self.template, segments=(0, 0, 0, 0, 0))
        # The token that stands for what the vocabulary lacks; byte-level tokenizers have none.
        unknown = self._tokenizer.token_to_id(str(value["model"].get("unk_token") or ""))
        self.unknown = -1 if unknown is None else unknown
        # Special tokens are left out: a tokenizer may know some that no text and no template brings up.
        special = self.template.prefix + self.template.middle + self.template.suffix
        added = self._tokenizer.get_added_tokens_decoder()
        self.added = {i: token.content for i, token in added.items() if not token.special}
        self.largest_id = max([self._tokenizer.get_vocab_size(with_added_tokens=False) - 1, *special, *self.added])
        self._tokenizer.encode_special_tokens = True

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Tokenise without special tokens."""
        return [Encoded(e.ids, e.offsets) for e in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]

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
        return [e.ids for e in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def id_of(self, token: str) -> int | None:
        """The id of a token of the vocabulary, special ones included."""
        return self._hidden.get(token, self._tokenizer.token_to_id(token))

    def leading(self, prefix: str) -> tuple[list[int], str]:
        """Ids of the special and added tokens that a prefix begins with, and what is left of it."""
        if not prefix.strip().lower().startswith(self._contents):
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
        e = self._tokenizer.encode(first, second)
        return e.ids, e.type_ids

    def _read_single(self) -> tuple[list[int], list[int]]:
        """The special tokens before and behind one text."""
        e = self._tokenizer.encode("a")
        text = [i for i, special in enumerate(e.special_tokens_mask) if not special]
        return e.ids[: text[0]], e.ids[text[-1] + 1 :]

    def _read_template(self) -> Template:
        """Read the pair template off an encoded pair: what stands before, between and behind the two texts."""
        e = self._tokenizer.encode("a", "b")
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
