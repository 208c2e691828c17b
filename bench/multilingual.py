"""What resift-mini-multi is worth in each language: BM25 alone against the default pipeline, and across languages.

    python bench/multilingual.py --encoded build/multilingual               # the report halves, 400 queries at most
    python bench/multilingual.py --encoded build/multilingual --half tune   # weights of fusion and blend
    python bench/multilingual.py --encoded build/multilingual --words       # segmenters under the same reranker

Writes bench/results/multilingual.json and .md, multilingual-tune.json or multilingual-words.json. The encoded passages
of each collection are kept in the folder of --encoded, by the model's fingerprint.
"""

import argparse
import json
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from beir import Collection, read
from bootstrap import interval
from machine import machine
from resift.engine.maxsim import maxsim
from resift.retrieve.bm25 import BM25Retriever
from resift.score.late_interaction import LateInteraction
from resift.score.load import load_scorer
from resift.score.pairs import whole_text
from resift.text.analysis import Analyzer
from resift.types import Query

LANGUAGES = ("vi", "zh", "ar", "th", "de", "es", "ru", "hi", "tr", "el")
XQUAD = tuple(f"xquad_{code}" for code in ("en", *LANGUAGES))
SETS = ("vi_vicov19qa", "zh_qbqtc", "ja_jsquad", *XQUAD, "en_cranfield", "en_cisi", "en_cacm", "en_scifact",
        "en_stackfaq")  # fmt: skip
MOST = {"ja_jsquad": 250}  # queries; 400 of the others
DEPTH, DISCOUNTS = 100, 1 / np.log2(np.arange(2, 12))


@dataclass
class Judged:
    """One query: BM25's and the vectors' best passages, by number, MaxSim and cosine of each, and grades."""

    lexical: list[int]
    dense: list[int]
    scores: dict[int, tuple[float, float]]
    grades: dict[int, int]
    relevant: list[int]


@dataclass(frozen=True)
class Setting:
    """`dense`: the vectors' weight in the fusion, None for BM25 alone; `blend`: None leaves the model's score alone."""

    dense: float | None = None
    k: float = 10.0
    share: float | None = None
    blend: float | None = None


ROWS = {
    "bm25": Setting(),
    "bm25 + its vectors": Setting(0.4),
    "alone over bm25": Setting(share=0.3),
    "blended over bm25": Setting(share=0.3, blend=1.25),
    "default": Setting(0.4, share=0.3, blend=1.25),
}
GRID = {
    f"dense {dense} k {k} share {share} blend {blend}": Setting(dense, k, share, blend)
    for dense, k in ((None, 10.0), (0.3, 10.0), (0.4, 10.0), (0.5, 10.0), (0.5, 60.0))
    for share, blend in ((None, None), (0.15, 1.25), (0.3, 0.75), (0.3, 1.25), (0.3, 2.0), (0.5, 1.25))
}


def encoded(scorer: LateInteraction, c: Collection, folder: Path) -> tuple[list, np.ndarray]:
    """Windows and pooled vectors of all passages."""
    path = folder / scorer.info.fingerprint[:16] / f"{c.name}.pkl"
    if path.exists():
        return pickle.loads(path.read_bytes())
    windows, pooled = [], []
    for at in range(0, len(c.documents), 2048):
        for vectors in scorer.encode_documents([whole_text(d) for d in c.documents[at : at + 2048]]):
            windows.append(vectors.windows)
            pooled.append(vectors.pooled if len(vectors.pooled) else np.zeros(scorer.dims, np.float32))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps((windows, np.stack(pooled))))
    return windows, np.stack(pooled)


def sample(queries: list[Query], most: int) -> list[Query]:
    if len(queries) <= most:
        return queries
    picks = np.random.default_rng(0).choice(len(queries), most, replace=False)
    return [queries[i] for i in sorted(picks)]


