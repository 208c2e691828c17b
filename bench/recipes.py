"""Models that their recipes made again, beside those that ship.

    python bench/recipes.py resift-mini-en=FOLDER resift-mini-multi=FOLDER

Both reorder BM25's best 100 of the report halves, 400 queries at most; the gain is of the one made again.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from beir import read
from machine import machine
from resift import load
from resift.evaluate import Dataset, EvaluationOptions, evaluate
from resift.evaluate.statistics import estimates
from resift.pipeline import Pipeline

SETS = {
    "resift-mini-en": ("en_cranfield", "en_cisi", "en_cacm", "en_scifact", "en_wikiqa", "en_stackfaq", "xquad_en"),
    "resift-mini-multi": ("vi_vicov19qa", "zh_qbqtc", "ja_jsquad", "xquad_ar", "xquad_th", "en_scifact"),
}
QUERIES = 400
MEASURE = "nDCG@10"


def golden_change(name: str, folder: str) -> float:
    """The largest difference of the scores of golden pairs."""
    ours, theirs = load(name, precision="f32"), load(folder, precision="f32")
    contract = json.loads((Path(folder) / "contract.json").read_text("utf-8"))
    pairs = [(entry["query"], entry["document"]) for entry in contract["golden"]]
    return float(np.abs(np.array(ours.score(pairs).values) - np.array(theirs.score(pairs).values)).max())


def compared(name: str, collection: str, models: dict) -> dict:
    c = read(collection, "report")
    queries = c.queries[:QUERIES]
    data = Dataset.of(queries, c.documents, {q.id: c.qrels[q.id] for q in queries}, name=collection)
    pipelines = {label: str(Pipeline.parse(f'bm25 >> "{label}"@100')) for label in models}
    evaluation = evaluate(data, list(pipelines.values()), EvaluationOptions((MEASURE,), models=models))
    values = {label: evaluation.run(text).values[MEASURE] for label, text in pipelines.items()}
    [gain] = estimates(np.stack([values["again"] - values["ships"]], axis=1))
    row = {label: round(float(value.mean()), 4) for label, value in values.items()}
    row |= {"queries": len(evaluation.queries), "gain": [round(v, 4) for v in (gain.value, gain.low, gain.high)]}
    print(name, collection, row, flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--out", type=Path, default=Path("bench/results/recipes.json"))
    args = parser.parse_args()
    results = {}
    for name, folder in (pair.split("=", 1) for pair in args.folders):
        models = {"ships": load(name), "again": load(folder)}
        sets = {collection: compared(name, collection, models) for collection in SETS[name]}
        means = {label: round(float(np.mean([row[label] for row in sets.values()])), 4) for label in models}
        results[name] = {"golden_change": round(golden_change(name, folder), 6), "means": means, "sets": sets}
    what = f"{MEASURE} over BM25's best 100, report halves; gain of the model made again, 95 % BCa bootstrap interval"
    args.out.write_text(json.dumps({"machine": machine(), "what": what, "models": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
