"""The folder of a judging: documents, queries, the pool, and one line for each key that was pressed.

`judgements.jsonl` is the truth, and is only ever appended to; `qrels.trec` follows from it.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from resift import atomic, files
from resift.errors import InputError
from resift.evaluate.document_store import DocumentStore
from resift.evaluate.read_data import JUDGED, POOL
from resift.files.formats import blamed_on
from resift.index.passages import NUMBER
from resift.judge.pool import Pool
from resift.types import Document, Query

SCHEMA = 1
_LOG, _CORPUS, _QUERIES = "judgements.jsonl", "corpus.jsonl", "queries.jsonl"


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person said of a document; a grade of None: it was skipped."""

    query: str
    document: str
    grade: int | None


class JudgeFolder:
    """A data set that is being judged.

    Attributes:
        path: of the folder.
        queries: by id.
        documents: all that are searched.
        pool: what is to be judged.
        top_grade: 1 for yes and no, 3 for grades from 0 to 3.
        decisions: in the order in which they were made, without those that were taken back.

    """

    def __init__(self, path: Path) -> None:
        """Open a folder that `create` made.

        Raises:
            InputError: it is none, or it is damaged.

        """
        note = _read_note(path)
        self.path, self.pool, self.top_grade = path, _pool(note), int(note["top_grade"])
        self.documents = DocumentStore(files.read_file(path / _CORPUS))
        self.queries = {d.id: Query(d.text, d.id) for d in files.read_file(path / _QUERIES)}
        self.decisions = _decisions(path / _LOG)
        self._note = note

    @staticmethod
    def exists(path: Path) -> bool:
        """Whether a judging was begun in a folder."""
        return (path / POOL).exists()

    @classmethod
    def create(
        cls, path: Path, queries: Sequence[Query], documents: DocumentStore, pool: Pool, top_grade: int = 1
    ) -> JudgeFolder:
        """Begin a judging in a new folder.

        Raises:
            InputError: the folder holds other files or can't be written, or an id has white space (see `escaped_id`).

        """
        odd = [id_ for id_ in (*(query.id for query in queries), *documents.ids) if len(id_.split()) != 1]
        if odd:
            raise InputError(f"the id {odd[0]!r} has white space, by which TREC files separate columns; see escaped_id")
        note = _note(pool, top_grade) | {"documents": len(documents), "fingerprint": documents.texts_fingerprint}
        with new_folder(path) as folder:
            write_data(folder, queries, documents)
            (folder / _LOG).touch()
            _write_note(folder, note)
        return cls(path)

    def extend(self, pool: Pool) -> None:
        """Pool more pipelines over the same queries; what was judged stays judged."""
        self.pool = self.pool.joined(pool)
        self._note |= _note(self.pool, self.top_grade)
        _write_note(self.path, self._note)

    @property
    def qrels(self) -> dict[str, dict[str, int]]:
        """Grades by query and document, without what was skipped."""
        grades: dict[str, dict[str, int]] = {}
        for decision in self.decisions:
            if decision.grade is not None:
                grades.setdefault(decision.query, {})[decision.document] = decision.grade
        return grades

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep other processes from judging in this folder, and bring qrels.trec up to the log.

        Raises:
            InputError: another process does, or the folder can't be written.

        """
        import fcntl

        with ExitStack() as stack:
            with atomic.blaming(self.path):
                log = stack.enter_context((self.path / _LOG).open("ab"))
            try:
                fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(f"somebody else judges in {self.path}; wait, or give another folder") from error
            self.decisions = _decisions(self.path / _LOG, mend=True)
            self._write_qrels()
            yield

    def decide(self, decision: Decision) -> None:
        """Keep a decision: it is on disk when this returns."""
        grade = {"skipped": True} if decision.grade is None else {"grade": decision.grade}
        self._append(_LOG, json.dumps({"query": decision.query, "document": decision.document} | grade | _now()))
        self.decisions.append(decision)
        if decision.grade is not None:
            self._append(JUDGED, _qrels_line(decision))

    def take_back(self) -> Decision | None:
        """Take the last decision back, also one of an earlier session; None where there is none."""
        if not self.decisions:
            return None
        self._append(_LOG, json.dumps({"undo": True} | _now()))
        decision = self.decisions.pop()
        self._write_qrels()
        return decision

    def _append(self, name: str, line: str) -> None:
        path = self.path / name
        with atomic.blaming(path):
            file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(file, f"{line}\n".encode("utf-8", "backslashreplace"))  # one call: a line is there or not
                os.fsync(file)
            finally:
                os.close(file)

    def _write_qrels(self) -> None:
        lines = (_qrels_line(d) + "\n" for d in self.decisions if d.grade is not None)
        atomic.write(self.path / JUDGED, [line.encode() for line in lines])


def refuse_taken(path: Path) -> None:
    """Refuse a folder that holds other files or can't be made, before anything is searched for it.

    Raises:
        InputError: it does, or it can't.

    """
    atomic.check_folder(path)
    if path.exists() and any(path.iterdir()):
        raise InputError(f"{path} holds other files; name a new folder")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder that takes its name when the block ends without an error.

    Raises:
        InputError: there is a folder of this name that is not empty, or it can't be made.

    """
    refuse_taken(path)
    with atomic.blaming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.parent / f".{path.name[:100]}.{secrets.token_hex(8)}.part"
        beside.mkdir()
    try:
        yield beside
        with atomic.blaming(path):
            beside.replace(path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def write_data(folder: Path, queries: Iterable[Query], documents: Iterable[Document], synthetic: bool = False) -> None:
    """Write documents and queries as a BEIR folder has them; synthetic queries say so on each line."""
    mark = {"synthetic": True} if synthetic else {}
    with atomic.blaming(folder):
        with (folder / _CORPUS).open("w", encoding="utf-8", errors="backslashreplace") as file:
            for d in documents:
                record = {"_id": d.id, "title": d.title, "text": d.text, "metadata": dict(d.metadata)}
                file.write(json.dumps(record, ensure_ascii=False, default=str) + "\n")
        with (folder / _QUERIES).open("w", encoding="utf-8", errors="backslashreplace") as file:
            for query in queries:
                file.write(json.dumps({"_id": query.id, "text": query.text} | mark, ensure_ascii=False) + "\n")


def passages(documents: Sequence[Document]) -> Iterator[Document]:
    """The passages of an index as documents, without their numbers in it."""
    for document in documents:
        yield replace(document, metadata={k: v for k, v in document.metadata.items() if k != NUMBER})


def escaped(documents: Iterable[Document]) -> Iterator[Document]:
    """Documents whose ids have no white space; see `escaped_id`."""
    for document in documents:
        yield replace(document, id=escaped_id(document.id))


def escaped_id(id_: str) -> str:
    """An id for a TREC file, which separates columns by white space: each such character becomes %20, %09, …"""
    return "".join(f"%{ord(c):02X}" if c.isspace() else c for c in id_) or "%00"


def _note(pool: Pool, top_grade: int) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "kind": "pool",
        "resift": version("resift"),
        "pipelines": list(pool.pipelines),
        "depth": pool.depth,
        "seed": pool.seed,
        "top_grade": top_grade,
        "models": {name: dict(facts) for name, facts in pool.models.items()},
        "rankings": {p: {query: list(ids) for query, ids in r.items()} for p, r in pool.rankings.items()},
    }


