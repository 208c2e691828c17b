"""What reranking is worth on the English collections: `make bench-quality`.

    python bench/quality.py --baseline build/maxsim-384        # the table, on the report halves
    python bench/quality.py --baseline build/maxsim-384 --tune # blend weight and window, on the tune halves

Rows: BM25; MaxSim over the untrained base encoder's 384-dimensional token outputs; resift-mini-en alone; blended.
All rows reorder the same BM25 candidates (depth 100). Writes bench/results/quality.json and .md.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from beir import Collection, read
from bootstrap import interval, per_query, stratified_interval
from machine import machine
from resift.protocols import Budget
from resift.rerank.blend import Blend
from resift.rerank.pointwise import Pointwise
from resift.retrieve.bm25 import BM25Retriever
from resift.score.load import load_scorer
from resift.types import Ranking

GOAL = ["en_cranfield", "en_cisi", "en_cacm", "en_scifact", "en_wikiqa"]
SANITY = ["en_stackfaq", "xquad_en"]
DEPTH = 100
WEIGHTS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
WINDOWS = (128, 192, 256, 512)


def windowed(folder: str, window: int | None):
    scorer = load_scorer(folder)
    if window:
        scorer.contract = replace(scorer.contract, window_tokens=window)
    return scorer


def reranked(scorer, first: list[Ranking]) -> list[Ranking]:
    """All queries in one call, so that each document is encoded once."""
    return Pointwise(scorer).run(first, Budget(depth=DEPTH))


def ndcg(rankings, collection: Collection) -> np.ndarray:
    return per_query(rankings, collection.qrels)["nDCG@10"]


def tune(args) -> dict:
    sets = [read(name, "tune") for name in GOAL]
    firsts = [BM25Retriever(c.documents).retrieve(c.queries, DEPTH) for c in sets]
    found = {"bm25": [round(float(ndcg(f, c).mean()), 4) for f, c in zip(firsts, sets, strict=True)]}
    for label, folder, windows in (("baseline", args.baseline, (512,)), ("model", args.model, args.windows)):
        for window in windows:
            scorer = windowed(folder, window)
            scored = [reranked(scorer, f) for f in firsts]
            row = {"alone": [round(float(ndcg(r, c).mean()), 4) for r, c in zip(scored, sets, strict=True)]}
            for weight in WEIGHTS:
                blended = [Blend(scorer.name, weight).run(r) for r in scored]
                row[f"blend {weight}"] = [
                    round(float(ndcg(r, c).mean()), 4) for r, c in zip(blended, sets, strict=True)
                ]
            for key, values in row.items():
                row[key] = {"mean": round(float(np.mean(values)), 4), "sets": values}
            found[f"{label}, window {window}"] = row
            print(label, window, json.dumps(row, indent=1), flush=True)
    return found


def report(args) -> dict:
    base, mini = windowed(args.baseline, None), windowed(args.model, None)
    rows = {}
    for name in GOAL + SANITY:
        c = read(name, "report")
        first = BM25Retriever(c.documents).retrieve(c.queries, DEPTH)
        alone = reranked(mini, first)
        values = {
            "bm25": per_query(first, c.qrels),
            "maxsim-384 untrained": per_query(reranked(base, first), c.qrels),
            "resift-mini-en alone": per_query(alone, c.qrels),
            "blended": per_query(Blend(mini.name, mini.contract.blend_weight).run(alone), c.qrels),
        }
        rows[name] = {"queries": len(c.queries), "documents": len(c.documents), "rows": {}}
        for label, measured in values.items():
            difference = measured["nDCG@10"] - values["bm25"]["nDCG@10"]
            rows[name]["rows"][label] = {
                **{m: round(float(v.mean()), 4) for m, v in measured.items()},
                "gain": round(float(difference.mean()), 4),
                "interval": [round(x, 4) for x in interval(difference)],
            }
        rows[name]["differences"] = (values["blended"]["nDCG@10"] - values["bm25"]["nDCG@10"]).tolist()
        print(name, json.dumps(rows[name]["rows"]), flush=True)
    differences = [np.array(rows[name].pop("differences")) for name in GOAL + SANITY][: len(GOAL)]
    mean = float(np.mean([d.mean() for d in differences]))
    low, high = stratified_interval(differences)
    return {
        "what": "report halves; BM25 top 100 reordered; gain = nDCG@10 minus BM25's, 95 % paired bootstrap interval",
        "model": mini.name, "blend_weight": mini.contract.blend_weight, "window_tokens": mini.contract.window_tokens,
        "mean_gain_of_blended": {"sets": GOAL, "gain": round(mean, 4), "interval": [round(low, 4), round(high, 4)]},
        "sets": rows, "machine": machine(),
    }  # fmt: skip


def markdown(result: dict) -> str:
    lines = [
        "| set | queries | row | nDCG@10 | RR@10 | R@100 | gain in nDCG@10 (95 %) |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, entry in result["sets"].items():
        for label, row in entry["rows"].items():
            low, high = row["interval"]
            gain = "" if label == "bm25" else f"{row['gain']:+.3f} ({low:+.3f} … {high:+.3f})"
            cells = f"{row['nDCG@10']:.3f} | {row['RR@10']:.3f} | {row['R@100']:.3f} | {gain}"
            lines.append(f"| {name} | {entry['queries']} | {label} | {cells} |")
    mean = result["mean_gain_of_blended"]
    low, high = mean["interval"]
    lines += [
        "",
        f"Mean gain of blended over {', '.join(mean['sets'])}: {mean['gain']:+.4f} ({low:+.4f} … {high:+.4f}).",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resift-mini-en")
    parser.add_argument("--baseline", required=True, help="folder made by runs/resift_mini_en/export.py --untrained")
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--windows", type=int, nargs="+", default=list(WINDOWS))
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    result = tune(args) if args.tune else report(args)
    (args.out / ("tune.json" if args.tune else "quality.json")).write_text(json.dumps(result, indent=1) + "\n")
    if not args.tune:
        (args.out / "quality.md").write_text(markdown(result))
        print(markdown(result))


if __name__ == "__main__":
    main()
