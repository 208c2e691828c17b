"""vocab.txt of BertJapaneseTokenizer: words by MeCab (extra `mecab`), then WordPiece or characters."""

from __future__ import annotations

import importlib
import threading
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from resift.errors import BrokenModel, MissingExtra
from resift.models.folder import ModelFolder
from resift.models.tokenizers import wordpiece
from resift.models.tokenizers.built import BERT, Built, add_words, set_layout
from resift.models.tokenizers.settings import Settings
from resift.models.tokenizers.text_steps import LOWER, Aligned, TextStep

_DICTIONARIES = ("ipadic", "unidic_lite", "unidic")
_MECAB_ENTRIES = {"mecab_dic", "mecab_option", "normalize_text"}

# What never begins a cluster besides marks: vowels and last consonants of Hangul, half-width forms of both.
_BEHIND = (range(0x1160, 0x1200), range(0xFF9E, 0xFFDD))


def build(folder: ModelFolder, settings: Settings) -> Built:
    """The tokenizer of cl-tohoku's BERT and those that follow it.

    Raises:
        BrokenModel: the file is damaged, or words or pieces are made in another way than by MeCab.
        MissingExtra: MeCab or its dictionary is not installed.

    """
    settings.refuse("do_word_tokenize", True)
    settings.refuse("do_subword_tokenize", True)
    settings.refuse("never_split", [])
    words, pieces = settings.entries.get("word_tokenizer_type", "basic"), _pieces(folder, settings)
    if words != "mecab":
        raise BrokenModel(
            f"{folder} splits words by word_tokenizer_type={words!r}; Resift splits Japanese for BertJapaneseTokenizer "
            "by 'mecab' alone: give another checkpoint"
        )
    vocabulary = wordpiece.read_vocabulary(folder, settings)
    special, added = settings.assign(vocabulary, len(vocabulary))
    unknown = settings.token("unk_token")
    tokens = wordpiece.writable(vocabulary, special, added, unknown)
    if pieces == "character":
        tokenizer = Tokenizer(models.WordLevel(tokens, unk_token=unknown))
        each = pre_tokenizers.Split(Regex("(?m)."), behavior="isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(" ", "removed"), each])
    else:
        tokenizer = Tokenizer(models.WordPiece(tokens, unk_token=unknown))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    add_words(tokenizer, settings, added)
    set_layout(tokenizer, BERT, settings, special)
    lower = settings.flag("do_lower_case", False)
    steps: tuple[TextStep, ...] = (*(LOWER if lower else ()), *_mecab(settings), *(LOWER if lower else ()))
    size = 1 + max(*vocabulary.values(), *added.values())
    return Built(tokenizer, wordpiece.VOCABULARY, special, added, special[unknown], size, steps)


def _pieces(folder: ModelFolder, settings: Settings) -> str:
    """How words become tokens: "wordpiece" or "character"."""
    pieces = settings.entries.get("subword_tokenizer_type", "wordpiece")
    if pieces not in ("wordpiece", "character"):
        raise BrokenModel(
            f"{folder} makes tokens by subword_tokenizer_type={pieces!r}; Resift reads 'wordpiece' and 'character' of "
            "BertJapaneseTokenizer: give another checkpoint"
        )
    return str(pieces)


def _mecab(settings: Settings) -> tuple[TextStep, ...]:
    """The steps that compose characters and put spaces between words."""
    entries = settings.entries.get("mecab_kwargs") or {}
    if not isinstance(entries, dict) or set(entries) - _MECAB_ENTRIES:
        raise settings.wrong("mecab_kwargs", entries, f"an object of {', '.join(sorted(_MECAB_ENTRIES))}")
    dictionary = entries.get("mecab_dic", "unidic_lite")
    if dictionary not in _DICTIONARIES:
        raise settings.wrong("mecab_dic", dictionary, f"one of {', '.join(_DICTIONARIES)}")
    composed = (Composed(),) if entries.get("normalize_text", True) else ()
    return (*composed, Words(_tagger(str(dictionary), str(entries.get("mecab_option") or ""))))


def _tagger(dictionary: str, option: str) -> Callable[[str], Sequence[Any]]:
    """MeCab with a dictionary, one for each thread, since it must not be used by two."""
    fugashi = _load("fugashi")
    folder = Path(_load(dictionary).DICDIR)
    if not folder.is_dir():
        raise BrokenModel(f"the dictionary of {dictionary} is not there; type: python -m {dictionary} download")
    options, thread = f'-d "{folder}" -r "{folder / "mecabrc"}" {option}', threading.local()

    def tag(text: str) -> Sequence[Any]:
        if not hasattr(thread, "tagger"):
            thread.tagger = fugashi.GenericTagger(options)
        words: Sequence[Any] = thread.tagger(text)
        return words

    tag("")
    return tag


def _load(module: str) -> Any:  # noqa: ANN401 - the libraries ship no types
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(f"the tokenizer of this Japanese model ({module})", "mecab") from error


class Composed:
    """The compatibility composition (NFKC) of a text."""

    def text(self, text: str) -> str:
        """See `TextStep`."""
        return unicodedata.normalize("NFKC", text)

    def aligned(self, text: Aligned) -> Aligned:
        """See `TextStep`; a composed character has the place of all that it is composed of."""
        if unicodedata.is_normalized("NFKC", text.text):
            return text
        begins = [i for i, c in enumerate(text.text) if i == 0 or not _is_behind(c)]
        parts, starts, ends = [], [], []
        for begin, end in zip(begins, [*begins[1:], len(text.text)], strict=True):
            part = self.text(text.text[begin:end])
            first, behind = text.span(begin, end)
            parts.append(part)
            starts += [first] * len(part)
            ends += [behind] * len(part)
        return Aligned("".join(parts), starts, ends)


def _is_behind(character: str) -> bool:
    """Whether normal forms may change a character together with the one before it."""
    point = ord(character)
    return point >= 0x300 and (unicodedata.category(character)[0] == "M" or any(point in r for r in _BEHIND))


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text with a space between."""

    tag: Callable[[str], Sequence[Any]]

    def text(self, text: str) -> str:
        """See `TextStep`."""
        return " ".join(word.surface for word in self.tag(text))

    def aligned(self, text: Aligned) -> Aligned:
        """See `TextStep`."""
        parts, starts, ends, at = [], [], [], 0
        for word in self.tag(text.text):
            begin = text.text.index(word.surface, at)
            at = begin + len(word.surface)
            parts.append(word.surface)
            starts += [*text.starts[begin:at], text.ends[at - 1]]
            ends += [*text.ends[begin:at], text.ends[at - 1]]
        return Aligned(" ".join(parts), starts[:-1], ends[:-1])
