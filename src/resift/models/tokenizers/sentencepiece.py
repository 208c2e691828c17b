"""Tokenizers from a .model file of SentencePiece: XLM-R, CamemBERT, ALBERT, T5, DeBERTa-v2, Llama, Gemma."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from tokenizers import AddedToken, Tokenizer

from resift.errors import BrokenModel
from resift.models.folder import ModelFolder
from resift.models.tokenizers.built import BERT, ROBERTA, T5, Built, Layout, add_words, set_layout, with_ends
from resift.models.tokenizers.piece_models import piece_tokenizer
from resift.models.tokenizers.sentencepiece_file import PieceType, SentencePieceFile, read_sentencepiece
from resift.models.tokenizers.sentencepiece_text import SPACE, steps_of, steps_with_prefix
from resift.models.tokenizers.settings import Added, Settings
from resift.models.tokenizers.text_steps import LOWER, TextStep, change_text, substitution

_FAIRSEQ_FIRST = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
_CAMEMBERT_FIRST = {"<s>NOTUSED": 0, "<pad>": 1, "</s>NOTUSED": 2, "<unk>": 3, "<unk>NOTUSED": 4}


@dataclass(frozen=True, slots=True)
class Ids:
    """Which ids the pieces of a file have.

    Attributes:
        offset: is added to a piece's place in the file.
        fixed: tokens at ids of their own.
        last: tokens behind all pieces.

    """

    offset: int = 0
    fixed: tuple[tuple[str, int], ...] = ()
    last: tuple[str, ...] = ()


def build_xlm_roberta(folder: ModelFolder, settings: Settings, name: str) -> Built:
    """XLM-R counts as fairseq does: `<s> <pad> </s> <unk>`, the pieces behind the file's own three, then `<mask>`."""
    ids = Ids(1, tuple(_FAIRSEQ_FIRST.items()), ("<mask>",))
    return _build(folder, settings, name, ids, ROBERTA)


def build_camembert(folder: ModelFolder, settings: Settings, name: str) -> Built:
    """CamemBERT counts four tokens before the file's pieces; `<mask>` comes behind."""
    return _build(folder, settings, name, Ids(4, tuple(_CAMEMBERT_FIRST.items())), ROBERTA)


def build_albert(folder: ModelFolder, settings: Settings, name: str) -> Built:
    """ALBERT's own changes to a text come first, and a number's comma is a token of its own."""
    steps: list[TextStep] = []
    if settings.flag("remove_space", True):
        steps += [substitution(r"\A\s+|\s+\Z", ""), substitution(r"\s+", " ")]
    steps.append(substitution("``|''", '"'))
    if not settings.flag("keep_accents", False):
        steps.append(substitution(r"[^\x00-\x7f]", _without_accents))
    if settings.flag("do_lower_case", True):
        steps = [*LOWER, *steps, *LOWER]
    return _build(folder, settings, name, Ids(), BERT, tuple(steps))


def build_t5(folder: ModelFolder, settings: Settings, name: str) -> Built:
    """T5 and mT5: `<extra_id_0>` has the last id of all, the others come before it."""
    return _build(folder, settings, name, Ids(), T5)


def build_deberta(folder: ModelFolder, settings: Settings, name: str) -> Built:
    """DeBERTa v2 and v3."""
    settings.refuse("split_by_punct", False)
    return _build(folder, settings, name, Ids(), BERT, LOWER if settings.flag("do_lower_case", False) else ())


def build_llama(folder: ModelFolder, settings: Settings, name: str) -> Built:
    """Llama, and Gemma."""
    return _build(folder, settings, name, Ids(), with_ends(settings, bos=True, eos=False))


