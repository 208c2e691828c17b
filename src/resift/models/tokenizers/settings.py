"""What the files beside a vocabulary say of it: the tokenizer's class, its flags, its special and added tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from resift.errors import BrokenModel
from resift.models.folder import ModelFolder

MOST_IDS = 1 << 24  # no vocabulary has as many; a larger id is damage, and would take memory
# In the order in which Transformers gives ids to those that a vocabulary lacks.
ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_BRACKETS = {
    "unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]",
}  # fmt: skip
_FAIRSEQ = {
    "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>", "pad_token": "<pad>",
    "cls_token": "<s>", "mask_token": "<mask>",
}  # fmt: skip
_ENDS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}

# The special tokens of a class where its files name none, according to Transformers 4.57.
DEFAULTS: dict[str, dict[str, str]] = {
    "Bert": _BRACKETS,
    "BertJapanese": _BRACKETS,
    "Roberta": _FAIRSEQ,
    "XLMRoberta": _FAIRSEQ,
    "Camembert": _FAIRSEQ,
    "Phobert": _FAIRSEQ,
    "GPT2": dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>"),
    "Albert": _BRACKETS | {"bos_token": "[CLS]", "eos_token": "[SEP]", "unk_token": "<unk>", "pad_token": "<pad>"},
    "DebertaV2": _BRACKETS | {"bos_token": "[CLS]", "eos_token": "[SEP]"},
    "T5": {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"},
    "Llama": _ENDS,
    "Gemma": {"bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<pad>"},
}


@dataclass(frozen=True, slots=True)
class Added:
    """A token that was added to a vocabulary."""

    content: str
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = True
    special: bool = False


class Settings:
    """Reads tokenizer_config.json, special_tokens_map.json and added_tokens.json as Transformers 4 does.

    Args:
        folder: of the tokenizer.
        kind: the tokenizer's class, without "Tokenizer"; a key of `DEFAULTS`.
        markers: further special tokens, which a model puts into its inputs.

    """

    def __init__(self, folder: ModelFolder, kind: str, markers: Sequence[str] = ()) -> None:
        self.folder, self.kind, self.markers = folder, kind, tuple(markers)
        self.entries: Mapping[str, Any] = folder.tokenizer_config

    def flag(self, name: str, default: bool) -> bool:
        """A setting that is true or false.

        Raises:
            BrokenModel: it is something else.

        """
        value = self.entries.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(name, value, "true or false")
        return value

    def wrong(self, name: str, value: object, kind: str) -> BrokenModel:
        """The error for a setting of a wrong kind."""
        path = self.folder.path / "tokenizer_config.json"
        return BrokenModel(f"{path} has {name} {value!r}, which must be {kind}; fetch the model again")

    def refuse(self, name: str, value: object) -> None:
        """Raise for a setting that has another value than the one that is built for.

        Raises:
            BrokenModel: it does.

        """
        if self.entries.get(name) not in (None, value):
            raise BrokenModel(
                f"{self.folder} has {name}={self.entries[name]!r}, for which Resift builds no tokenizer; where "
                "Transformers has a fast one, save it with AutoTokenizer.from_pretrained(…).save_pretrained(…)"
            )

    @cached_property
    def tokens(self) -> dict[str, str]:
        """The special tokens by role."""
        tokens = dict(DEFAULTS[self.kind])
        for name in ROLES:
            for entries in self._sources:
                if name in entries and (content := _content(entries[name])):
                    tokens[name] = content
        return tokens

    @cached_property
    def _sources(self) -> tuple[Mapping[str, Any], ...]:
        """Where special tokens are named; the later counts. A config with added_tokens_decoder says it all."""
        if "added_tokens_decoder" in self.entries:
            return (self.entries,)
        return self.entries, self.folder.object("special_tokens_map.json")

    @cached_property
    def additional(self) -> list[str]:
        """Special tokens without a role."""
        listed: list[str] = []
        for entries in self._sources:
            value = entries.get("additional_special_tokens") or []
            if not isinstance(value, list):
                raise self.wrong("additional_special_tokens", value, "a list")
            listed = [content for token in value if (content := _content(token))] or listed
        return listed

    def token(self, role: str) -> str:
        """The special token of a role, such as "cls_token".

        Raises:
            BrokenModel: none is named.

        """
        if role not in self.tokens:
            raise BrokenModel(f"{self.folder} names no {role} in tokenizer_config.json; fetch the model again")
        return self.tokens[role]

    @cached_property
    def names(self) -> list[str]:
        """All special tokens, each once, in the order in which those that a vocabulary lacks are added to it."""
        listed = [self.tokens[role] for role in ROLES if role in self.tokens]
        special = [token.content for token in self.added.values() if token.special]
        return list(dict.fromkeys([*listed, *self.additional, *special]))

    @cached_property
    def added(self) -> dict[int, Added]:
        """The tokens that the files give an id of their own.

        Raises:
            BrokenModel: an id is no whole number, or there twice.

        """
        entries = self.entries.get("added_tokens_decoder")
        file = "added_tokens.json" if entries is None else "tokenizer_config.json"
        try:
            listed = {int(i): _token(token) for i, token in (entries or {}).items()}
            tokens = self._added_words() if entries is None else listed
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            raise BrokenModel(f"{self.folder.path / file} is malformed ({error}); fetch the model again") from error
        if wrong := [i for i in tokens if not 0 <= i < MOST_IDS]:
            raise BrokenModel(f"{self.folder.path / file} has a token with the id {wrong[0]}; fetch the model again")
        return dict(sorted(tokens.items()))

    def _added_words(self) -> dict[int, Added]:
        """The words of added_tokens.json."""
        words, special = self.folder.object("added_tokens.json"), {*self.tokens.values(), *self.additional}
        tokens = {int(i): Added(w, normalized=w not in special, special=w in special) for w, i in words.items()}
        if len(tokens) < len(words):
            raise ValueError("it gives one id to two tokens")
        return tokens

    def assign(self, vocabulary: Mapping[str, int], size: int) -> tuple[dict[str, int], dict[str, int]]:
        """The ids of special tokens, and of added words: as the files say, as in the vocabulary, or behind its end.

        Args:
            vocabulary: token -> id, special ones included.
            size: how many ids the vocabulary takes.

        Raises:
            BrokenModel: a file gives a token the id of another one.

        """
        stated = {token.content: i for i, token in self.added.items()}
        taken = {i: token for token, i in vocabulary.items()}
        for token, i in stated.items():
            if taken.get(i, token) != token:
                raise BrokenModel(
                    f"{self.folder}: {token!r} was added with the id {i}, which is that of {taken[i]!r} in the "
                    "vocabulary; the files are of different models: copy them from one place"
                )
        ids = dict(stated)
        behind = max(size, len({*vocabulary, *stated}))
        for name in self.names:
            if name not in ids and name in vocabulary:
                ids[name] = vocabulary[name]
            elif name not in ids:
                ids[name] = behind
                behind += 1
        ids |= {marker: vocabulary[marker] for marker in self.markers if marker in vocabulary}
        special = {*self.names, *self.markers}
        return (
            {name: i for name, i in ids.items() if name in special},
            {name: i for name, i in ids.items() if name not in special},
        )


def _content(token: object) -> str:
    """A token, which files have as text or as an object."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else ""


def _token(entry: Mapping[str, Any]) -> Added:
    names = ("single_word", "lstrip", "rstrip", "normalized", "special")
    return Added(str(entry["content"]), **{name: bool(entry[name]) for name in names if name in entry})
