"""What resift-mini-multi is worth in each language: BM25 alone against the default pipeline, and across languages.

    python bench/multilingual.py --encoded build/multilingual               # the report halves, 400 queries at most
    python bench/multilingual.py --encoded build/multilingual --half tune   # weights of fusion and blend
    python bench/multilingual.py --encoded build/multilingual --words       # segmenters under the same reranker

Everything runs through Resift's own retrievers, fusion and stages; only the encoded passages of each collection are
kept, in the folder of --encoded by the model's fingerprint, so that each is encoded once.
Writes bench/results/multilingual.json and .md, multilingual-tune.json or multilingual-words.json.
"""

import argparse
import json
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from beir import Collection, read
from bootstrap import interval, per_query
from machine import machine
from resift.engine.maxsim import TokenVectors
from resift.index.first_stage import first_stage
from resift.rerank.blend import Blend
from resift.rerank.drive import drive
from resift.rerank.pointwise import Pointwise
from resift.retrieve.bm25 import BM25Retriever
from resift.retrieve.dense import DenseRetriever
from resift.retrieve.fuse import Hybrid, ReciprocalRank
from resift.score.late_interaction import LateInteraction
from resift.score.load import load_scorer
from resift.score.pairs import whole_text
from resift.text.analysis import Analyzer
from resift.types import Document, Query, Ranking

LANGUAGES = ("vi", "zh", "ar", "th", "de", "es", "ru", "hi", "tr", "el")
XQUAD = tuple(f"xquad_{code}" for code in ("en", *LANGUAGES))
SETS = ("vi_vicov19qa", "zh_qbqtc", "ja_jsquad", *XQUAD, "en_cranfield", "en_cisi", "en_cacm", "en_scifact",
        "en_stackfaq")  # fmt: skip
SEGMENTED = {"vi_vicov19qa": "vi", "xquad_vi": "vi", "zh_qbqtc": "zh", "xquad_zh": "zh", "ja_jsquad": "ja"}
MOST = {"ja_jsquad": 250}  # queries; 400 of the others
DEPTH = 100
MEASURES = ("nDCG@10", "R@100")
FUSIONS = {  # of BM25 and the model's vectors; reciprocal ranks without weights are blended by scores, see `Blend`
    "0.3, k 10": ReciprocalRank(10, [0.7, 0.3]),
    "0.4, k 10": ReciprocalRank(10, [0.6, 0.4]),
    "0.5, k 10": ReciprocalRank(10, [0.5, 0.5]),
    "equal, k 60": ReciprocalRank(),
}
BLENDS = (0.75, 1.25, 2.0)


@dataclass
class Encoded:
    """A collection's passages as the model sees them: a token store, and pooled vectors (N, H) in their order."""

    fingerprint: str
    numbers: dict[str, int]
    windows: list[tuple[TokenVectors, ...]]
    pooled: np.ndarray

    def windows_of(self, document: Document) -> tuple[TokenVectors, ...]:
        return self.windows[self.numbers[document.id]]

    def pooled_of(self, document: Document) -> np.ndarray:
        return self.pooled[self.numbers[document.id]]


def encoded(scorer: LateInteraction, c: Collection, folder: Path) -> Encoded:
    numbers = {d.id: i for i, d in enumerate(c.documents)}
    path = folder / scorer.info.fingerprint[:16] / f"{c.name}.pkl"
    if path.exists():
        return Encoded(scorer.info.fingerprint, numbers, *pickle.loads(path.read_bytes()))
    windows, pooled = [], []
    for at in range(0, len(c.documents), 2048):
        for vectors in scorer.encode_documents([whole_text(d) for d in c.documents[at : at + 2048]]):
            windows.append(vectors.windows)
            pooled.append(vectors.pooled if len(vectors.pooled) else np.zeros(scorer.dims, np.float32))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps((windows, np.stack(pooled))))
    return Encoded(scorer.info.fingerprint, numbers, windows, np.stack(pooled))


def sample(c: Collection) -> list[Query]:
    most = MOST.get(c.name, 400)
    if len(c.queries) <= most:
        return c.queries
    picks = np.random.default_rng(0).choice(len(c.queries), most, replace=False)
    return [c.queries[i] for i in sorted(picks)]


def reranked(scorer: LateInteraction, store: Encoded, rankings: Sequence[Ranking]) -> list[Ranking]:
    return drive(Pointwise(scorer.with_store(store), DEPTH), rankings)


def rows_of(scorer: LateInteraction, c: Collection, store: Encoded, analyzer: Analyzer | None = None) -> dict:
    """Label -> the rankings of the sampled queries."""
    queries, blend = sample(c), Blend(scorer.info.name, scorer.info.blend_weight)
    lexical = BM25Retriever(c.documents, analyzer)
    bm25, both = (r.retrieve(queries, DEPTH) for r in (lexical, first_stage(lexical, scorer, store.pooled)))
    alone = reranked(scorer, store, bm25)
    return {
        "bm25": bm25,
        "bm25 + its vectors": both,
        "alone over bm25": alone,
        "blended over bm25": drive(blend, alone),
        "default": drive(blend, reranked(scorer, store, both)),
    }


