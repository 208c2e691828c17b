"""Step 1 of resift-cross-en: queries with candidates, each with the score of the default pipeline as its teacher.

    python runs/resift_cross_en/prepare.py --data ../shared/data --work build/resift-cross-en

Reads only collections that a shipped model may learn from, and looks at no label: queries of their train splits,
titles, and sentences are asked of the first 110 words (and the next) of every document. A query that shares eight
consecutive words with a dev or test query of any collection under --data, or equals one, is left out.
"""

import argparse
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import resift

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "resift_mini_en"))
from prepare import held_out_shingles, lines, qrels, shingles  # noqa: E402

SOURCES = ("en_msrd", "en_medquad_train", "en_squad_dev_rest", "en_scifact", "en_pubmedqa")
WORDS = 110  # of a passage
PIPELINE = "bm25 + dense >> resift-mini-en@30 >> blend >> top 30"
PLACES = (0, 1, 2, 4, 7, 12, 18, 27)  # of the teacher's order: near ones are hard to tell apart, far ones are easy
MADE = 3000  # queries that are made of titles and sentences, of one collection
QUERIES = 7000  # of people, of one collection: those of MSRD and MedQuAD repeat themselves


def passages(document: dict) -> Iterator[tuple[str, str]]:
    """Title and text of the first two runs of words."""
    words = document["text"].split()
    for first in range(0, min(max(1, len(words) - WORDS // 2), 2 * WORDS), WORDS):
        yield document["title"], " ".join(words[first : first + WORDS])


def made(corpus: list[dict], rng: random.Random) -> list[str]:
    """Titles of abstracts, and sentences of 5 to 20 words."""
    texts = []
    for document in rng.sample(corpus, min(len(corpus), MADE)):
        sentences = [s.strip() for s in document["text"].split(". ") if 5 <= len(s.split()) <= 20]
        texts += [rng.choice(sentences)] if sentences else []
    return texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    held, rng = held_out_shingles(args.data), random.Random(0)
    with (args.work / "lists.jsonl").open("w") as out:
        for name in SOURCES:
            corpus = list(lines(args.data / name / "corpus.jsonl.gz"))
            trained = qrels(args.data / name / "qrels/train.tsv")
            texts = [q["text"] for q in lines(args.data / name / "queries.jsonl.gz") if q["_id"] in trained]
            rng.shuffle(texts)
            titles = [d["title"] for d in corpus if len(d["title"].split()) >= 5] if name == "en_scifact" else []
            queries = dict.fromkeys([*texts[:QUERIES], *titles[:MADE], *made(corpus, rng)])
            clean = [text for text in queries if text.strip() and not shingles(text) & held]
            documents = [
                {"id": f"{d['_id']}-{n}", "title": title, "text": text}
                for d in corpus
                for n, (title, text) in enumerate(passages(d))
            ]
            folder = args.work / name
            folder.mkdir(exist_ok=True)
            (folder / "passages.jsonl").write_text("".join(json.dumps(d) + "\n" for d in documents))
            resift.Index.build(folder / "index", folder / "passages.jsonl", tensors=True)
            index = resift.Index.open(folder / "index")
            count = 0
            for query in clean:
                ranking = index.run(PIPELINE, query)
                chosen = [ranking[i] for i in PLACES if i < len(ranking)]
                if len(chosen) < 4:
                    continue
                rows = [{"text": c.document.text, "title": c.document.title, "score": c.score.value} for c in chosen]
                out.write(json.dumps({"query": query, "documents": rows}) + "\n")
                count += 1
            print(f"{name}: {len(documents)} passages, {len(queries)} queries, {len(clean)} clean, {count}", flush=True)


if __name__ == "__main__":
    main()