def judged(
    scorer: LateInteraction, c: Collection, folder: Path, most: int, analyzer: Analyzer | None = None
) -> list[Judged]:
    windows, pooled = encoded(scorer, c, folder)
    queries = sample(c.queries, most)
    number = {d.id: i for i, d in enumerate(c.documents)}
    rows = []
    lists = BM25Retriever(c.documents, analyzer).retrieve(queries, 2 * DEPTH)
    for query, vectors, ranking in zip(queries, scorer.encode_queries([q.text for q in queries]), lists, strict=True):
        lexical, cosines = [number[x.document.id] for x in ranking], pooled @ vectors.pooled
        dense = np.argsort(-cosines, kind="stable")[: 2 * DEPTH].tolist()
        parts = [(i, window) for i in dict.fromkeys(lexical + dense) for window in windows[i]]
        values, _, _ = maxsim(vectors.values, vectors.shares, [window for _, window in parts])
        best: dict[int, float] = {}
        for (i, _), value in zip(parts, values.tolist(), strict=True):
            best[i] = max(best.get(i, -1.0), value)
        grades = {number[d]: grade for d, grade in c.qrels[query.id].items() if d in number}
        scores = {i: (best.get(i, -1.0), float(cosines[i])) for i in dict.fromkeys(lexical + dense)}
        relevant = [grade for grade in c.qrels[query.id].values() if grade > 0]
        rows.append(Judged(lexical, dense, scores, grades, relevant))
    return rows


def standardised(x: np.ndarray) -> np.ndarray:
    spread = x.std()
    return (x - x.mean()) / (spread if spread > 1e-9 else 1)


def ordered(row: Judged, setting: Setting) -> list[int]:
    """The passages in the order of a setting."""
    order = row.lexical
    if setting.dense is not None:
        fused: dict[int, float] = {}
        for weight, passages in ((1 - setting.dense, row.lexical), (setting.dense, row.dense)):
            for i, passage in enumerate(passages, 1):
                fused[passage] = fused.get(passage, 0.0) + weight / (setting.k + i)
        order = sorted(fused, key=lambda passage: -fused[passage])
    order = order[:DEPTH]
    if setting.share is None or not order:
        return order
    scores = np.array([(1 - setting.share) * row.scores[i][0] + setting.share * row.scores[i][1] for i in order])
    if setting.blend is not None:
        ranks = standardised(-np.log(10 + np.arange(1, len(order) + 1)))
        scores = ranks + setting.blend * standardised(scores)
    return [order[i] for i in np.argsort(-scores, kind="stable")]


def measured(rows: list[Judged], setting: Setting) -> tuple[np.ndarray, np.ndarray]:
    """nDCG@10 and R@100 of each query."""
    ndcg, recall = [], []
    for row in rows:
        order = ordered(row, setting)
        gains = np.array([max(0, row.grades.get(i, 0)) for i in order[:10]], float)
        ideal = np.array(sorted(row.relevant, reverse=True)[:10], float)
        ndcg.append((gains * DISCOUNTS[: len(gains)]).sum() / (ideal * DISCOUNTS[: len(ideal)]).sum())
        recall.append(sum(row.grades.get(i, 0) > 0 for i in order) / len(row.relevant))
    return np.array(ndcg), np.array(recall)


def report(rows: list[Judged]) -> dict:
    base = measured(rows, ROWS["bm25"])
    entry: dict = {"queries": len(rows)}
    for label, setting in ROWS.items():
        cells = {}
        for name, values, before in zip(("nDCG@10", "R@100"), measured(rows, setting), base, strict=True):
            difference = values - before
            cells[name] = round(float(values.mean()), 4)
            cells[f"gain in {name}"] = round(float(difference.mean()), 4)
            cells[f"interval of {name}"] = [round(x, 4) for x in interval(difference)]
        entry[label] = cells
    return entry


def with_words(scorer: LateInteraction, folder: Path) -> dict:
    """The same rows of a segmenter's words, beside those of syllables, pairs and characters."""
    result: dict = {}
    for name, code in (("vi_vicov19qa", "vi"), ("xquad_vi", "vi"), ("zh_qbqtc", "zh"), ("xquad_zh", "zh"),
                       ("ja_jsquad", "ja")):  # fmt: skip
        c, most = read(name, "report"), MOST.get(name, 400)
        default = judged(scorer, c, folder, most)
        language = BM25Retriever(c.documents[:200]).analyzer.language
        words = judged(scorer, c, folder, most, Analyzer(language, f"words-{code}"))
        result[name] = {"queries": len(default)}
        for label, setting in ROWS.items():
            before, after = measured(default, setting)[0], measured(words, setting)[0]
            low, high = interval(after - before)
            result[name][label] = {"default": round(float(before.mean()), 4), "words": round(float(after.mean()), 4),
                                   "interval of the difference": [round(low, 4), round(high, 4)]}  # fmt: skip
        print(name, json.dumps(result[name]), flush=True)
    return result