def measured(rankings: list[Ranking], c: Collection) -> dict[str, np.ndarray]:
    return per_query(rankings, {r.query.id: c.qrels[r.query.id] for r in rankings})


def report(scorer: LateInteraction, c: Collection, store: Encoded) -> dict:
    values = {label: measured(rankings, c) for label, rankings in rows_of(scorer, c, store).items()}
    entry: dict = {"queries": len(values["bm25"]["nDCG@10"])}
    for label, by_measure in values.items():
        entry[label] = {}
        for name in MEASURES:
            difference = by_measure[name] - values["bm25"][name]
            entry[label][name] = round(float(by_measure[name].mean()), 4)
            entry[label][f"gain in {name}"] = round(float(difference.mean()), 4)
            entry[label][f"interval of {name}"] = [round(x, 4) for x in interval(difference)]
    return entry


def tune(scorer: LateInteraction, c: Collection, store: Encoded) -> dict:
    """nDCG@10 and R@100 of every fusion, and nDCG@10 of its best hundred blended with every weight."""
    queries = sample(c)
    lexical, dense = BM25Retriever(c.documents), DenseRetriever(c.documents, scorer, store.pooled)
    firsts = {"bm25": lexical.retrieve(queries, DEPTH), "its vectors": dense.retrieve(queries, DEPTH)}
    firsts |= {name: Hybrid([lexical, dense], fusion).retrieve(queries, DEPTH) for name, fusion in FUSIONS.items()}
    figures = {}
    for label, rankings in firsts.items():
        values, scored = measured(rankings, c), reranked(scorer, store, rankings)
        figures[label] = {name: round(float(values[name].mean()), 4) for name in MEASURES}
        for weight in BLENDS:
            blended = measured(drive(Blend(scorer.info.name, weight), scored), c)["nDCG@10"]
            figures[label][f"blended {weight}"] = round(float(blended.mean()), 4)
    return figures


def with_words(scorer: LateInteraction, c: Collection, store: Encoded) -> dict:
    """The rows of a segmenter's words, beside those of syllables, pairs and characters."""
    language = BM25Retriever(c.documents[:200]).analyzer.language
    default, words = (rows_of(scorer, c, store, a) for a in (None, Analyzer(language, f"words-{SEGMENTED[c.name]}")))
    entry: dict = {"queries": len(default["bm25"])}
    for label in default:
        before, after = (measured(rows[label], c)["nDCG@10"] for rows in (default, words))
        entry[label] = {"default": round(float(before.mean()), 4), "words": round(float(after.mean()), 4),
                        "interval of the difference": [round(x, 4) for x in interval(after - before)]}  # fmt: skip
    return entry


def across(scorer: LateInteraction, folder: Path) -> dict:
    """nDCG@10 of questions in each language over the English paragraphs of XQuAD, all of them ordered by the score."""
    english, result = read("xquad_en", "report"), {}
    store = encoded(scorer, english, folder)
    stage = Pointwise(scorer.with_store(store), len(english.documents))
    for code in LANGUAGES:
        queries = [q for q in read(f"xquad_{code}", "report").queries if q.id in english.qrels]
        rankings = drive(stage, [Ranking.unscored(query, english.documents) for query in queries])
        values = measured(rankings, english)["nDCG@10"]
        result[code] = {"queries": len(values), "nDCG@10": round(float(values.mean()), 4),
                        "interval": [round(x, 4) for x in interval(values)]}  # fmt: skip
        print("across", code, result[code], flush=True)
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
    parser.add_argument("--sets", nargs="*")
    parser.add_argument("--encoded", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    args = parser.parse_args()
    scorer = load_scorer(args.model)
    assert isinstance(scorer, LateInteraction)
    measure = with_words if args.words else report if args.half == "report" else tune
    sets: dict[str, dict] = {}
    for name in args.sets or (SEGMENTED if args.words else SETS):
        c = read(name, args.half)
        sets[name] = measure(scorer, c, encoded(scorer, c, args.encoded))
        print(name, json.dumps(sets[name]), flush=True)
    result = {"model": args.model, "fingerprint": scorer.info.fingerprint, "runs on": scorer.info.runs_on,
              "half": args.half, "sets": sets, "machine": machine()}  # fmt: skip
    ending = "-words" if args.words else "" if args.half == "report" else "-tune"
    if measure is report:
        result["questions in other languages over English paragraphs"] = across(scorer, args.encoded)
        (args.out / "multilingual.md").write_text(markdown(result), "utf-8")
        print(markdown(result))
    (args.out / f"multilingual{ending}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
