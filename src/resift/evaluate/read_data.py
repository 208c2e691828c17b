"""Reads what people have: a BEIR folder, judged lines of JSONL, a table of pairs, TREC files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from resift import files
from resift.errors import InputError
from resift.evaluate.checks import Qrels
from resift.evaluate.dataset import Dataset
from resift.evaluate.document_store import DocumentStore
from resift.evaluate.judged_pairs import JudgedPairs
from resift.files.formats import blamed_on
from resift.types import Query

JUDGED, POOL = "qrels.trec", "pool.json"  # in a folder that `resift judge` wrote
_SPLITS = ("test", "dev")  # in this order, where none is named
_SUFFIXES = (".jsonl", ".jsonl.gz", ".tsv", ".csv")
_SHAPES = "a BEIR folder (corpus.jsonl, queries.jsonl, qrels/), or a JSONL, CSV or TSV file of judged pairs"


@dataclass(frozen=True, slots=True)
class DataFiles:
    """Where data lie; what is None is taken from the folder `data`.

    Attributes:
        data: a BEIR folder, or a file of queries with judged documents.
        queries: id and text, in any format with records.
        documents: id, text and title.
        qrels: TREC or BEIR judgements.
        run: a TREC run, whose candidates are reranked.
        split: of the folder's judgements.

    """

    data: Path | None = None
    queries: Path | None = None
    documents: Path | None = None
    qrels: Path | None = None
    run: Path | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class DataParts:
    """What files hold, before anything is checked or left out; the fields are the arguments of `Dataset.of`."""

    queries: tuple[Query, ...]
    documents: DocumentStore
    qrels: Qrels
    run: dict[str, list[files.RunLine]] | None
    name: str
    split: str = ""
    synthetic: bool = False
    pooled: bool = False


def read_dataset(source: DataFiles) -> Dataset:
    """Read and check data; documents are streamed to a temporary folder.

    Raises:
        InputError: a file is missing, unreadable or malformed, or nothing in it can be evaluated; see `Dataset.of`.

    """
    parts = read_parts(source)
    return Dataset.of(
        parts.queries, parts.documents, parts.qrels, parts.run, parts.name, parts.split, parts.synthetic, parts.pooled
    )


def read_parts(source: DataFiles) -> DataParts:
    """Read data as they are; documents are streamed to a temporary folder.

    Raises:
        InputError: a file is missing, unreadable or malformed, or two documents have one id.

    """
    run = None
    if source.run is not None:
        run = files.read_run(files.read_lines(str(source.run)), str(source.run))
    if source.data is not None and not source.data.is_dir():
        return _of_pairs(source.data, source, run)
    paths, split = _paths(source)
    qrels = _qrels(paths.qrels)
    records = list(files.read_file(paths.queries))
    queries = tuple(Query(record.text or record.title, record.id) for record in records)
    synthetic = any(record.metadata.get("synthetic") is True for record in records)
    name = str((source.data or paths.qrels).resolve().name)
    pooled = (paths.qrels.parent / POOL).exists()
    return DataParts(
        queries, DocumentStore(files.read_file(paths.documents)), qrels, run, name, split, synthetic, pooled
    )


@dataclass(frozen=True, slots=True)
class _Paths:
    queries: Path
    documents: Path
    qrels: Path


def _paths(source: DataFiles) -> tuple[_Paths, str]:
    """The three files of a data set, and the split of the judgements."""
    folder, split = source.data, ""
    qrels = source.qrels
    if folder is not None and qrels is None:
        qrels, split = _split(folder, source.split)
    elif source.split is not None:
        raise InputError("a split belongs to a BEIR folder's own judgements; leave --split or --qrels out")
    queries = source.queries or file_of(folder, "queries")
    documents = source.documents or file_of(folder, "corpus")
    missing = [
        option
        for option, path in (("--qrels", qrels), ("--queries", queries), ("--documents", documents))
        if path is None
    ]
    if queries is None or documents is None or qrels is None:
        raise InputError(f"{' and '.join(missing)} missing: name them, or give {_SHAPES}")
    return _Paths(queries, documents, qrels), split


def file_of(folder: Path | None, stem: str) -> Path | None:
    """The file of queries or documents in a BEIR folder; None without a folder.

    Args:
        folder: with the file.
        stem: "queries" or "corpus".

    Raises:
        InputError: the folder has no such file.

    """
    if folder is None:
        return None
    path = next((p for suffix in _SUFFIXES if (p := folder / f"{stem}{suffix}").exists()), None)
    if path is None:
        raise InputError(f"{folder} has no {stem}.jsonl or {stem}.jsonl.gz; give {_SHAPES}")
    return path


def _split(folder: Path, name: str | None) -> tuple[Path, str]:
    """The file of a split, and its name; "test", "dev" or the only one where none is named."""
    paths = {p.name.split(".")[0]: p for p in sorted((folder / "qrels").glob("*.tsv*"))}
    if not paths and name is None and (folder / JUDGED).exists():
        return folder / JUDGED, ""
    if not paths:
        raise InputError(f"{folder} has no qrels/SPLIT.tsv; name the judgements with --qrels, or give {_SHAPES}")
    chosen = name or next((s for s in _SPLITS if s in paths), next(iter(paths)))
    if chosen not in paths:
        raise InputError(f"{folder} has no split {chosen!r}; it has {', '.join(paths)}")
    return paths[chosen], chosen


def _qrels(path: Path) -> dict[str, dict[str, int]]:
    with blamed_on(path):
        qrels = files.read_qrels(path)
    if not qrels:
        raise InputError(f"{path} has no judgement; a line is 'query document grade' or 'query 0 document grade'")
    return qrels


def _of_pairs(path: Path, source: DataFiles, run: dict[str, list[files.RunLine]] | None) -> DataParts:
    """The parts of one file with queries, documents and grades."""
    others = {
        "--queries": source.queries, "--documents": source.documents, "--qrels": source.qrels, "--split": source.split
    }  # fmt: skip
    extra = [option for option, value in others.items() if value is not None]
    if extra:
        raise InputError(f"{path} has queries, documents and grades itself; leave {', '.join(extra)} out")
    pairs = JudgedPairs(path)
    store = DocumentStore(pairs.documents())  # queries and grades are complete when the last document is stored
    return DataParts(tuple(pairs.queries.values()), store, pairs.qrels, run, path.name)
