"""What reranking is worth on the English collections: `make bench-quality`, which calls `resift.evaluate`.

    python bench/quality.py --baseline build/maxsim-384                       # the table, on the report halves
    python bench/quality.py --baseline build/maxsim-384 --tune                # blend weights, on the tune halves
    python bench/quality.py --baseline build/maxsim-384 --sets en_cranfield --out /tmp/quality   # some of the sets

First stages: BM25; resift-static-en's vectors; resift-mini-en's pooled vectors; BM25 fused with either. Second stages
over the best 100: MaxSim of the untrained base encoder's 384-dimensional token outputs; resift-mini-en alone; blended.
Scores are kept in build/quality, so that a run that was stopped goes on. Writes quality.json and .md, or tune.json.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from beir import read
from bootstrap import stratified_interval
from machine import machine
from resift import Reranker, load
from resift.cli.progress import counter
from resift.evaluate import Dataset, Evaluation, EvaluationOptions, evaluate
from resift.evaluate.statistics import estimates
from resift.index.tensors import pooled
from resift.pipeline import Pipeline
from resift.score.pairs import whole_text
from resift.types import Document, Pair, Scores

GOAL = ["en_cranfield", "en_cisi", "en_cacm", "en_scifact", "en_wikiqa"]
SANITY = ["en_stackfaq", "xquad_en"]
DEPTH = 100
WEIGHTS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0)
MEASURES = ("nDCG@10", "RR@10", "R@100")
MINI, BASE = "resift-mini-en", "maxsim-384"
EMBEDDER = "EMBEDDER"  # in FIRST: the folder or name of resift-mini-en
FIRST = {
    "bm25": "bm25",
    "static vectors": "dense",
    "pooled vectors": f'dense(model="{EMBEDDER}")',
    "bm25 + static": "bm25 + dense",
    "bm25 + pooled": f'bm25 + dense(model="{EMBEDDER}")',
}
RERANKED = ("bm25", "bm25 + static", "bm25 + pooled")
MERGED = {tokens: f"merged by {tokens}" for tokens in (2, 3)}


class Merged:
    """The model over token vectors as `resift index --tensors --pool` keeps them."""

    def __init__(self, model: Reranker, tokens: int) -> None:
        self.encoder, self.tokens = model.scorer, tokens
        self.info = replace(model.info, name=MERGED[tokens], settings=MERGED[tokens])
        self.windows: dict[str, tuple] = {}
        self.pooled: dict[str, np.ndarray] = {}
        self.scorer = self.encoder.with_store(self)

    def windows_of(self, document: Document) -> tuple:
        return self.windows[document.id]

    def pooled_of(self, document: Document) -> np.ndarray:
        return self.pooled[document.id]

    def score(self, pairs: Sequence[Pair]) -> Scores:
        missing = {c.document.id: c.document for _, c in pairs if c.document.id not in self.windows}
        encoded = self.encoder.encode_documents([whole_text(d) for d in missing.values()])
        for id_, vectors in zip(missing, encoded, strict=True):
            self.windows[id_] = tuple(pooled(window, self.tokens) for window in vectors.windows)
            self.pooled[id_] = vectors.pooled
        return replace(self.scorer.score(pairs), source=self.info.name)


def collection(name: str, which: str) -> Dataset:
    c = read(name, which)
    return Dataset.of(c.queries, c.documents, c.qrels, name=name, split=which)


def evaluated(name: str, which: str, pipelines: Sequence[str], args) -> Evaluation:
    mini = load(args.model)
    models = {MINI: mini, BASE: load(args.baseline)} | {MERGED[t]: Reranker(Merged(mini, t)) for t in MERGED}
    options = EvaluationOptions(MEASURES, cache=Path("build/quality") / name, models=models)
    with counter() as count:
        return evaluate(collection(name, which), pipelines, options, count)


def first_stages(args) -> dict[str, str]:
    """Label -> the text of a pipeline without a model."""
    return {label: str(Pipeline.parse(text.replace(EMBEDDER, args.model))) for label, text in FIRST.items()}


def reranked(first: str, model: str = MINI, blend: str = "") -> str:
    """The text of a pipeline behind the text of a first stage."""
    return str(Pipeline.parse(f'{first} >> "{model}"@{DEPTH}' + (f" >> {blend}" if blend else "")))


def rows(args) -> dict[str, tuple[str, str]]:
    """Label -> the pipeline, and the label that it is compared with."""
    firsts = first_stages(args)
    table = {label: (text, "bm25") for label, text in firsts.items()}
    table["maxsim-384 untrained over bm25"] = (reranked(firsts["bm25"], BASE), "bm25")
    for first in RERANKED:
        table[f"resift-mini-en alone over {first}"] = (reranked(firsts[first]), first)
        table[f"blended over {first}"] = (reranked(firsts[first], blend="blend"), first)
    against, blend = "blended over bm25 + pooled", f"blend(weight={load(args.model).info.blend_weight_indexed})"
    for tokens, model in MERGED.items():
        merged = reranked(firsts["bm25 + pooled"], model, blend)  # under another name, so that its weight is not known
        table[f"{against}, tokens merged by {tokens}"] = (merged, against)
    return table


def tune(args) -> dict:
    firsts = first_stages(args)
    table = dict(firsts)
    for label, model in ((BASE, BASE), (MINI, MINI)):
        for first in RERANKED:
            table[f"{label} alone over {first}"] = reranked(firsts[first], model)
            for weight in WEIGHTS:
                table[f"{label} blended {weight} over {first}"] = reranked(
                    firsts[first], model, f"blend(weight={weight})"
                )
    figures: dict[str, list[float]] = {}
    for name in args.sets or GOAL:
        evaluation = evaluated(name, "tune", list(table.values()), args)
        for label, pipeline in table.items():
            mean = float(evaluation.run(pipeline).values["nDCG@10"].mean())
            figures.setdefault(label, []).append(round(mean, 4))
        print(name, flush=True)
    result = {label: {"mean": round(float(np.mean(v)), 4), "sets": v} for label, v in figures.items()}
    for label, row in result.items():
        print(f"{row['mean']:.4f}", label, row["sets"])
    return {"sets": args.sets or GOAL, "rows": result, "machine": machine()}


def report(args) -> dict:
    table, sets = rows(args), {}
    gains: dict[str, list[np.ndarray]] = {}
    goal = [name for name in args.sets or GOAL if name in GOAL]
    for name in args.sets or GOAL + SANITY:
        evaluation = evaluated(name, "report", [pipeline for pipeline, _ in table.values()], args)
        values = {label: evaluation.run(pipeline).values for label, (pipeline, _) in table.items()}
        changes = {
            label: values[label]["nDCG@10"] - values[against]["nDCG@10"] for label, (_, against) in table.items()
        }
        intervals = estimates(np.stack(list(changes.values()), axis=1))
        entry = {"queries": len(evaluation.queries), "documents": evaluation.data.documents, "rows": {}}
        for (label, (_, against)), gain in zip(table.items(), intervals, strict=True):
            entry["rows"][label] = {
                **{measure: round(float(v.mean()), 4) for measure, v in values[label].items()},
                "against": against,
                "gain": round(gain.value, 4),
                "interval": [round(gain.low, 4), round(gain.high, 4)],
            }
            if name in goal and label.startswith("blended"):
                gains.setdefault(label.removeprefix("blended "), []).append(changes[label])
        sets[name] = entry
        print(name, flush=True)
    mini = load(args.model)
    return {
        "what": "report halves; gain = nDCG@10 minus that of the row in `against`, 95 % BCa bootstrap interval",
        "model": mini.info.name, "blend_weight": mini.info.blend_weight,
        "blend_weight_indexed": mini.info.blend_weight_indexed,
        "window_tokens": mini.contract.window_tokens,
        "mean_gain_of_blended": {
            stage: {
                "sets": goal,
                "gain": round(float(np.mean([d.mean() for d in differences])), 4),
                "interval": [round(x, 4) for x in stratified_interval(differences)],
            }
            for stage, differences in gains.items()
        },
        "sets": sets, "machine": machine(),
    }  # fmt: skip


def markdown(result: dict) -> str:
    lines = [
        "| set | queries | row | nDCG@10 | RR@10 | R@100 | gain in nDCG@10 (95 %) |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, entry in result["sets"].items():
        for label, row in entry["rows"].items():
            low, high = row["interval"]
            gain = "" if label == "bm25" else f"{row['gain']:+.3f} ({low:+.3f} … {high:+.3f}) over {row['against']}"
            cells = f"{row['nDCG@10']:.3f} | {row['RR@10']:.3f} | {row['R@100']:.3f} | {gain}"
            lines.append(f"| {name} | {entry['queries']} | {label} | {cells} |")
    lines.append("")
    for stage, mean in result["mean_gain_of_blended"].items():
        low, high = mean["interval"]
        lines.append(
            f"Mean gain of blended {stage}, {len(mean['sets'])} sets: {mean['gain']:+.4f} ({low:+.4f} … {high:+.4f})."
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=MINI, help="another folder for resift-mini-en")
    parser.add_argument("--baseline", required=True, help="folder made by runs.resift_mini_en.export --untrained")
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--sets", nargs="*", help="some of the collections")
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    args = parser.parse_args()
    if args.sets and args.out == parser.get_default("out"):
        parser.error("--sets is a part of the table, which the docs show whole: name another folder with --out")
    args.out.mkdir(parents=True, exist_ok=True)
    result = tune(args) if args.tune else report(args)
    (args.out / ("tune.json" if args.tune else "quality.json")).write_text(json.dumps(result, indent=1) + "\n")
    if not args.tune:
        (args.out / "quality.md").write_text(markdown(result))
        print(markdown(result))


if __name__ == "__main__":
    main()