def _write_note(folder: Path, note: Mapping[str, Any]) -> None:
    atomic.write(folder / POOL, [json.dumps(note, ensure_ascii=False).encode("utf-8", "backslashreplace"), b"\n"])


def _read_note(path: Path) -> dict[str, Any]:
    with blamed_on(path / POOL):
        content = (path / POOL).read_bytes()
    try:
        note: dict[str, Any] = json.loads(content)
        if note["schema"] != SCHEMA:
            raise InputError(f"{path} has schema {note['schema']!r}, and this Resift reads {SCHEMA}; judge anew")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path / POOL} is damaged ({error}); judge in a new folder") from error
    return note


def _pool(note: Mapping[str, Any]) -> Pool:
    rankings = {p: {query: tuple(ids) for query, ids in r.items()} for p, r in note["rankings"].items()}
    return Pool(rankings, note["depth"], note["seed"], note["models"])


def _decisions(log: Path, mend: bool = False) -> list[Decision]:
    """The decisions of a log; a last line that was cut short was never made, and with `mend` goes."""
    with blamed_on(log):
        content = log.read_bytes()
    complete = content[: content.rfind(b"\n") + 1]
    if mend and len(complete) < len(content):
        os.truncate(log, len(complete))
    decisions: list[Decision] = []
    for number, line in enumerate(complete.decode("utf-8").splitlines(), 1):
        try:
            value = json.loads(line)
            if value.get("undo"):
                decisions.pop()
            else:
                decisions.append(Decision(value["query"], value["document"], value.get("grade")))
        except (ValueError, KeyError, IndexError, AttributeError) as error:
            raise InputError(f"{log}:{number} is damaged ({error!r}); remove that line") from error
    return decisions


def _qrels_line(decision: Decision) -> str:
    return f"{decision.query} 0 {decision.document} {decision.grade}"


def _now() -> dict[str, str]:
    return {"at": datetime.now(UTC).isoformat(timespec="seconds")}
