"""How SentencePiece changes a text before it makes pieces of it (normalizer.cc), as steps."""

from __future__ import annotations

from resift.errors import BrokenModel
from resift.models.tokenizers.charsmap import Charsmap, charsmap_step
from resift.models.tokenizers.sentencepiece_file import PieceType, SentencePieceFile
from resift.models.tokenizers.text_steps import Characters, TextStep, substitution

SPACE = "▁"


def steps_of(file: SentencePieceFile, path: str) -> tuple[TextStep, ...]:
    """The steps that the file asks for.

    Raises:
        BrokenModel: its table of characters is damaged; `path` is for the message.

    """
    before = (substitution(r"\A +", ""), substitution("  +", " ")) if file.collapse else ()
    prefix = (substitution(r"\A(?=.)", SPACE if file.escape else " "),) if file.prefix else ()
    return (*characters_of(file, path), *before, *prefix, *_last(file))


def steps_with_prefix(file: SentencePieceFile, path: str, add_prefix: bool) -> tuple[TextStep, ...]:
    """The steps of T5's and Llama's tokenizers with `legacy` false.

    They put the space before a text themselves, so that those at its beginning stay. A "▁" of the text is a space.
    """
    spaces = Characters(lambda text: text.replace(SPACE, " "))
    prefix = (substitution(r"\A(?=.)", SPACE),) if add_prefix else ()
    between = (substitution("  +", " "),) if file.collapse else ()
    return (spaces, *prefix, *characters_of(file, path), *between, *_last(file))


def characters_of(file: SentencePieceFile, path: str) -> tuple[TextStep, ...]:
    """The step that the file's table of characters makes; none without one."""
    if not file.charsmap:
        return ()
    try:
        table = Charsmap(file.charsmap)
    except (ValueError, IndexError) as error:
        raise BrokenModel(f"{path} has a damaged table of characters ({error}); fetch the model again") from error
    whole = [p for p, kind in zip(file.pieces, file.types, strict=True) if kind == PieceType.USER_DEFINED]
    step = charsmap_step(table, whole)
    return (step,) if step else ()


def _last(file: SentencePieceFile) -> tuple[TextStep, ...]:
    escape = (Characters(lambda text: text.replace(" ", SPACE)),) if file.escape else ()
    behind = (substitution(rf"{SPACE if file.escape else ' '}+\Z", ""),) if file.collapse else ()
    return (*escape, *behind)
