"""What reranking is worth on the English collections: `make bench-quality`.

    python bench/quality.py --baseline build/maxsim-384          # the table, on the report halves
    python bench/quality.py --baseline build/maxsim-384 --tune   # blend weights, on the tune halves

First stages: BM25; resift-static-en's vectors; resift-mini-en's pooled vectors; BM25 fused with either. Second stages
over the best 100: MaxSim of the untrained base encoder's 384-dimensional token outputs; resift-mini-en alone; blended.
Every passage of a collection is encoded once per model and kept, as an index with token vectors keeps it.
Writes bench/results/quality.json and .md, or tune.json.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from beir import Collection, read
from bootstrap import interval, per_query, stratified_interval
from machine import machine
from resift.engine.maxsim import TokenVectors
from resift.index.first_stage import fusion
from resift.index.tensors import pooled as pool_neighbours
from resift.models.recognition import read_contract
from resift.rerank.blend import Blend
from resift.rerank.drive import drive
from resift.rerank.pointwise import Pointwise
from resift.retrieve.bm25 import BM25Retriever
from resift.retrieve.dense import DenseRetriever
from resift.retrieve.fuse import Hybrid
from resift.score.late_interaction import LateInteraction
from resift.score.load import find_model, load_embedder, load_scorer
from resift.score.pairs import whole_text
from resift.types import Document, Ranking

GOAL = ["en_cranfield", "en_cisi", "en_cacm", "en_scifact", "en_wikiqa"]
SANITY = ["en_stackfaq", "xquad_en"]
DEPTH = 100
WEIGHTS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0)


@dataclass
class Encoded:
    """A collection's passages as one model sees them: a token store, and pooled vectors."""

    scorer: LateInteraction
    windows: Mapping[str, tuple[TokenVectors, ...]]
    pooled: np.ndarray

    def windows_of(self, document: Document) -> tuple[TokenVectors, ...]:
        return self.windows[document.id]


def encoded(scorer: LateInteraction, c: Collection) -> Encoded:
    windows, pooled = {}, np.zeros((len(c.documents), scorer.dims), np.float32)
    for at in range(0, len(c.documents), 2048):
        part = c.documents[at : at + 2048]
        for i, (d, v) in enumerate(zip(part, scorer.encode_documents([whole_text(d) for d in part]), strict=True), at):
            windows[d.id] = v.windows
            if len(v.pooled):
                pooled[i] = v.pooled
    return Encoded(scorer, windows, pooled)


def merged(store: Encoded, tokens: int) -> Encoded:
    """The store that `resift index --tensors --pool` would keep."""
    pooled_windows = {
        id_: tuple(pool_neighbours(window, tokens) for window in windows) for id_, windows in store.windows.items()
    }
    return Encoded(store.scorer, pooled_windows, store.pooled)


def reranked(store: Encoded, rankings: list[Ranking]) -> list[Ranking]:
    return drive(Pointwise(store.scorer.with_store(store), DEPTH), rankings)


def first_stages(c: Collection, store: Encoded) -> dict[str, list[Ranking]]:
    bm25 = BM25Retriever(c.documents)
    static = DenseRetriever(c.documents, load_embedder("resift-static-en"))
    pooled = DenseRetriever(c.documents, store.scorer, store.pooled)
    retrievers = {
        "bm25": bm25,
        "static vectors": static,
        "pooled vectors": pooled,
        "bm25 + static": Hybrid([bm25, static], fusion(read_contract(find_model("resift-static-en")).fusion_weight)),
        "bm25 + pooled": Hybrid([bm25, pooled]),
    }
    return {name: r.retrieve(c.queries, DEPTH) for name, r in retrievers.items()}


def tune(args) -> dict:
    base, mini = load_scorer(args.baseline), load_scorer(args.model)
    figures: dict[str, list[float]] = {}

    def note(name: str, rankings: list[Ranking], c: Collection) -> None:
        figures.setdefault(name, []).append(round(float(per_query(rankings, c.qrels)["nDCG@10"].mean()), 4))

    for name in GOAL:
        c = read(name, "tune")
        mini_store, base_store = encoded(mini, c), encoded(base, c)
        firsts = first_stages(c, mini_store)
        for label, first in firsts.items():
            note(label, first, c)
        for label, store in (("maxsim-384", base_store), ("resift-mini-en", mini_store)):
            for stage in ("bm25", "bm25 + static", "bm25 + pooled"):
                scored = reranked(store, firsts[stage])
                note(f"{label} alone over {stage}", scored, c)
                for weight in WEIGHTS:
                    blend = Blend(store.scorer.info.name, weight)
                    note(f"{label} blended {weight} over {stage}", drive(blend, scored), c)
        print(name, flush=True)
    rows = {k: {"mean": round(float(np.mean(v)), 4), "sets": v} for k, v in figures.items()}
    for name, row in rows.items():
        print(f"{row['mean']:.4f}", name, row["sets"])
    return {"sets": GOAL, "rows": rows, "machine": machine()}


def report(args) -> dict:
    base, mini = load_scorer(args.baseline), load_scorer(args.model)
    blend = Blend(mini.info.name, mini.info.blend_weight)
    sets: dict[str, dict] = {}
    gains: dict[str, list[np.ndarray]] = {}
    for name in GOAL + SANITY:
        c = read(name, "report")
        store = encoded(mini, c)
        firsts = first_stages(c, store)
        rows = {label: (first, "bm25") for label, first in firsts.items()}
        rows["maxsim-384 untrained over bm25"] = (reranked(encoded(base, c), firsts["bm25"]), "bm25")
        for stage in ("bm25", "bm25 + static", "bm25 + pooled"):
            alone = reranked(store, firsts[stage])
            rows[f"resift-mini-en alone over {stage}"] = (alone, stage)
            rows[f"blended over {stage}"] = (drive(blend, alone), stage)
        for tokens in (2, 3):
            label = f"blended over bm25 + pooled, tokens merged by {tokens}"
            rows[label] = (
                drive(blend, reranked(merged(store, tokens), firsts["bm25 + pooled"])),
                "blended over bm25 + pooled",
            )
        values = {label: per_query(r, c.qrels) for label, (r, _) in rows.items()}
        entry = {"queries": len(c.queries), "documents": len(c.documents), "rows": {}}
        for label, (_, against) in rows.items():
            difference = values[label]["nDCG@10"] - values[against]["nDCG@10"]
            entry["rows"][label] = {
                **{m: round(float(v.mean()), 4) for m, v in values[label].items()},
                "against": against,
                "gain": round(float(difference.mean()), 4),
                "interval": [round(x, 4) for x in interval(difference)],
            }
            if name in GOAL and label.startswith("blended"):
                gains.setdefault(label.removeprefix("blended "), []).append(difference)
        sets[name] = entry
        print(name, flush=True)
    return {
        "what": "report halves; gain = nDCG@10 minus that of the row in `against`, 95 % paired bootstrap interval",
        "model": mini.info.name, "blend_weight": mini.info.blend_weight,
        "window_tokens": mini.contract.window_tokens,
        "mean_gain_of_blended": {
            stage: {
                "sets": GOAL,
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
    parser.add_argument("--model", default="resift-mini-en")
    parser.add_argument("--baseline", required=True, help="folder made by runs/resift_mini_en/export.py --untrained")
    parser.add_argument("--tune", action="store_true")
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
