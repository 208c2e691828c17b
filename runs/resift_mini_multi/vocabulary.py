"""Which pieces of the base model's vocabulary resift-mini-multi keeps."""

import unicodedata
from collections.abc import Sequence

# Scripts whose pieces all stay. Of other scripts the single characters stay, so that no text becomes <unk> that was
# none: a word in them is read letter by letter.
SCRIPTS = frozenset(
    "LATIN CYRILLIC GREEK HEBREW ARABIC DEVANAGARI THAI HANGUL CJK HIRAGANA KATAKANA KATAKANA-HIRAGANA IDEOGRAPHIC "
    "BOPOMOFO FULLWIDTH HALFWIDTH MODIFIER".split()
)
SPACE = "▁"


def script(character: str) -> str:
    """The first word of a letter's name in Unicode; "" for what is no letter or mark."""
    return unicodedata.name(character, "").split(" ")[0] if unicodedata.category(character)[0] in "LM" else ""


def ids_to_keep(pieces: Sequence[str], special: int = 5) -> list[int]:
    """The ids that stay, in order: special tokens, single characters, and pieces of letters of SCRIPTS alone."""
    scripts = SCRIPTS | {"", "COMBINING"}
    return [
        i
        for i, piece in enumerate(pieces)
        if i < special
        or i == len(pieces) - 1
        or len(piece.replace(SPACE, "")) <= 1
        or all(script(c) in scripts for c in piece)
    ]


def lost_characters(pieces: Sequence[str], ids: Sequence[int]) -> set[str]:
    """Characters that only pieces hold which do not stay: they would become <unk>."""
    vocabulary = {pieces[i] for i in ids}
    return {c for piece in pieces for c in piece if c not in vocabulary and all(c not in p for p in vocabulary)}
