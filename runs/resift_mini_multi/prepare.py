"""Step 1 of resift-mini-multi: examples with hard negatives, and the base model's outputs, kept under one folder.

    python -m runs.resift_mini_multi.prepare --base build/e5 --data ../shared/data --work build/resift-mini-multi

Reads only the collections that a shipped model may learn from. An example is dropped when its query or its positive
shares eight consecutive words (twelve characters of Chinese or Japanese) with a dev or test query of *any* collection
under --data.
"""

import argparse
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import torch

from resift.retrieve.bm25 import BM25Retriever
from resift.types import Document, Query
from runs.late_interaction import data as collections
from runs.resift_mini_multi.encoder import BASE, BaseTokenizer, States, read_base

QUERY_TOKENS, DOCUMENT_TOKENS = 48, 160  # training lengths; at run time the model takes 512
SOURCES = {  # examples at most; the queries of en_medquad_train follow a dozen templates, and more of them teach little
    "ja_jaquad": 5000,
    "zh_cmrc2018": 1000,
    "zh_drcd": 3600,
    "zh_csl_title": 1000,
    "en_medquad_train": 2500,
    "en_squad_dev_rest": 4000,
    "en_scifact": 3500,
    "en_pubmedqa": 600,
}


def shingles(text: str) -> set[str]:
    words = re.findall(r"[a-zà-ỹ0-9]+", text.lower())
    characters = re.sub(r"[^\u3040-\u30ff\u3400-\u9fff]", "", text)
    return {" ".join(words[i : i + 8]) for i in range(len(words) - 7)} | {
        characters[i : i + 12] for i in range(len(characters) - 11)
    }


def test_shingles(data: Path) -> set[str]:
    """Those of the queries that nothing may learn from."""
    return {shingle for text in collections.test_queries(data) for shingle in shingles(text)}


def examples_of(name: str, folder: Path, corpus: dict[str, Document]) -> list[tuple[str, str]]:
    """(query, positive id) of one collection's train split; titles of SciFact's abstracts are queries too."""
    examples = collections.judged_examples(folder)
    if name == "en_scifact":
        examples += collections.title_examples(folder, corpus)
    examples.sort(key=lambda e: hashlib.sha256((e[0] + e[1]).encode()).hexdigest())
    return examples[: SOURCES[name]]


def mine(examples, documents: list[Document], queries: States, passages: States, depth=30, keep=8) -> list[list[int]]:
    """Per (query, position of the positive) the hardest passages of BM25 and of the pooled vectors.

    Left out are the positive, passages whose vector is within 0.97 of its vector, and passages that the base encoder
    puts above the positive's own cosine less 0.01 (Moreira et al., NV-Retriever, 2024), for e5's cosines lie close
    together.
    """
    position = {d.id: i for i, d in enumerate(documents)}
    lexical = BM25Retriever(documents).retrieve([Query(q) for q, _ in examples], depth)
    negatives = []
    for i, (_, positive) in enumerate(examples):
        cosines = passages.pooled @ queries.pooled[i]
        dense = np.argsort(-cosines, kind="stable")[:depth].tolist()
        words = [position[c.document.id] for c in lexical[i].candidates]
        rows: list[int] = []
        for d in [d for pair in zip(words + dense, dense + words, strict=True) for d in pair]:
            near = passages.pooled[d] @ passages.pooled[positive] > 0.97
            if d != positive and d not in rows and not near and cosines[d] < cosines[positive] - 0.01:
                rows.append(d)
            if len(rows) == keep:
                break
        negatives.append(rows)
    return negatives


class Preparation:
    """Writes the examples of one collection after the other, and the base model's outputs for their texts."""

    def __init__(self, base: Path, data: Path, work: Path) -> None:
        self.data, self.work, self.test_shingles = data, work, test_shingles(data)
        self.tokenizer, self.base = BaseTokenizer(base), read_base(base)

    def write(self, name: str) -> dict:
        """Write a collection; gives its counts."""
        folder = self.work / name
        corpus = collections.corpus_of(self.data / name)
        has_titles = name != "en_scifact"  # whose titles are queries: an abstract with its title would be too easy
        texts = [f"{d.title if has_titles else ''} {d.text}".strip() for d in corpus.values()]
        position = {d: i for i, d in enumerate(corpus)}
        candidates = [(q, position[d]) for q, d in examples_of(name, self.data / name, corpus)]
        examples = [(q, d) for q, d in candidates if self._is_clean(q) and self._is_clean(texts[d])]
        documents = [Document(text, i) for i, text in zip(corpus, texts, strict=True)]
        passages = States.write(
            folder / "documents", self.base, self.tokenizer.encode_batch(texts, "document", DOCUMENT_TOKENS)
        )
        query_tokens = self.tokenizer.encode_batch([q for q, _ in examples], "query", QUERY_TOKENS)
        queries = States.write(folder / "queries", self.base, query_tokens)
        negatives = mine(examples, documents, queries, passages)
        rows = [(i, d, n) for i, ((_, d), n) in enumerate(zip(examples, negatives, strict=True)) if n]
        (folder / "examples.json").write_text(json.dumps(rows))
        return {
            "documents": len(texts), "examples": len(candidates), "after_decontamination": len(examples),
            "with_negatives": len(rows),
        }  # fmt: skip

    def _is_clean(self, text: str) -> bool:
        return not shingles(text) & self.test_shingles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    settings = {"base": BASE, "tokens": [QUERY_TOKENS, DOCUMENT_TOKENS], "sources": SOURCES}
    settings["data"] = collections.digest(args.data)
    if collections.is_prepared(args.work, settings):
        print(f"{args.work} was prepared before")
        return
    torch.manual_seed(0)
    preparation, counts = Preparation(args.base, args.data, args.work), {}
    for name in SOURCES:
        counts[name] = preparation.write(name)
        print(name, counts[name], flush=True)
    collections.write_report(args.work, settings, counts)


if __name__ == "__main__":
    main()
