"""Reads the measured collections (BEIR folders under $RESIFT_DATA) and splits their queries into two halves."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from resift import files
from resift.types import Document, Query


def data_folder() -> Path:
    folder = Path(os.environ.get("RESIFT_DATA", "../shared/data"))
    if not folder.is_dir():
        raise SystemExit(f"no collections at {folder}; set RESIFT_DATA to a folder of BEIR collections")
    return folder


@dataclass(frozen=True)
class Collection:
    name: str
    documents: list[Document]
    queries: list[Query]
    qrels: dict[str, dict[str, int]]


def half(query_id: str) -> str:
    """ "tune" or "report", by a hash of the query's id: the same for everyone, for ever."""
    return "tune" if hashlib.sha256(query_id.encode()).digest()[0] % 2 == 0 else "report"


def read(name: str, which: str) -> Collection:
    """One half ("tune" or "report") of a collection's dev and test queries that have a relevant document."""
    folder = data_folder() / name
    qrels: dict[str, dict[str, int]] = {}
    for split in ("dev", "test"):
        if (folder / f"qrels/{split}.tsv").exists():
            qrels |= files.read_qrels(folder / f"qrels/{split}.tsv")
    answered = {q for q, judged in qrels.items() if max(judged.values()) > 0 and half(q) == which}
    queries = [Query(d.text, d.id) for d in files.read_jsonl(folder / "queries.jsonl.gz") if d.id in answered]
    documents = list(files.read_jsonl(folder / "corpus.jsonl.gz"))
    return Collection(name, documents, queries, {q.id: qrels[q.id] for q in queries})
