"""Step 1 of resift-mini-multi: examples with hard negatives, and the base model's outputs, kept under one folder.

    python runs/resift_mini_multi/prepare.py --base build/e5 --data ../shared/data --work build/resift-mini-multi

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
from encoder import BASE, BaseTokenizer, States, read_base

from resift import files
from resift.retrieve.bm25 import BM25Retriever
from resift.types import Document, Query

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


def tested_shingles(data: Path) -> set[str]:
    tested: set[str] = set()
    for folder in sorted(data.iterdir()):
        splits = [p for p in folder.glob("qrels/*.tsv") if p.stem in {"dev", "test"}]
        ids = {query for split in splits for query in files.read_qrels(split)}
        if ids:
            for query in files.read_jsonl(folder / "queries.jsonl.gz"):
                if query.id in ids:
                    tested |= shingles(query.text)
    return tested


def examples_of(name: str, data: Path, corpus: dict[str, Document]) -> list[tuple[str, str]]:
    """(query, positive id) of one collection's train split; titles of SciFact's abstracts are queries too."""
    folder = data / name
    texts = {query.id: query.text for query in files.read_jsonl(folder / "queries.jsonl.gz")}
    judged = files.read_qrels(folder / "qrels/train.tsv")
    examples = [(texts[query], d) for query, grades in judged.items() for d, grade in grades.items() if grade > 0]
    if name == "en_scifact":
        tested = {d for grades in files.read_qrels(folder / "qrels/test.tsv").values() for d in grades}
        examples += [(d.title, i) for i, d in corpus.items() if d.title and i not in tested]
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    torch.manual_seed(0)
    tested = tested_shingles(args.data)
    tokenizer, base = BaseTokenizer(args.base), read_base(args.base)
    report: dict = {"base": BASE, "sources": {}}
    for name in SOURCES:
        folder = args.work / name
        if (folder / "examples.json").exists():  # resumes after the last finished collection
            continue
        corpus = {d.id: d for d in files.read_jsonl(args.data / name / "corpus.jsonl.gz")}
        ids = list(corpus)
        titled = name != "en_scifact"  # whose titles are queries: an abstract with its title would be too easy
        texts = [f"{d.title if titled else ''} {d.text}".strip() for d in corpus.values()]
        documents = [Document(text, i) for i, text in zip(ids, texts, strict=True)]
        position = {d: i for i, d in enumerate(ids)}
        raw = examples_of(name, args.data, corpus)
        clean = [
            (q, position[d])
            for q, d in raw
            if not (shingles(q) & tested) and not (shingles(texts[position[d]]) & tested)
        ]
        passages = States.write(folder / "documents", base, tokenizer.encode_batch(texts, "document", DOCUMENT_TOKENS))
        query_tokens = tokenizer.encode_batch([q for q, _ in clean], "query", QUERY_TOKENS)
        queries = States.write(folder / "queries", base, query_tokens)
        negatives = mine(clean, documents, queries, passages)
        rows = [(i, p, n) for i, ((_, p), n) in enumerate(zip(clean, negatives, strict=True)) if n]
        report["sources"][name] = {
            "documents": len(texts),
            "examples": len(raw),
            "clean": len(clean),
            "used": len(rows),
        }
        print(name, report["sources"][name], flush=True)
        (folder / "examples.json").write_text(json.dumps(rows))
    (args.work / "prepare.json").write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
