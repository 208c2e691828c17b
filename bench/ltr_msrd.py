"""Learning to rank on film searches: words, a neural model and metadata, on queries that no tree saw.

    python bench/ltr_msrd.py                  # make bench-ltr

MSRD's judged candidates, ordered by trees that learned from 520 training queries: BM25, dense vectors,
resift-mini-en, words, and votes, popularity, rating, year and the first genre of a film. Measured on the report half
of the development queries beside every single feature, and without the metadata, or without the neural signals.
Needs the extra ltr and the data under $RESIFT_DATA/en_msrd. Writes bench/results/ltr-msrd.json.
"""

import argparse
import csv
import gzip
import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from beir import data_folder, half
from bootstrap import interval
from machine import machine
from resift import files
from resift.evaluate import Dataset
from resift.evaluate.document_store import DocumentStore
from resift.rerank.ranking_function import Floats
from resift.train.ltr.dataset_rows import DataOptions, RankedData, groups_of, rows_of
from resift.train.ltr.fit import fit
from resift.train.ltr.gains import ndcg_of_lists
from resift.train.ltr.rows import TrainingRows
from resift.train.ltr.search import choose
from resift.train.ltr.settings import TreeSettings
from resift.types import Document, Query

PIPELINE = "bm25 + dense >> resift-mini-en"
# All that vectors or the model say, alone or together with BM25.
NEURAL = ("signal dense:resift-static-en", "signal resift-mini-en", "signal weighted_rrf", "lists", "best_rank",
          "reciprocal_ranks", "rank_spread", "overlap")  # fmt: skip
FIELDS = ("votes", "popularity", "rating", "year", "genre")
K, SEED = 10, 0
DRAWN = 1500  # training queries, the first of which are taken: more of them keep what fewer scored
_GENRES = re.compile(r" Genres: ([^,.]+)")


def films() -> Iterator[Document]:
    """The films with the numbers of the file beside them, and their first genre."""
    folder = data_folder() / "en_msrd"
    with gzip.open(folder / "movies_numeric.tsv.gz", "rt") as file:
        numbers = {row["_id"]: row for row in csv.DictReader(file, delimiter="\t")}
    for film in files.read_jsonl(folder / "corpus.jsonl.gz"):
        row = numbers.get(film.id, {})
        metadata = {name: float(row[name]) for name in FIELDS if row.get(name)}
        genre = _GENRES.search(film.text)
        yield replace(film, metadata=metadata | ({"genre": genre[1]} if genre else {}))


def dataset(documents: DocumentStore, split: str, wanted: Sequence[str] | None = None) -> Dataset:
    """The queries of a split whose ids are wanted; None: those of the report half."""
    folder = data_folder() / "en_msrd"
    qrels = files.read_qrels(folder / f"qrels/{split}.tsv")
    ids = {q for q in qrels if half(q) == "report"} if wanted is None else set(wanted)
    queries = [Query(d.text, d.id) for d in files.read_jsonl(folder / "queries.jsonl.gz") if d.id in ids]
    return Dataset.of(queries, documents, {q.id: qrels[q.id] for q in queries}, name="en_msrd", split=split)


def drawn() -> list[str]:
    ids = sorted(files.read_qrels(data_folder() / "en_msrd/qrels/train.tsv"))
    return [ids[i] for i in np.random.default_rng(SEED).permutation(len(ids))[:DRAWN]]


def learned(training: RankedData, test: TrainingRows, left_out: Sequence[str] = ()) -> tuple[Floats, TreeSettings]:
    """nDCG@10 of each test query by trees without some groups of features; settings by the training queries."""
    assert set(left_out) <= {name for name, _ in groups_of(training.features)}
    columns = [c for name, group in groups_of(training.features) if name in left_out for c in group]
    rows, others = training.rows.without(columns), test.without(columns)
    directions = dict(zip(training.features.names, training.features.directions, strict=True))
    settings = TreeSettings(monotone={name: directions[name] for name in rows.features if directions[name]})
    chosen = choose(rows, settings)[0].settings
    return ndcg_of_lists(others, fit(rows, chosen).predict(others.matrix), K), chosen


def singles(training: RankedData, test: TrainingRows) -> dict[str, Floats]:
    """nDCG@10 of each test query by each feature alone, both ways where no way is given; missing values last."""
    values = {}
    for i, (name, direction) in enumerate(zip(test.features, training.features.directions, strict=True)):
        for sign in (direction,) if direction else (1, -1):
            column = sign * test.matrix[:, i].astype(np.float64)
            label = name if sign > 0 else f"{name}, smallest first"
            values[label] = ndcg_of_lists(test, np.where(np.isnan(column), -np.inf, column), K)
    return dict(sorted(values.items(), key=lambda item: -item[1].mean()))


def compared(values: Floats, base: Floats) -> list[float]:
    """The mean difference, and its 95 % interval, paired by query."""
    difference = values - base
    low, high = interval(difference)
    return [round(v, 4) for v in (float(difference.mean()), low, high)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=520, help="of the training")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "resift-ltr-msrd")
    parser.add_argument("--output", type=Path, default=Path("bench/results/ltr-msrd.json"))
    args = parser.parse_args()
    args.cache.mkdir(exist_ok=True)
    documents = DocumentStore(films())
    options = DataOptions(PIPELINE, depth=200, judged_only=True, cache=args.cache)
    data = dataset(documents, "train", drawn())
    training = rows_of(replace(data, queries=data.queries[: args.queries]), options)
    test = rows_of(dataset(documents, "dev"), replace(options, features=training.features)).rows
    alone = singles(training, test)
    best = next(iter(alone))
    neural = alone["score(resift-mini-en)"]
    without = {"learned": (), "learned without metadata": tuple(f"field {name}" for name in FIELDS),
               "learned without neural signals": NEURAL}  # fmt: skip
    figures = []
    for name, groups in without.items():
        values, settings = learned(training, test, groups)
        if name == "learned":
            whole = values
        figures.append({
            "name": name, "nDCG@10": round(float(values.mean()), 4), "against the best single feature":
            compared(values, alone[best]), "against resift-mini-en": compared(values, neural),
            "against learned": compared(values, whole), "settings": settings.summary(),
        })  # fmt: skip
        print({k: v for k, v in figures[-1].items() if k != "settings"}, flush=True)
    result = {
        "machine": machine("lightgbm"),
        "pipeline": PIPELINE,
        "measure": f"nDCG@{K}, gain 2^label - 1, judged candidates",
        "queries": {"training": len(training.rows.sizes), "report": len(test.sizes)},
        "rows": {"training": len(training.rows.labels), "report": len(test.labels)},
        "features": len(training.features.names),
        "best single feature": best,
        "single": {name: round(float(v.mean()), 4) for name, v in list(alone.items())[:12]}
        | {name: round(float(alone[name].mean()), 4) for name in ("score(bm25)", "score(resift-mini-en)")},
        "learned": figures,
        "issues": [*training.rows.issues, *test.issues],
    }
    args.output.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["single"], indent=1), result["issues"])


if __name__ == "__main__":
    main()