def _build(
    folder: ModelFolder, settings: Settings, name: str, ids: Ids, layout: Layout, before: tuple[TextStep, ...] = ()
) -> Built:
    """The tokenizer of a file.

    Args:
        folder: has it.
        settings: beside it.
        name: of the file.
        ids: of its pieces.
        layout: of the special tokens.
        before: steps before those of the file.

    """
    file, path = read_sentencepiece(folder, name), str(folder.path / name)
    vocabulary = _vocabulary(file, ids)
    if settings.kind == "T5":
        _add_extra_ids(settings, len(file.pieces))
    special, added = settings.assign(vocabulary, max(vocabulary.values()) + 1)
    unknown = special[settings.token("unk_token")]
    if unknown != vocabulary[file.pieces[file.unknown]]:
        raise BrokenModel(f"{path} and its settings name different unknown tokens; copy both from one place")
    steps = _steps(file, settings, path)
    tokenizer = piece_tokenizer(file, vocabulary, special, added)
    symbols = (p for p, t in zip(file.pieces, file.types, strict=True) if t == PieceType.USER_DEFINED)
    tokenizer.add_tokens([AddedToken(s, normalized=False) for s in symbols if s not in special and s not in added])
    add_words(tokenizer, settings, added)
    replaced = _apart(tokenizer, steps, file, vocabulary) if settings.kind == "Albert" else {}
    set_layout(tokenizer, layout, settings, special)
    size = 1 + max(*vocabulary.values(), *added.values())
    unknown = -1 if file.byte_fallback else unknown
    return Built(tokenizer, name, special, added, unknown, size, (*before, *steps), replaced)


def _apart(
    tokenizer: Tokenizer, steps: tuple[TextStep, ...], file: SentencePieceFile, vocabulary: dict[str, int]
) -> dict[int, tuple[int, ...]]:
    """For each piece that ends with a digit and a comma: what its number is made of alone, then the comma."""
    replaced = {}
    unknown = file.pieces[file.unknown]
    for piece in file.pieces:
        if len(piece) < 2 or piece[-1] != "," or not piece[-2].isdigit():
            continue
        number = change_text(steps, piece[:-1].replace(SPACE, ""))
        tokens = [t if t in vocabulary else unknown for t in tokenizer.encode(number, add_special_tokens=False).tokens]
        if not piece.startswith(SPACE) and tokens[0].startswith(SPACE):
            tokens[0] = tokens[0][1:]
        names = [token for token in (*tokens, ",") if token]
        replaced[vocabulary[piece]] = tuple(vocabulary.get(name, vocabulary[unknown]) for name in names)
    return replaced


def _without_accents(character: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))


def _steps(file: SentencePieceFile, settings: Settings, path: str) -> tuple[TextStep, ...]:
    """The changes to a text; `legacy` is a setting of T5's and Llama's tokenizers, true where they are silent."""
    if settings.kind in ("T5", "Llama") and not settings.flag("legacy", True):
        return steps_with_prefix(file, path, settings.flag("add_prefix_space", True))
    return steps_of(file, path)


def _vocabulary(file: SentencePieceFile, ids: Ids) -> dict[str, int]:
    """Piece -> id."""
    fixed = dict(ids.fixed)
    vocabulary = {piece: i + ids.offset for i, piece in enumerate(file.pieces)} | fixed
    if ids.fixed:
        vocabulary[file.pieces[file.unknown]] = fixed["<unk>"]
    for token in ids.last:
        vocabulary[token] = max(vocabulary.values()) + 1
    return vocabulary


def _add_extra_ids(settings: Settings, size: int) -> None:
    """Put `<extra_id_0>` and so on behind the pieces, unless the files have them already."""
    count = settings.entries.get("extra_ids", 100)
    if type(count) is not int or count < 0:
        raise settings.wrong("extra_ids", count, "a whole number")
    named = [token for token in settings.additional if "<extra_id_" in token]
    if named and count and len(named) != count:
        raise BrokenModel(
            f"{settings.folder} has {count} extra_ids and {len(named)} of them among additional_special_tokens; fetch "
            "the model again"
        )
    stated = {token.content for token in settings.added.values()}
    for i in range(len(named) or count):
        token = f"<extra_id_{i}>"
        if token not in stated:
            settings.added[size - 1 + (count or len(named)) - i] = Added(token, normalized=False, special=True)
