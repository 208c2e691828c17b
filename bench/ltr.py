"""Learning to rank on LightGBM's own example, and how long training, features and serving take.

    python bench/ltr.py              # all of it
    python bench/ltr.py --features   # the time of features and serving alone; the file's other figures stay

The example (examples/lambdarank of microsoft/LightGBM, 201 training and 50 test queries) is trained by its own
configuration and as `resift train ltr` does, with both libraries; settings are chosen on the training queries alone.
Needs the extra ltr and the data under $RESIFT_DATA/ltr_lightgbm. Writes the JSON file.
"""

import argparse
import json
import os
import time
from pathlib import Path

import lightgbm
import numpy as np

from beir import data_folder
from bootstrap import interval
from machine import machine
from resift import files
from resift.features import FeatureSet, Statistics
from resift.train.ltr.fit import fit
from resift.train.ltr.gains import ndcg_of_lists
from resift.train.ltr.letor import LetorFile, read_letor
from resift.train.ltr.rows import TrainingRows, checked_rows
from resift.train.ltr.search import choose
from resift.train.ltr.settings import TreeSettings
from resift.types import Candidate, Document, Query, Ranking, Score, ScoreKind, Signal

CUTOFFS = (1, 3, 5, 10)
# What the example's train.conf says, but for files and threads.
EXAMPLE = {
    "objective": "lambdarank", "num_leaves": 31, "learning_rate": 0.1, "bagging_freq": 1, "bagging_fraction": 0.9,
    "min_data_in_leaf": 50, "min_sum_hessian_in_leaf": 5.0, "max_bin": 255, "num_threads": 1, "verbosity": -1,
}  # fmt: skip
EXAMPLE_ROUNDS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("bench/results/ltr.json"))
    parser.add_argument("--features", action="store_true", help="only the time of features and of serving")
    args = parser.parse_args()
    output = args.output
    if args.features:
        result = json.loads(output.read_text()) | {"serving": serving()}
        output.write_text(json.dumps(result, indent=1) + "\n")
        print(result["serving"])
        return
    training, test = (read(name) for name in ("train", "test"))
    scores = {"LightGBM's example configuration": example(training, test)}
    rows = []
    for library in ("lightgbm", "xgboost"):
        began = time.perf_counter()
        trial = choose(training, TreeSettings(library))[0]
        trees = fit(training, trial.settings)
        seconds = time.perf_counter() - began
        scores[f"resift, {library}"] = trees.predict(test.matrix)
        rows.append({"name": f"resift, {library}", "settings": trial.settings.summary(), "seconds": round(seconds, 1)})
    figures = [measured(name, test, scores) for name in scores]
    result = {
        "machine": machine("lightgbm", "xgboost-cpu"),
        "measure": "gain 2^label - 1; a query whose labels are all equal is left out",
        "queries": {"training": len(training.sizes), "test": len(test.sizes)},
        "example": figures,
        "chosen": rows,
        "large": [large(library) for library in ("lightgbm", "xgboost")],
        "serving": serving(),
    }
    output.write_text(json.dumps(result, indent=1) + "\n")
    for line in (*figures, *result["large"]):
        print(line)


def read(name: str) -> TrainingRows:
    file = read_letor(data_folder() / f"ltr_lightgbm/rank.{name}.svm.gz", first=1)
    return checked_rows(widened(file, 300), file.labels, file.queries)


def widened(file: LetorFile, width: int) -> np.ndarray:
    """The matrix with the columns that no row of this file has."""
    return np.pad(file.matrix, ((0, 0), (0, width - file.matrix.shape[1])))


def example(training: TrainingRows, test: TrainingRows) -> np.ndarray:
    data = lightgbm.Dataset(training.matrix, training.labels, group=training.sizes)
    return np.asarray(lightgbm.train(EXAMPLE, data, EXAMPLE_ROUNDS).predict(test.matrix))


