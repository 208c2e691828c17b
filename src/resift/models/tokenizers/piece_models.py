"""Models of the tokenizers library from SentencePiece's pieces: unigram, and BPE whose merges are found anew."""

from __future__ import annotations

from collections.abc import Mapping

from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from resift.models.tokenizers.built import UNWRITABLE
from resift.models.tokenizers.sentencepiece_file import PieceType, SentencePieceFile
from resift.models.tokenizers.sentencepiece_text import SPACE


def piece_tokenizer(
    file: SentencePieceFile, vocabulary: Mapping[str, int], special: Mapping[str, int], added: Mapping[str, int]
) -> Tokenizer:
    """A tokenizer that makes the same pieces of a changed text as SentencePiece does.

    Pieces that no text may bring up are not in it under their names: control pieces, unused ones, special tokens.

    Args:
        file: has the pieces.
        vocabulary: piece -> id.
        special: tokens that a text can't hold.
        added: words that it can.

    """
    types = zip(file.pieces, file.scores, file.types, strict=True)
    texts = {
        piece: score
        for piece, score, kind in types
        if kind in (PieceType.NORMAL, PieceType.USER_DEFINED) and piece not in special
    }
    unknown = vocabulary[file.pieces[file.unknown]]
    size = 1 + max(*vocabulary.values(), *special.values(), *added.values())
    names = {i: UNWRITABLE + str(i) for i in range(size)}
    names |= {vocabulary[piece]: piece for piece in texts} | {i: word for word, i in added.items()}
    if file.byte_fallback:
        bytes_ = (p for p, kind in zip(file.pieces, file.types, strict=True) if kind == PieceType.BYTE)
        names |= {vocabulary[piece]: piece for piece in bytes_}
    if file.algorithm == "unigram":
        scores = [(names[i], texts.get(names[i], 0.0)) for i in range(size)]
        tokenizer = Tokenizer(models.Unigram(scores, unk_id=unknown, byte_fallback=file.byte_fallback))
    else:
        merges = _merges({p: s for p, s in texts.items() if vocabulary[p] not in added.values()}, _defined(file))
        ids = {name: i for i, name in names.items()}
        tokenizer = Tokenizer(
            models.BPE(ids, merges, unk_token=names[unknown], fuse_unk=True, byte_fallback=file.byte_fallback)
        )
    _split(tokenizer, file)
    return tokenizer


def _defined(file: SentencePieceFile) -> set[str]:
    return {piece for piece, kind in zip(file.pieces, file.types, strict=True) if kind == PieceType.USER_DEFINED}


def _merges(scores: Mapping[str, float], frozen: set[str]) -> list[tuple[str, str]]:
    """Every way to make a piece of two others; what makes a piece with a better score comes first.

    SentencePiece merges the two neighbours that make the piece with the best score. User-defined pieces it leaves
    alone.
    """
    pieces = scores.keys() - frozen
    merges = []
    for piece in sorted(pieces, key=lambda piece: -scores[piece]):
        for i in range(1, len(piece)):
            if piece[:i] in pieces and piece[i:] in pieces:
                merges.append((piece[:i], piece[i:]))
    return merges


def _split(tokenizer: Tokenizer, file: SentencePieceFile) -> None:
    """Let the model see one word at a time, which is quicker, where no piece reaches from one word into the next."""
    across = any(SPACE in piece[1:] and SPACE in piece.lstrip(SPACE) for piece in file.pieces)
    if not across:
        pattern = Regex(f"{SPACE}*[^{SPACE}]+|{SPACE}+")
        tokenizer.pre_tokenizer = pre_tokenizers.Split(pattern, behavior="isolated")