def across(scorer: LateInteraction, folder: Path) -> dict:
    """nDCG@10 of questions in each language over the English paragraphs of XQuAD, all of them ordered by the score."""
    english = read("xquad_en", "report")
    windows, pooled = encoded(scorer, english, folder)
    number = {d.id: i for i, d in enumerate(english.documents)}
    flat, owners = [w for part in windows for w in part], np.repeat(np.arange(len(windows)), list(map(len, windows)))
    share, result = scorer.contract.entries()["tokens"]["pooled_share"], {}
    for code in LANGUAGES:
        queries = [q for q in read(f"xquad_{code}", "report").queries if q.id in english.qrels]
        values = []
        for query, vectors in zip(queries, scorer.encode_queries([q.text for q in queries]), strict=True):
            best = np.full(len(windows), -1.0)
            np.maximum.at(best, owners, maxsim(vectors.values, vectors.shares, flat)[0])
            order = np.argsort(-((1 - share) * best + share * (pooled @ vectors.pooled)), kind="stable")[:10]
            relevant = {number[d] for d, grade in english.qrels[query.id].items() if grade > 0}
            gains = np.array([i in relevant for i in order.tolist()], float)
            values.append((gains * DISCOUNTS).sum() / DISCOUNTS[: len(relevant)].sum())
        low, high = interval(np.array(values))
        result[code] = {"queries": len(values), "nDCG@10": round(float(np.mean(values)), 4),
                        "interval": [round(low, 4), round(high, 4)]}  # fmt: skip
    return result


def markdown(result: dict) -> str:
    lines = [
        "| set (queries) | BM25 | over BM25 | gain | with its vectors | gain | R@100 |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, entry in result["sets"].items():
        cells = [f"{name} ({entry['queries']})", f"{entry['bm25']['nDCG@10']:.3f}"]
        for label in ("blended over bm25", "default"):
            row = entry[label]
            low, high = row["interval of nDCG@10"]
            cells += [f"{row['nDCG@10']:.3f}", f"{row['gain in nDCG@10']:+.3f} ({low:+.3f} … {high:+.3f})"]
        cells.append(f"{entry['bm25']['R@100']:.3f} → {entry['default']['R@100']:.3f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resift-mini-multi")
    parser.add_argument("--half", choices=("tune", "report"), default="report")
    parser.add_argument("--words", action="store_true", help="segmenters: extras vi, zh, ja")
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--encoded", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    args = parser.parse_args()
    scorer = load_scorer(args.model)
    assert isinstance(scorer, LateInteraction)
    if args.words:
        result = {"model": args.model, "sets": with_words(scorer, args.encoded), "machine": machine()}
        (args.out / "multilingual-words.json").write_text(json.dumps(result, indent=1) + "\n")
        return
    sets: dict[str, dict] = {}
    for name in args.sets:
        rows = judged(scorer, read(name, args.half), args.encoded, MOST.get(name, 400))
        if args.half == "report":
            sets[name] = report(rows)
        else:
            sets[name] = {label: round(float(measured(rows, s)[0].mean()), 4) for label, s in GRID.items()}
        print(name, json.dumps(sets[name]), flush=True)
    result = {"model": args.model, "fingerprint": scorer.info.fingerprint, "runs on": scorer.info.runs_on,
              "half": args.half, "sets": sets, "machine": machine()}  # fmt: skip
    if args.half == "report":
        result["questions in other languages over English paragraphs"] = across(scorer, args.encoded)
        (args.out / "multilingual.md").write_text(markdown(result), "utf-8")
        print(markdown(result))
    name = "multilingual.json" if args.half == "report" else "multilingual-tune.json"
    (args.out / name).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