def measured(name: str, test: TrainingRows, scores: dict[str, np.ndarray]) -> dict:
    """nDCG at several depths, and the paired difference from the example's own configuration at 5."""
    first = next(iter(scores))
    values = {k: ndcg_of_lists(test, scores[name], k) for k in CUTOFFS}
    difference = values[5] - ndcg_of_lists(test, scores[first], 5)
    row = {"name": name} | {f"nDCG@{k}": round(float(v.mean()), 4) for k, v in values.items()}
    if name != first:
        low, high = interval(difference)
        row["nDCG@5 against the example"] = [round(v, 4) for v in (float(difference.mean()), low, high)]
    return row


def large(library: str, queries: int = 3000, candidates: int = 100, features: int = 40) -> dict:
    """Seconds for 300,000 synthetic rows by the default way of so many: one split, early stopping, all rows."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(queries * candidates, features)).astype(np.float32)
    matrix[rng.random(matrix.shape) < 0.05] = np.nan
    value = np.nan_to_num(matrix[:, :8]) @ rng.normal(size=8) + rng.normal(scale=2.0, size=len(matrix))
    labels = np.digitize(value, np.quantile(value, [0.7, 0.9, 0.97, 0.99]))
    rows = checked_rows(matrix, labels, [f"{i // candidates}" for i in range(len(matrix))])
    began, busy = time.perf_counter(), time.process_time()
    settings = choose(rows, TreeSettings(library, learning_rate=0.1), search=False)[0].settings
    fit(rows, settings)
    seconds = round(time.perf_counter() - began, 1)
    return {"library": library, "rows": len(matrix), "features": features, "rounds": settings.rounds,
            "threads": settings.threads, "seconds": seconds,
            "cpu_seconds": round(time.process_time() - busy, 1)}  # fmt: skip


def serving(queries: int = 30, candidates: int = 200, features: int = 40) -> dict:
    """Milliseconds of a processor for the features and trees of a query's candidates, films of 100 words each.

    Processor time, since the machine is shared; on a core of its own a query takes no longer.

    New texts come after 2,000 others, whose words are known then as they are to a server that has run for a while;
    remembered ones were candidates of the query before.
    """
    folder = data_folder() / "en_msrd"
    documents = list(files.read_jsonl(folder / "corpus.jsonl.gz"))
    texts = [record.text for record in files.read_jsonl(folder / "queries.jsonl.gz")][:queries]
    statistics = Statistics.of(documents)
    chosen = FeatureSet(FeatureSet.default(["bm25", "resift-mini-en"]).features[-features:])
    shown = [ranking(texts[i], documents[2000 + i * candidates :][:candidates]) for i in range(queries)]
    rows = chosen.matrix(ranking(texts[0], documents[:2000]), statistics).values
    labels = np.random.default_rng(0).integers(0, 2, len(rows))
    trees = fit(checked_rows(rows, labels, [f"{i // 20}" for i in range(len(rows))], chosen.names), TreeSettings())

    def scored(one: Ranking) -> float:
        began = time.process_time()
        trees.predict(chosen.matrix(one, statistics).values)
        return (time.process_time() - began) * 1e3

    new = [(scored(one), scored(one)) for one in shown]
    figures = {"queries": queries, "candidates": candidates, "features": len(chosen.names)}
    for name, values in zip(("new", "remembered"), zip(*new, strict=True), strict=True):
        figures[f"{name}, ms"] = {"least": round(min(values), 2), "median": round(float(np.median(values)), 2)}
    pairs = sum(first for first, _ in new) / (queries * candidates)
    return figures | {"300,000 new pairs, seconds": round(pairs * 300, 1), "load": os.getloadavg()[0]}


def ranking(query: str, documents: list[Document]) -> Ranking:
    """Candidates with the scores of two sources."""
    scores = (("bm25", ScoreKind.BM25, 20.0), ("resift-mini-en", ScoreKind.MAXSIM, 0.9))
    return Ranking(Query(query), tuple(
        Candidate(d, signals=tuple(Signal(s, i, Score(most / i, kind, s)) for s, kind, most in scores))
        for i, d in enumerate(documents, 1)
    ))  # fmt: skip


if __name__ == "__main__":
    main()
