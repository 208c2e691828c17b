"""Work that every scorer shares: texts are cleaned, empty ones are left out, and equal pairs are scored once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from resift.engine.background import run_in_background
from resift.text.clean import clean
from resift.types import Document, Flag, Judgement, ModelInfo, Pair, Scores, Span

NO_FLAGS: frozenset[Flag] = frozenset()
NON_FINITE = frozenset({Flag.NON_FINITE})
RESCORED = frozenset({Flag.RESCORED})

READ = 1 << 20  # the most characters of a text that a model reads: a quarter of a million tokens in alphabets
_SLICE = 4096  # texts that are encoded and held at once

Part = TypeVar("Part")
Ready = TypeVar("Ready")
Raw = TypeVar("Raw")
Done = TypeVar("Done")


@dataclass(frozen=True, slots=True)
class Distinct:
    """Distinct queries, distinct non-empty documents, and the distinct pairs (query, document) of them.

    `sources` holds the first document of each text; `place[i]` is the row of pair i, None where its document is empty.
    """

    queries: list[str]
    documents: list[str]
    sources: list[Document]
    rows: list[tuple[int, int]]
    place: list[int | None]


def whole_text(document: Document) -> str:
    """Title and text as a model reads them: the first READ characters, cut before anything is done with them."""
    return clean((f"{document.title} {document.text[:READ]}" if document.title else document.text)[:READ])


def slices(sizes: Sequence[int], characters: int) -> Iterator[range]:
    """Cut positions into slices of neighbours that are encoded and held at once.

    A slice has 4,096 texts and `characters` characters at most; a text that is longer is a slice by itself.
    """
    start = held = 0
    for i, size in enumerate(sizes):
        if i > start and (i - start == _SLICE or held + size > characters):
            yield range(start, i)
            start, held = i, 0
        held += size
    if sizes:
        yield range(start, len(sizes))


def overlapping(
    parts: Sequence[Part],
    prepare: Callable[[Part], Ready],
    compute: Callable[[Ready], Raw],
    finish: Callable[[Ready, Raw], Done],
) -> Iterator[Done]:
    """Finish parts in order: while a thread computes one, this thread finishes the last and prepares the next.

    A single part needs no thread. After an error no further part is computed.
    """
    if len(parts) < 2:
        for ready in map(prepare, parts):
            yield finish(ready, compute(ready))
        return
    ready = prepare(parts[0])
    coming = run_in_background(compute, ready)
    for part in parts[1:]:
        following = prepare(part)
        raw = coming.result()
        coming = run_in_background(compute, following)
        done = finish(ready, raw)
        del raw  # not held while the next is prepared
        ready = following
        yield done
    yield finish(ready, coming.result())


def distinct(pairs: Sequence[Pair]) -> Distinct:
    """Find the distinct texts and pairs."""
    queries: dict[str, int] = {}
    documents: dict[str, int] = {}
    sources: list[Document] = []
    rows: dict[tuple[int, int], int] = {}
    place: list[int | None] = []
    for query, candidate in pairs:
        text = whole_text(candidate.document)
        if not text.strip():
            place.append(None)
            continue
        question = clean((f"{query.instruction} {query.text}" if query.instruction else query.text)[:READ])
        if text not in documents:
            sources.append(candidate.document)
        row = (queries.setdefault(question, len(queries)), documents.setdefault(text, len(documents)))
        place.append(rows.setdefault(row, len(rows)))
    return Distinct(list(queries), list(documents), sources, list(rows), place)


def spread(
    pairs: Sequence[Pair], work: Distinct, judgements: Sequence[Judgement], info: ModelInfo, tokens: int
) -> Scores:
    """Give each pair the judgement of its row; spans, of title and text together, become those of `Document.text`."""
    empty = Judgement(None, flags=frozenset({Flag.EMPTY}))
    spread_out = (
        _of_document(empty if row is None else judgements[row], candidate.document)
        for (_, candidate), row in zip(pairs, work.place, strict=True)
    )
    return Scores(tuple(spread_out), info.kind, info.name, tokens)


def _of_document(judgement: Judgement, document: Document) -> Judgement:
    """The judgement of a text as that of a document with this text."""
    cut = len(document.text) + len(document.title) + bool(document.title) > READ
    flags = {
        Flag.REPLACED_CHARACTERS: clean(document.text) != document.text or clean(document.title) != document.title,
        Flag.TRUNCATED: cut,
    }
    flagged = judgement.flags | {flag for flag, true in flags.items() if true} or NO_FLAGS
    return replace(judgement, span=_within_text(judgement.span, document), flags=flagged)


def _within_text(span: Span | None, document: Document) -> Span | None:
    """The part of a span that lies in the text; None when all of it lies in the title."""
    if span is None:
        return None
    shift = len(document.title) + 1 if document.title else 0
    start, end = max(0, span.start - shift), span.end - shift
    return Span(start, end) if end > start else None
