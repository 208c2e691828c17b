"""A stopgap without any query: titles and headings as queries, and the passages under them as what is relevant.

Titles are no questions of people, so that such figures say little of a search in use; every output says so.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from resift import atomic
from resift.errors import InputError
from resift.evaluate.document_store import DocumentStore
from resift.evaluate.read_data import JUDGED
from resift.judge.judge_folder import new_folder, write_data
from resift.types import Document, Query

_MOST_PASSAGES = 5  # under one title; more have "Introduction", "See also" and their kind
_WORDS, _LETTERS = 2, 6  # the least of a title; letters count where a script has no spaces


def synthetic_queries(
    documents: Iterable[Document], limit: int = 100, seed: int = 0
) -> tuple[list[Query], list[Document], dict[str, dict[str, int]]]:
    """Queries, documents without their titles, and grades of 1 for the documents whose title a query was.

    Args:
        documents: to search.
        limit: how many queries are drawn.
        seed: of the draw.

    Raises:
        InputError: no document has a title that could be a query.

    """
    corpus = list(documents)
    under: dict[str, list[str]] = {}
    for document in corpus:
        under.setdefault(_title(document), []).append(document.id)
    titles = sorted(title for title, ids in under.items() if len(ids) <= _MOST_PASSAGES and _says_something(title))
    if not titles:
        raise InputError(
            f"none of {len(corpus)} documents has a title of {_WORDS} words that at most {_MOST_PASSAGES} documents "
            "have; write real queries, one on each line, and judge them: resift judge FOLDER --queries FILE"
        )
    chosen = sorted(random.Random(seed).sample(titles, min(limit, len(titles))))
    queries = [Query(title, f"s{number}") for number, title in enumerate(chosen, 1)]
    qrels = {query.id: dict.fromkeys(under[query.text], 1) for query in queries}
    return queries, [_without_title(document) for document in corpus], qrels


def write_synthetic(path: Path, documents: Iterable[Document], limit: int = 100, seed: int = 0) -> tuple[int, int]:
    """Write a data set of synthetic queries to a new folder; how many queries and documents it has.

    Raises:
        InputError: see `synthetic_queries`, or the folder can't be written.

    """
    store = DocumentStore(documents)
    queries, corpus, qrels = synthetic_queries(store, limit, seed)
    lines = (f"{query} 0 {document} {grade}\n" for query, of in qrels.items() for document, grade in of.items())
    with new_folder(path) as folder:
        write_data(folder, queries, corpus, synthetic=True)
        atomic.write(folder / JUDGED, [line.encode() for line in lines])
    return len(queries), len(corpus)


def _title(document: Document) -> str:
    """The last heading: titles of passages are the headings above them, with " > " between."""
    return " ".join(document.title.rpartition(" > ")[2].split())


def _says_something(title: str) -> bool:
    words = re.findall(r"\w+", title)
    unspaced = len(words) == 1 and not title.isascii()
    return len(words) >= _WORDS or (unspaced and len(title) >= _LETTERS)


def _without_title(document: Document) -> Document:
    """The document without what became a query, at the beginning of its text too."""
    title, text = _title(document), document.text.lstrip("# \n")
    if title and text.startswith(title):
        return replace(document, title="", text=text[len(title) :].lstrip())
    return replace(document, title="")
