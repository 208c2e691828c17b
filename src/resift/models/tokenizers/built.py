"""What a builder gives: a tokenizer of the tokenizers library, and what that library can't say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tokenizers import AddedToken, Tokenizer, processors

from resift.models.tokenizers.settings import Settings
from resift.models.tokenizers.text_steps import TextStep

UNWRITABLE = "\x00"  # begins the names of pieces that no text may bring up; cleaning takes it out of every text


@dataclass(frozen=True, slots=True)
class Built:
    """A tokenizer to which its special tokens are no words of a text.

    Attributes:
        tokenizer: gives ids of changed texts; its template has the special tokens.
        source: the files that it was built from.
        special: the special tokens and their ids.
        added: words that were added to the vocabulary, and their ids; a text is searched for them.
        unknown: the id of what the vocabulary lacks; -1 where nothing lacks.
        size: the ids of its files' tokens and of added words are below it; special tokens that the files lack, which
            no text brings up, may be behind.
        steps: changes to a text before the tokenizer reads it.
        replaced: ids of the tokenizer in whose place others stand.

    """

    tokenizer: Tokenizer
    source: str
    special: Mapping[str, int]
    added: Mapping[str, int]
    unknown: int
    size: int
    steps: tuple[TextStep, ...] = ()
    replaced: Mapping[int, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layout:
    """The special tokens around one text and around two, by their roles; "A" and "B" are the texts.

    Attributes:
        single: around one text.
        pair: around two.
        segments: whether the second text, with the special tokens behind it, is of segment 1.

    """

    single: tuple[str, ...]
    pair: tuple[str, ...]
    segments: bool = False


BERT = Layout(("cls", "A", "sep"), ("cls", "A", "sep", "B", "sep"), segments=True)
ROBERTA = Layout(("cls", "A", "sep"), ("cls", "A", "sep", "sep", "B", "sep"))
T5 = Layout(("A", "eos"), ("A", "eos", "B", "eos"))


def with_ends(settings: Settings, bos: bool, eos: bool) -> Layout:
    """The layout of language models: each text between the tokens that the settings ask for."""
    before = ("bos",) if settings.flag("add_bos_token", bos) else ()
    behind = ("eos",) if settings.flag("add_eos_token", eos) else ()
    return Layout((*before, "A", *behind), (*before, "A", *behind, *before, "B", *behind))


def set_layout(tokenizer: Tokenizer, layout: Layout, settings: Settings, special: Mapping[str, int]) -> None:
    """Give the tokenizer its special tokens, each by the id that its role has here."""

    def entries(parts: Sequence[str]) -> list[str]:
        second = parts.index("B") if "B" in parts else len(parts)
        names = {"A": "$A", "B": "$B"}
        return [f"{names.get(part, part)}:{int(layout.segments and i >= second)}" for i, part in enumerate(parts)]

    roles = {part for part in (*layout.single, *layout.pair) if part not in ("A", "B")}
    tokenizer.post_processor = processors.TemplateProcessing(
        single=entries(layout.single),
        pair=entries(layout.pair),
        special_tokens=[(role, special[settings.token(f"{role}_token")]) for role in sorted(roles)],
    )


def add_words(tokenizer: Tokenizer, settings: Settings, words: Mapping[str, int]) -> None:
    """Let the tokenizer look for words that were added to the vocabulary; they are in its model already."""
    tokens = {token.content: token for token in settings.added.values()}
    tokenizer.add_tokens(
        [
            AddedToken(word, single_word=t.single_word, lstrip=t.lstrip, rstrip=t.rstrip, normalized=t.normalized)
            for word in words
            if (t := tokens[word])
        ]
    )
