"""Step 1 of resift-mini-en: examples, hard negatives and the teacher's token vectors, all under one folder.

    python -m runs.resift_mini_en.prepare --data ../shared/data --work build/resift-mini-en

Reads only the collections that a shipped model may learn from. An example is dropped when its query or its positive
shares eight consecutive words with a dev or test query of *any* collection under --data, or equals one.
"""

import argparse
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

import bm25s
import numpy as np
import torch

from resift.types import Document
from runs.late_interaction import data as collections
from runs.resift_mini_en.encoder import BASE, BaseTokenizer, TokenEncoder, ragged, read_base_tokenizer

QUERY_TOKENS, DOCUMENT_TOKENS = 48, 160  # training lengths; at run time the model takes 512
CAPS = {"en_medquad_train": 5000}  # its queries follow a dozen templates; more of them teach little
SOURCES = ("en_medquad_train", "en_squad_dev_rest", "en_scifact", "en_pubmedqa")
TITLES = "scifact_titles"
SAME_WORDS, SAME_VECTOR, HARDEST = 0.8, 0.95, 0.95  # see `mine`


@dataclass
class Example:
    query: str
    document: str
    source: str


@dataclass
class Passages:
    """Texts with their token ids, token vectors (T, D) and pooled vectors (N, D) by the untrained encoder."""

    tokens: list[list[int]]
    vectors: list[np.ndarray]
    pooled: np.ndarray

    @classmethod
    def of(cls, texts: list[str], length: int, tokenizer: BaseTokenizer, teacher: TokenEncoder) -> "Passages":
        tokens = [e.ids for e in tokenizer.encode_batch(texts, length)]
        return cls(tokens, *teacher.encode_all(tokens))

    @property
    def rows(self) -> list[tuple[list[int], np.ndarray, np.ndarray]]:
        return list(zip(self.tokens, self.vectors, self.pooled, strict=True))


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def shingles(text: str) -> set[str]:
    """Runs of eight words; the whole text where it is shorter."""
    tokens = words(text)
    return {" ".join(tokens[i : i + 8]) for i in range(max(1, len(tokens) - 7))}


def test_shingles(data: Path) -> set[str]:
    """Those of the queries that nothing may learn from."""
    return {shingle for text in collections.test_queries(data) for shingle in shingles(text)}


def whole(document: Document) -> str:
    return f"{document.title} {document.text}".strip()


def examples_of(name: str, folder: Path, corpus: dict[str, Document]) -> list[Example]:
    """Of one collection's train split; titles of SciFact's abstracts are queries too."""
    examples = [Example(query, document, name) for query, document in collections.judged_examples(folder)]
    if name == "en_scifact":
        examples += [Example(title, i, TITLES) for title, i in collections.title_examples(folder, corpus)]
    if name in CAPS:
        examples.sort(key=lambda e: hashlib.sha256(e.query.encode()).hexdigest())
    return examples[: CAPS.get(name)]


def mine(queries: list[str], positives: list[int], texts: list[str], query_vectors, document_vectors, depth=30, keep=8):
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
    lists = []
    for i, positive in enumerate(positives):
        cosines = document_vectors @ query_vectors[i]
        dense = np.argpartition(-cosines, depth)[:depth]
        dense = dense[np.argsort(-cosines[dense], kind="stable")]
        negatives: list[int] = []
        for d in [d for pair in zip(lexical[i], dense, strict=False) for d in map(int, pair)]:
            union = len(bags[d] | bags[positive]) or 1
            duplicate = (
                len(bags[d] & bags[positive]) / union > SAME_WORDS
                or document_vectors[d] @ document_vectors[positive] > SAME_VECTOR
            )
            if d not in negatives and d != positive and not duplicate and cosines[d] < HARDEST * cosines[positive]:
                negatives.append(d)
            if len(negatives) == keep:
                break
        lists.append(negatives)
    return lists


class Preparation:
    """All queries, documents and examples of all collections, as training reads them."""

    def __init__(self, data: Path) -> None:
        self.data, self.test_shingles = data, test_shingles(data)
        self.tokenizer, self.teacher = read_base_tokenizer(), TokenEncoder.untrained(dims=None)
        self.queries: list[tuple] = []
        self.documents: list[tuple] = []
        self.abstracts: list[tuple] = []  # without their titles; they stand behind all documents
        self.examples: list[list] = []

    def add(self, name: str) -> dict:
        """Take a collection; gives its counts."""
        folder = self.data / name
        corpus = collections.corpus_of(folder)
        position = {d: i for i, d in enumerate(corpus)}
        texts = [whole(d) for d in corpus.values()]
        candidates = examples_of(name, folder, corpus)
        examples = [e for e in candidates if self._is_clean(e.query) and self._is_clean(texts[position[e.document]])]
        positives = [position[e.document] for e in examples]
        documents = Passages.of(texts, DOCUMENT_TOKENS, self.tokenizer, self.teacher)
        queries = Passages.of([e.query for e in examples], QUERY_TOKENS, self.tokenizer, self.teacher)
        negatives = mine([e.query for e in examples], positives, texts, queries.pooled, documents.pooled)
        first_query, first = len(self.queries), len(self.documents)
        for i, example in enumerate(examples):
            answer = first + positives[i]
            if example.source == TITLES:  # the abstract without its title, else the match is trivial
                text = corpus[example.document].text
                self.abstracts += Passages.of([text], DOCUMENT_TOKENS, self.tokenizer, self.teacher).rows
                answer = -len(self.abstracts)
            self.examples.append([first_query + i, answer, [first + n for n in negatives[i]], example.source])
        self.queries += queries.rows
        self.documents += documents.rows
        return {
            "documents": len(texts), "examples": len(candidates), "after_decontamination": len(examples),
            "negatives_per_example": round(float(np.mean([len(n) for n in negatives])), 2),
        }  # fmt: skip

    def _is_clean(self, text: str) -> bool:
        return not shingles(text) & self.test_shingles

    def write(self, work: Path) -> None:
        count = len(self.documents)
        examples = [[q, d if d >= 0 else count - d - 1, negatives, source] for q, d, negatives, source in self.examples]
        documents = [*self.documents, *self.abstracts]
        frequency = np.zeros(self.tokenizer.size, dtype=np.int64)
        for tokens, _, _ in documents:
            frequency[list(set(tokens))] += 1
        n = len(documents)
        np.save(work / "idf.npy", np.log1p((n - frequency + 0.5) / (frequency + 0.5)).astype(np.float32))
        ragged(work / "queries", self.queries)
        ragged(work / "documents", documents)
        lines = [json.dumps(example) + "\n" for example in examples if example[2]]
        (work / "examples.jsonl").write_text("".join(lines), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    settings = {"base": BASE, "tokens": [QUERY_TOKENS, DOCUMENT_TOKENS], "caps": CAPS, "sources": list(SOURCES)}
    settings["data"] = collections.digest(args.data)
    if collections.is_prepared(args.work, settings):
        print(f"{args.work} was prepared before")
        return
    torch.manual_seed(0)
    preparation, counts = Preparation(args.data), {}
    for name in SOURCES:
        counts[name] = preparation.add(name)
        print(name, counts[name], flush=True)
    preparation.write(args.work)
    collections.write_report(args.work, settings, counts)


if __name__ == "__main__":
    main()
