"""Lists of passages with the default pipeline's scores, for distillation: `python bench/teacher_lists.py --work DIR`.

Reads only collections that a shipped model may learn from, and looks at no label: queries of their train splits,
titles, and sentences are asked of the first 110 words (and the next) of every document. A query that shares eight
consecutive words with a dev or test query of any collection, or equals one, is left out. DIR/lists.jsonl is what
`resift train reranker|late --loss teacher-kl` reads: the grades of the teacher's first three are 3, 2 and 1, so that
something is held out to measure.
"""

import argparse
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import resift
from beir import data_folder
from resift import files
from resift.types import Document

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from runs.late_interaction.data import corpus_of
from runs.resift_mini_en.prepare import shingles, test_shingles

SOURCES = ("en_msrd", "en_scifact", "en_pubmedqa", "en_squad_dev_rest", "en_medquad_train")
WORDS = 110  # of a passage
PIPELINE = "bm25 + dense >> resift-mini-en@30 >> blend >> top 30"
PLACES = (0, 1, 2, 4, 7, 12, 18, 27)  # of the teacher's order: near ones are hard to tell apart, far ones are easy
MADE = 3000  # queries that are made of titles and sentences, of one collection
QUERIES = 7000  # of people, of one collection: those of MSRD and MedQuAD repeat themselves


def passages(document: Document) -> Iterator[tuple[str, str]]:
    """Title and text of the first two runs of words."""
    words = document.text.split()
    for first in range(0, min(max(1, len(words) - WORDS // 2), 2 * WORDS), WORDS):
        yield document.title, " ".join(words[first : first + WORDS])


def sentences(corpus: list[Document], rng: random.Random) -> list[str]:
    """One of 5 to 20 words of each document that has one."""
    texts = []
    for document in rng.sample(corpus, min(len(corpus), MADE)):
        choices = [s.strip() for s in document.text.split(". ") if 5 <= len(s.split()) <= 20]
        texts += [rng.choice(choices)] if choices else []
    return texts


def queries_of(name: str, folder: Path, corpus: list[Document], rng: random.Random) -> list[str]:
    qrels = files.read_qrels(folder / "qrels/train.tsv")
    texts = [query.text for query in files.read_jsonl(folder / "queries.jsonl.gz") if query.id in qrels]
    rng.shuffle(texts)
    titles = [d.title for d in corpus if len(d.title.split()) >= 5] if name == "en_scifact" else []
    return list(dict.fromkeys([*texts[:QUERIES], *titles[:MADE], *sentences(corpus, rng)]))


def index_of(corpus: list[Document], folder: Path) -> resift.Index:
    folder.mkdir(exist_ok=True)
    with (folder / "passages.jsonl").open("w") as out:
        for document in corpus:
            for number, (title, text) in enumerate(passages(document)):
                out.write(json.dumps({"id": f"{document.id}-{number}", "title": title, "text": text}) + "\n")
    resift.Index.build(folder / "index", folder / "passages.jsonl", tensors=True)
    return resift.Index.open(folder / "index")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--sets", nargs="*", default=SOURCES)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    leaks, rng = test_shingles(data_folder()), random.Random(0)
    with (args.work / "lists.jsonl").open("w") as out:
        for name in args.sets:
            corpus = list(corpus_of(data_folder() / name).values())
            texts = queries_of(name, data_folder() / name, corpus, rng)
            clean = [text for text in texts if text.strip() and not shingles(text) & leaks]
            index, count = index_of(corpus, args.work / name), 0
            for query in clean:
                ranking = index.run(PIPELINE, query)
                candidates = [ranking[i] for i in PLACES if i < len(ranking)]
                if len(candidates) < 4:
                    continue
                row = {
                    "query": query,
                    "documents": [f"{c.document.title} {c.document.text}".strip() for c in candidates],
                    "teacher": [round(c.score.value, 4) for c in candidates],
                    "labels": [max(0, 3 - place) for place in range(len(candidates))],
                }
                out.write(json.dumps(row) + "\n")
                count += 1
            print(f"{name}: {len(texts)} queries, {len(clean)} of them clean, {count} lists", flush=True)


if __name__ == "__main__":
    main()
