"""Models of the tokenizers library from SentencePiece's pieces: unigram, and BPE whose merges are found anew."""

from __future__ import annotations

from collections.abc import Mapping

from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from resift.models.tokenizers.built import UNWRITABLE
from resift.models.tokenizers.sentencepiece_file import PieceType, SentencePieceFile
from resift.models.tokenizers.sentencepiece_text import SPACE

_TEXT = {PieceType.NORMAL, PieceType.USER_DEFINED}


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
    size = 1 + max(*vocabulary.values(), *special.values(), *added.values())
    names, scores = [f"{UNWRITABLE}{i}" for i in range(size)], [0.0] * size
    kinds = _TEXT | {PieceType.BYTE} if file.byte_fallback else _TEXT
    for piece, score, kind in zip(file.pieces, file.scores, file.types, strict=True):
        if kind in kinds and piece not in special:
            i = vocabulary[piece]
            names[i], scores[i] = piece, score
    for word, i in added.items():
        names[i], scores[i] = word, 0.0
    unknown = vocabulary[file.pieces[file.unknown]]
    model: models.Unigram | models.BPE
    if file.algorithm == "unigram":
        model = models.Unigram(list(zip(names, scores, strict=True)), unk_id=unknown, byte_fallback=file.byte_fallback)
    else:
        normal = {p for p, t in zip(file.pieces, file.types, strict=True) if t == PieceType.NORMAL}
        merges = _merges({name: score for name, score in zip(names, scores, strict=True) if name in normal})
        ids = {name: i for i, name in enumerate(names)}
        model = models.BPE(ids, merges, unk_token=names[unknown], fuse_unk=True, byte_fallback=file.byte_fallback)
    tokenizer = Tokenizer(model)
    _split(tokenizer, file)
    return tokenizer


def _merges(pieces: Mapping[str, float]) -> list[tuple[str, str]]:
    """Every way to make a piece of two others; what makes a piece with a better score comes first.

    SentencePiece merges the two neighbours that make the piece with the best score.
    """
    merges = []
    for piece in sorted(pieces, key=pieces.__getitem__, reverse=True):
        for i in range(1, len(piece)):
            if (first := piece[:i]) in pieces and (second := piece[i:]) in pieces:
                merges.append((first, second))
    return merges


def _split(tokenizer: Tokenizer, file: SentencePieceFile) -> None:
    """Let the model see one word at a time, which is quicker, where no piece reaches from one word into the next."""
    if not any(SPACE in piece[1:] and SPACE in piece.lstrip(SPACE) for piece in file.pieces):
        pattern = Regex(f"{SPACE}*[^{SPACE}]+|{SPACE}+")
        tokenizer.pre_tokenizer = pre_tokenizers.Split(pattern, behavior="isolated")
