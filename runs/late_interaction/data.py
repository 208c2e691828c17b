"""Reads collections in the layout of BEIR for the recipes, and notes what a preparation was made of."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from resift import files
from resift.types import Document


def corpus_of(folder: Path) -> dict[str, Document]:
    return {document.id: document for document in files.read_jsonl(folder / "corpus.jsonl.gz")}


def judged_examples(folder: Path) -> list[tuple[str, str]]:
    """(query, id of a relevant document) of the train split."""
    texts = {query.id: query.text for query in files.read_jsonl(folder / "queries.jsonl.gz")}
    qrels = files.read_qrels(folder / "qrels/train.tsv")
    return [(texts[query], d) for query, grades in qrels.items() for d, grade in grades.items() if grade > 0]


def title_examples(folder: Path, corpus: dict[str, Document]) -> list[tuple[str, str]]:
    """(title, id) of documents that no test query is judged on: titles as queries for their own texts."""
    test_documents = {d for grades in files.read_qrels(folder / "qrels/test.tsv").values() for d in grades}
    return [(d.title, i) for i, d in corpus.items() if d.title and i not in test_documents]


def test_queries(data: Path) -> Iterator[str]:
    """The texts of the dev and test queries of all collections, which nothing may learn from."""
    for folder in sorted(data.iterdir()):
        splits = [p for p in folder.glob("qrels/*.tsv") if p.stem in {"dev", "test"}]
        ids = {query for split in splits for query in files.read_qrels(split)}
        if ids:
            yield from (q.text for q in files.read_jsonl(folder / "queries.jsonl.gz") if q.id in ids)


def digest(data: Path) -> str:
    """SHA-256 of all queries, documents and judgements, whatever they are packed with."""
    hashed = hashlib.sha256()
    for path in sorted([*data.glob("*/*.jsonl.gz"), *data.glob("*/qrels/*.tsv")]):
        hashed.update(str(path.relative_to(data)).encode() + b"\0")
        hashed.update(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
    return hashed.hexdigest()


def is_prepared(work: Path, settings: dict) -> bool:
    """Whether a preparation with these settings is complete; the report of another one is removed."""
    report = work / "prepare.json"
    if report.exists() and json.loads(report.read_text("utf-8")).get("settings") == settings:
        return True
    report.unlink(missing_ok=True)
    return False


def write_report(work: Path, settings: dict, sources: dict) -> None:
    part = work / "prepare.part"
    part.write_text(json.dumps({"settings": settings, "sources": sources}, indent=1) + "\n", "utf-8")
    part.replace(work / "prepare.json")
