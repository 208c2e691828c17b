"""Every file format that Resift reads or writes, and nothing else: JSONL, CSV, TREC, BEIR, text folders <-> types."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TextIO

from resift.errors import InputError
from resift.text import markup
from resift.text.clean import clean
from resift.text.passages import Line, passages
from resift.types import Document, Query, Ranking

ID_FIELDS = ("id", "_id", "docid", "doc_id")
TITLE_FIELDS = ("title", "heading", "question", "name")
TEXT_FIELDS = ("text", "contents", "content", "body", "passage", "answer", "description")

_LONGEST_LINE = 1 << 16  # characters read at once, so that a file of one line is streamed too
_MARKUP: dict[str, Callable[[Iterable[Line]], Iterator[Line]]] = {
    ".txt": markup.plain,
    ".md": markup.markdown,
    ".markdown": markup.markdown,
    ".rst": markup.restructured,
    ".html": markup.html,
    ".htm": markup.html,
}
SUFFIXES = frozenset({*_MARKUP, ".jsonl", ".csv"})


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file of a folder that was left out, and why."""

    path: str
    reason: str


def read_paths(
    paths: Sequence[str | os.PathLike[str]], on_skip: Callable[[Skipped], None] = lambda s: None
) -> Iterator[Document]:
    """Stream the passages of files and folders, folders in sorted order.

    A passage's metadata holds path, line (from 1) and start/end (character offsets in the file). A file that is named
    must be readable; one that lies in a folder is passed to `on_skip` when it is not, or is of no known type. Hidden
    files and folders are left out.

    Raises:
        InputError: a path that is missing, unreadable, binary or malformed.

    """
    for path in map(Path, paths):
        if path.is_dir():
            yield from _read_folder(path, on_skip)
        elif path.exists():
            yield from read_file(path)
        else:
            raise InputError(f"no such file or folder: {path}")


def _read_folder(folder: Path, on_skip: Callable[[Skipped], None]) -> Iterator[Document]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(n for n in names if not n.startswith(".")):
            path = Path(root, name)
            if path.suffix.lower() not in SUFFIXES:
                on_skip(Skipped(str(path), f"type {path.suffix or 'without suffix'} is not read"))
                continue
            try:
                yield from read_file(path)
            except InputError as error:
                on_skip(Skipped(str(path), str(error)))


def read_file(path: Path) -> Iterator[Document]:
    """Stream one file's passages; its suffix says how it is read, any other suffix than those known is plain text.

    Raises:
        InputError: unreadable, binary, not UTF-8 or UTF-16, or malformed at a line that the message names.

    """
    suffix = path.suffix.lower()
    try:
        with open_text(path) as file:
            if suffix == ".jsonl":
                yield from _jsonl_documents(file, str(path))
            elif suffix == ".csv":
                yield from _csv_documents(file, str(path))
            else:
                yield from _text_documents(_lines(file), _MARKUP.get(suffix, markup.plain), str(path))
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}); convert it: iconv -t utf-8") from error


def open_text(path: Path) -> TextIO:
    """Open a text file (UTF-8, or UTF-16 with a byte-order mark), refusing binary ones; line ends stay as they are."""
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path, "rb"), encoding="utf-8")
    with path.open("rb") as file:
        head = file.read(8192)
    encoding = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    if encoding != "utf-16" and b"\x00" in head:
        raise InputError(f"{path} is a binary file; give text, Markdown, reStructuredText, HTML, JSONL or CSV")
    return path.open(encoding=encoding, newline="")


def _lines(file: TextIO) -> Iterator[Line]:
    number, at, begun = 1, 0, True
    while text := file.readline(_LONGEST_LINE):
        yield Line(text, number, at)
        at += len(text)
        begun = text.endswith("\n")
        number += begun


def _text_documents(
    lines: Iterator[Line], read: Callable[[Iterable[Line]], Iterator[Line]], path: str
) -> Iterator[Document]:
    for p in passages(read(lines)):
        place = {"path": path, "line": p.line, "start": p.start, "end": p.end}
        yield Document(f"{path}:{p.start}-{p.end}", clean(p.text), clean(p.title), place)


