"""Compares tokenizer.json with the vocabulary files beside it, which are then not read."""

from __future__ import annotations

from collections.abc import Iterator

from resift.errors import ResiftError
from resift.inspection.agreement import probes
from resift.inspection.scorer_checks import Finding
from resift.models.folder import ModelFolder
from resift.models.tokenizer import TOKENIZER, Tokens
from resift.models.tokenizers.formats import build_tokenizer
from resift.models.tokenizers.names import VOCABULARY_FILES


def unread_vocabulary(folder: ModelFolder) -> Iterator[Finding]:
    """Whether both give the same ids to the probes; nothing where a folder has only one of them.

    tokenizer.json counts, as for Transformers. Where the other files are of another vocabulary, one of the two is not
    the model's, and only its owner can know which.
    """
    unread = [name for name in VOCABULARY_FILES if folder.has(name)]
    if not unread or not folder.has(TOKENIZER):
        return
    names = " and ".join(unread)
    texts = [text for questions in probes().values() for p in questions for text in (p.query, p.relevant, p.irrelevant)]
    try:
        built = build_tokenizer(folder)
    except ResiftError as error:
        yield Finding("vocabulary files", "note", f"{names}, beside {TOKENIZER}, can't be compared: {error}")
        return
    ids, ids_of_files = Tokens(folder).ids(texts), Tokens(folder, built=built).ids(texts)
    differing = sum(a != b for a, b in zip(ids, ids_of_files, strict=True))
    if differing:
        message = f"{differing} of {len(texts)} texts have other tokens by {names} than by {TOKENIZER}, which is read"
        yield Finding("vocabulary files", "warn", f"{message}: delete what is not the model's")
    else:
        yield Finding("vocabulary files", "ok", f"{names} and {TOKENIZER}, which is read, give the same tokens")
