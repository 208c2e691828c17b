"""What every scorer does with its pairs: clean the texts, leave empty ones out, score equal ones once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from resift.engine.ahead import begun
from resift.text.clean import clean
from resift.types import Document, Pair, ScoreKind, Scores, Span

NO_FLAGS: frozenset[str] = frozenset()
NON_FINITE = frozenset({"non_finite"})
RESCORED = frozenset({"rescored"})  # the fast precision gave no number, f32 did

READ = 1 << 20  # characters of a text that are read at most: a quarter of a million tokens in alphabets
_SLICE = 4096  # texts that are encoded and held at once

Part = TypeVar("Part")
Ready = TypeVar("Ready")
Raw = TypeVar("Raw")
Done = TypeVar("Done")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a scorer found for one distinct pair; `span` in characters of title and text together.

    `tokens` is how many of query and document it read.
    """

    value: float | None
    span: tuple[int, int] | None = None
    flags: frozenset[str] = NO_FLAGS
    tokens: int = 0


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
    """Neighbouring positions that are encoded and held at once: few, and together of so many characters at most.

    One that is too large is a slice of its own.
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
    """Work parts off in order: while a thread computes one, the last is finished and the next is prepared.

    A single part needs no thread. After an error nothing more is begun.
    """
    if len(parts) < 2:
        for ready in map(prepare, parts):
            yield finish(ready, compute(ready))
        return
    ready = prepare(parts[0])
    coming = begun(compute, ready)
    for part in parts[1:]:
        following = prepare(part)
        raw = coming.result()
        coming = begun(compute, following)
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
        asked = clean((f"{query.instruction} {query.text}" if query.instruction else query.text)[:READ])
        if text not in documents:
            sources.append(candidate.document)
        row = (queries.setdefault(asked, len(queries)), documents.setdefault(text, len(documents)))
        place.append(rows.setdefault(row, len(rows)))
    return Distinct(list(queries), list(documents), sources, list(rows), place)


def spread(
    pairs: Sequence[Pair], work: Distinct, verdicts: Sequence[Verdict], kind: ScoreKind, source: str, tokens: int
) -> Scores:
    """Give each pair the verdict of its row; spans are moved to characters of `Document.text`."""
    empty = Verdict(None, flags=frozenset({"empty"}))
    values, spans, flags, lengths = [], [], [], []
    for (_, candidate), row in zip(pairs, work.place, strict=True):
        verdict, document = empty if row is None else verdicts[row], candidate.document
        values.append(verdict.value)
        lengths.append(verdict.tokens)
        spans.append(_within_text(verdict.span, document))
        replaced = clean(document.text) != document.text or clean(document.title) != document.title
        cut = len(document.text) + len(document.title) + bool(document.title) > READ
        named = {"replaced_characters": replaced, "truncated": cut}
        flags.append(verdict.flags | {name for name, true in named.items() if true} or NO_FLAGS)
    return Scores(tuple(values), kind, source, tuple(flags), tuple(spans), tokens, tuple(lengths))


def _within_text(span: tuple[int, int] | None, document: Document) -> Span | None:
    """The part of a span that lies in the text; None when all of it lies in the title."""
    if span is None:
        return None
    shift = len(document.title) + 1 if document.title else 0
    start, end = max(0, span[0] - shift), span[1] - shift
    return Span(start, end) if end > start else None