def document(value: object, default_id: str, metadata: Mapping[str, Any] | None = None) -> Document:
    """A string or a mapping as a Document.

    A mapping's id, title and text are looked for under ID_FIELDS, TITLE_FIELDS and TEXT_FIELDS; without a text field,
    all its strings together are the text. The other entries become metadata.

    Raises:
        InputError: neither a string nor a mapping, or a mapping without any string.

    """
    if isinstance(value, Document):
        return value
    if isinstance(value, str):
        return Document(default_id, value, metadata=metadata or {})
    if not isinstance(value, Mapping):
        raise InputError(
            f"document {default_id} is of type {type(value).__name__}; give a string or an object with text"
        )
    found = {
        role: next((f for f in fields if isinstance(value.get(f), (str, int)) and not isinstance(value[f], bool)), None)
        for role, fields in (("id", ID_FIELDS), ("title", TITLE_FIELDS), ("text", TEXT_FIELDS))
    }
    rest = {k: v for k, v in value.items() if k not in found.values()}
    title = str(value[found["title"]]) if found["title"] else ""
    if found["text"]:
        text = str(value[found["text"]])
    else:
        strings = [str(v) for k, v in rest.items() if isinstance(v, str)]
        if not strings and not title:
            raise InputError(f"document {default_id} has no text; expected one of the fields {', '.join(TEXT_FIELDS)}")
        text, rest = "\n".join(strings), {}
    id_ = str(value[found["id"]]) if found["id"] else default_id
    return Document(id_, text, title, {**rest, **(metadata or {})})


def _jsonl_documents(file: TextIO, path: str) -> Iterator[Document]:
    at = 0
    for number, line in enumerate(file, 1):
        if line.strip():
            value = _json(line, f"{path}:{number}")
            place = {"path": path, "line": number, "start": at, "end": at + len(line.rstrip("\r\n"))}
            yield document(value, f"{path}:{number}", place)
        at += len(line)


def _json(line: str, where: str) -> Any:  # noqa: ANN401 - whatever the line holds
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: not a JSON value ({error.msg}); JSONL has one object per line") from error


def _csv_documents(file: TextIO, path: str) -> Iterator[Document]:
    reader = csv.DictReader(file)
    try:
        for row in reader:
            cells = {k: v for k, v in row.items() if isinstance(k, str) and isinstance(v, str)}
            if any(v.strip() for v in cells.values()):
                yield document(cells, f"{path}:{reader.line_num}", {"path": path, "line": reader.line_num})
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: {error}") from error


# --- rankings and judgements -----------------------------------------------------------------------------------------


def read_requests(file: Iterable[str], where: str) -> Iterator[tuple[Query, list[Document]]]:
    """Read JSONL rerank requests: {"query": text or {"id", "text"}, "documents": [text or {"id", "text", "title"}]}.

    Raises:
        InputError: a line of another shape; the message names it.

    """
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        value = _json(line, f"{where}:{number}")
        query = value.get("query") if isinstance(value, dict) else None
        documents = value.get("documents") if isinstance(value, dict) else None
        if isinstance(query, dict) and isinstance(query.get("text"), str):
            asked = Query(query["text"], str(query.get("id", number)))
        elif isinstance(query, str):
            asked = Query(query, str(value.get("id", number)))
        else:
            raise InputError(f'{where}:{number}: expected an object with "query" and "documents"')
        if not isinstance(documents, list):
            raise InputError(f'{where}:{number}: "documents" must be a list of strings or objects')
        yield asked, [document(d, str(i)) for i, d in enumerate(documents)]


@dataclass(frozen=True, slots=True)
class RunLine:
    """One line of a TREC run."""

    query: str
    document: str
    rank: int
    score: float


def read_run(file: Iterable[str], where: str) -> dict[str, list[RunLine]]:
    """Read a TREC run (`query Q0 document rank score tag`) into lines per query, by rank.

    Raises:
        InputError: a line that has not six columns, or no numbers where rank and score belong.

    """
    run: dict[str, list[RunLine]] = {}
    for number, line in enumerate(file, 1):
        columns = line.split()
        if not columns:
            continue
        try:
            query, _, doc, rank, score, _ = columns
            run.setdefault(query, []).append(RunLine(query, doc, int(rank), float(score)))
        except ValueError as error:
            raise InputError(f"{where}:{number}: a TREC run line is 'query Q0 document rank score tag'") from error
    return {query: sorted(lines, key=lambda r: r.rank) for query, lines in run.items()}


def write_run(rankings: Iterable[Ranking], tag: str, file: IO[str]) -> None:
    """Write a TREC run; its score column is the number of candidates below, since it has to fall with the rank."""
    for ranking in rankings:
        for c in ranking:
            file.write(f"{ranking.query.id} Q0 {c.document.id} {c.rank} {len(ranking) - c.rank} {tag}\n")


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Read judgements, BEIR (`query-id corpus-id score`, with a header) or TREC (`query 0 document grade`)."""
    qrels: dict[str, dict[str, int]] = {}
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            columns = line.split()
            if not columns or (number == 1 and not re.fullmatch(r"-?\d+", columns[-1])):
                continue
            try:
                query, doc, grade = (columns[0], columns[-2], int(columns[-1]))
            except (ValueError, IndexError) as error:
                raise InputError(f"{path}:{number}: expected query, document and a whole-number grade") from error
            qrels.setdefault(query, {})[doc] = grade
    return qrels


def read_jsonl(path: Path) -> Iterator[Document]:
    """Stream a JSONL file (.gz too) as documents under their own ids."""
    with open_text(path) as file:
        yield from _jsonl_documents(file, str(path))
