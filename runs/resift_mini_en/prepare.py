"""Step 1 of resift-mini-en: examples, hard negatives and the teacher's token vectors, all cached under one folder.

    python runs/resift_mini_en/prepare.py --data ../shared/data --work build/resift-mini-en

Reads only the collections that a shipped model may learn from. An example is dropped when its query or its positive
shares eight consecutive words with a dev or test query of *any* collection under --data, or equals one.
"""

import argparse
import gzip
import hashlib
import json
import re
from pathlib import Path

import bm25s
import numpy as np
import torch
from encoder import BASE, TokenEncoder, ragged, read_base_tokenizer

QUERY_TOKENS, DOCUMENT_TOKENS = 48, 160  # training lengths; at run time the model takes 512
CAPS = {"en_medquad_train": 5000}  # its queries follow a dozen templates; more of them teach little
SOURCES = ("en_medquad_train", "en_squad_dev_rest", "en_scifact", "en_pubmedqa")


def lines(path: Path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def qrels(path: Path) -> dict[str, dict[str, int]]:
    judged: dict[str, dict[str, int]] = {}
    for line in path.read_text().splitlines()[1:]:
        query, document, grade = line.split("\t")
        judged.setdefault(query, {})[document] = int(grade)
    return judged


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def shingles(text: str) -> set[str]:
    """Runs of eight words; the whole text where it is shorter."""
    tokens = words(text)
    return {" ".join(tokens[i : i + 8]) for i in range(max(1, len(tokens) - 7))}


def held_out_shingles(data: Path) -> set[str]:
    held: set[str] = set()
    for folder in sorted(data.iterdir()):
        splits = [p for p in folder.glob("qrels/*.tsv") if p.stem in {"dev", "test"}]
        ids = {query for split in splits for query in qrels(split)}
        if ids:
            for query in lines(folder / "queries.jsonl.gz"):
                if query["_id"] in ids:
                    held |= shingles(query["text"])
    return held


def whole(document: dict) -> str:
    return f"{document['title']} {document['text']}".strip()


def examples_of(name: str, data: Path, corpus: dict[str, dict]) -> list[tuple[str, str, str]]:
    """(query, positive id, source) of one collection's train split; titles of SciFact's abstracts are queries too."""
    folder = data / name
    texts = {q["_id"]: q["text"] for q in lines(folder / "queries.jsonl.gz")}
    found = [
        (texts[query], document, name)
        for query, judged in qrels(folder / "qrels/train.tsv").items()
        for document, grade in judged.items()
        if grade > 0
    ]
    if name == "en_scifact":
        tested = {d for judged in qrels(folder / "qrels/test.tsv").values() for d in judged}
        found += [(d["title"], i, "scifact_titles") for i, d in corpus.items() if d["title"] and i not in tested]
    if name in CAPS:
        found.sort(key=lambda e: hashlib.sha256(e[0].encode()).hexdigest())
        found = found[: CAPS[name]]
    return found


def mine(queries, positives, texts, query_vectors, document_vectors, depth=30, keep=8):
    """Per example the hardest passages of BM25 and of the pooled vectors, false negatives left out.

    Left out: the positive; passages that share > 80 % of their words with it or whose vector is within .95 of it; and
    passages that the base encoder puts above .95 of the positive's own cosine (Moreira et al., NV-Retriever, 2024).
    """
    retriever = bm25s.BM25()
    retriever.index(bm25s.tokenize(texts, stopwords="en", show_progress=False), show_progress=False)
    lexical, _ = retriever.retrieve(
        bm25s.tokenize(queries, stopwords="en", show_progress=False), k=min(depth, len(texts)), show_progress=False
    )
    bags = [set(words(t)) for t in texts]
    chosen = []
    for i, positive in enumerate(positives):
        cosines = document_vectors @ query_vectors[i]
        dense = np.argpartition(-cosines, depth)[:depth]
        dense = dense[np.argsort(-cosines[dense], kind="stable")]
        kept: list[int] = []
        for d in [d for pair in zip(lexical[i], dense, strict=False) for d in map(int, pair)]:
            union = len(bags[d] | bags[positive]) or 1
            duplicate = (
                len(bags[d] & bags[positive]) / union > 0.8 or document_vectors[d] @ document_vectors[positive] > 0.95
            )
            if d not in kept and d != positive and not duplicate and cosines[d] < 0.95 * cosines[positive]:
                kept.append(d)
            if len(kept) == keep:
                break
        chosen.append(kept)
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)

    held = held_out_shingles(args.data)
    tokenizer, teacher = read_base_tokenizer(), TokenEncoder.untrained(dims=None)
    report: dict = {"base": BASE, "held_out_shingles": len(held), "sources": {}}
    all_queries, all_documents, rows = [], [], []
    for name in SOURCES:
        corpus = {d["_id"]: d for d in lines(args.data / name / "corpus.jsonl.gz")}
        ids = list(corpus)
        position = {d: i for i, d in enumerate(ids)}
        texts = [whole(corpus[d]) for d in ids]
        examples = examples_of(name, args.data, corpus)
        clean = [e for e in examples if not (shingles(e[0]) & held) and not (shingles(texts[position[e[1]]]) & held)]
        queries = [q for q, _, _ in clean]
        positives = [position[d] for _, d, _ in clean]
        document_tokens = [e.ids for e in tokenizer.encode_batch(texts, DOCUMENT_TOKENS)]
        query_tokens = [e.ids for e in tokenizer.encode_batch(queries, QUERY_TOKENS)]
        document_vectors, document_pooled = teacher.encode_all(document_tokens)
        query_vectors, query_pooled = teacher.encode_all(query_tokens)
        negatives = mine(queries, positives, texts, query_pooled, document_pooled)
        base_q, base_d = len(all_queries), len(all_documents)
        for i, (_, _, source) in enumerate(clean):
            if source == "scifact_titles":  # the abstract without its title, else the match is trivial
                text = corpus[clean[i][1]]["text"]
                tokens = tokenizer.encode_batch([text], DOCUMENT_TOKENS)[0].ids
                vectors, pooled = teacher.encode_all([tokens])
                rows.append([base_q + i, (tokens, vectors[0], pooled[0]), [base_d + n for n in negatives[i]], source])
            else:
                rows.append([base_q + i, base_d + positives[i], [base_d + n for n in negatives[i]], source])
        all_queries += list(zip(query_tokens, query_vectors, query_pooled, strict=True))
        all_documents += list(zip(document_tokens, document_vectors, document_pooled, strict=True))
        report["sources"][name] = {
            "documents": len(texts),
            "examples": len(examples),
            "after_decontamination": len(clean),
            "negatives_per_example": round(float(np.mean([len(n) for n in negatives])), 2),
        }
        print(name, report["sources"][name], flush=True)
    for row in rows:
        if isinstance(row[1], tuple):
            all_documents.append(row[1])
            row[1] = len(all_documents) - 1
    rows = [r for r in rows if r[2]]
    frequency = np.zeros(tokenizer.size, dtype=np.int64)
    for tokens, _, _ in all_documents:
        frequency[list(set(tokens))] += 1
    n = len(all_documents)
    idf = np.log1p((n - frequency + 0.5) / (frequency + 0.5)).astype(np.float32)
    np.save(args.work / "idf.npy", idf)
    for label, items in (("queries", all_queries), ("documents", all_documents)):
        ragged(args.work / label, items)
    (args.work / "examples.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    report["examples"] = len(rows)
    (args.work / "prepare.json").write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
