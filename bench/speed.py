"""Speed beside sentence-transformers, same weights, same pairs, one run: `make bench-speed`.

1. 1,000 cross-encoder pairs, questions of $RESIFT_DATA's en_squad_dev_rest with their best 20 of BM25 cut to lognormal
   lengths (median 90 tokens, none over the window), through a six-layer, 384-wide BERT classifier that
   bench/cross_encoder.py trained on other questions: pairs per second of Resift at f32 and at its default precision,
   of sentence_transformers.CrossEncoder as it comes.
2. 50 documents with stored token vectors through resift-mini-en: ms of the query's encoding and of the reranking.
3. 200 passages searched by the command line, in a process of its own, compiled model in the cache: seconds.

Every figure is the median of the rounds; the contestants take turns within a round. Writes bench/results/speed.json.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import resift
from beir import data_folder
from machine import machine
from resift import files
from resift.engine.maxsim import maxsim
from resift.retrieve.bm25 import BM25Retriever
from resift.score.late_interaction import LateInteraction
from resift.types import Query

EACH = 20  # candidates per question
WORDS = (
    "search model query document passage reranking order first stage vector keyword retrieval answer question".split()
)


def texts(count: int, seed: int) -> list[str]:
    """Passages of lognormal length, median 90 words of one token each, at most 480."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(np.exp(rng.normal(np.log(80), 0.6, count)), 8, 460).astype(int)
    return [" ".join(rng.choice(WORDS, n)) for n in lengths]


def candidates(questions: int, each: int) -> list[tuple[str, str]]:
    """Dev questions with the best of BM25 each, as a reranker meets them, cut to lognormal lengths."""
    folder = data_folder() / "en_squad_dev_rest"
    qrels = files.read_qrels(folder / "qrels/dev.tsv")
    queries = [Query(d.text, d.id) for d in files.read_jsonl(folder / "queries.jsonl.gz") if d.id in qrels]
    first = BM25Retriever(list(files.read_jsonl(folder / "corpus.jsonl.gz")))
    rng = np.random.default_rng(1)
    pairs = []
    for ranking in first.retrieve(queries[:: len(queries) // questions][:questions], each):
        for c in ranking:
            words = int(np.clip(np.exp(rng.normal(np.log(58), 0.6)), 5, 280))
            pairs.append((ranking.query.text, " ".join(c.document.text.split()[:words])))
    return pairs


def ranks_kept(truth: np.ndarray, scores: np.ndarray, each: int = EACH) -> dict:
    """Kendall's tau over all pairs, and per question its mean and the share of its ten best that are kept."""
    from scipy.stats import kendalltau

    rows = list(zip(truth.reshape(-1, each), scores.reshape(-1, each), strict=True))
    shares = [len({*np.argsort(-a)[:10]} & {*np.argsort(-b)[:10]}) / 10 for a, b in rows]
    return {
        "kendall_tau": round(float(kendalltau(truth, scores).statistic), 5),
        "kendall_tau_per_question": round(float(np.mean([kendalltau(a, b).statistic for a, b in rows])), 5),
        "ten_best_kept": round(float(np.mean(shares)), 4),
        "largest_difference": float(np.abs(truth - scores).max()),
    }


def cross_encoders(folder: Path, rounds: int) -> dict:
    import torch
    from sentence_transformers import CrossEncoder

    pairs = candidates(1000 // EACH, EACH)
    weights = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()[:16]
    reference = CrossEncoder(str(folder), activation_fn=torch.nn.Identity())
    ours = {p: resift.load(folder, precision=p) for p in ("f32", "auto")}
    contestants = {
        "sentence-transformers f32": lambda: reference.predict(pairs),
        **{f"resift {p}": lambda r=r: np.array(r.score(pairs).values) for p, r in ours.items()},
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    scores = {}
    for turn in range(rounds + 1):  # the first round warms up
        for name, run in contestants.items():
            began = time.perf_counter()
            scores[name] = run()
            if turn:
                seconds[name].append(time.perf_counter() - began)
        print({n: s[-1:] for n, s in seconds.items()}, flush=True)
    once = ours["f32"].score(pairs)
    tokens, truncated = once.tokens, sum("windowed" in f for f in once.flags)
    base = statistics.median(seconds["sentence-transformers f32"])
    truth = scores["sentence-transformers f32"]
    return {
        "pairs": len(pairs), "tokens": tokens, "mean_tokens": round(tokens / len(pairs), 1), "truncated": truncated,
        "spread_of_scores": round(float(truth.std()), 3), "weights_sha256": weights, "rounds": rounds,
        "rows": {
            name: {
                "seconds": [round(s, 3) for s in times],
                "pairs_per_second": round(len(pairs) / statistics.median(times), 1),
                "times_as_fast": round(base / statistics.median(times), 2),
                **ranks_kept(truth, scores[name]),
            }
            for name, times in seconds.items()
        },
    }  # fmt: skip


def stored_vectors(rounds: int) -> dict:
    scorer = resift.load("resift-mini-en").scorer
    assert isinstance(scorer, LateInteraction)
    documents = [w for d in scorer.encode_documents(texts(50, 2)) for w in d.windows]
    encoding, reranking = [], []
    for i in range(rounds + 3):
        began = time.perf_counter()
        (query,) = scorer.encode_queries([f"when does reranking improve search results {i}"])
        encoded = time.perf_counter()
        scores, _, _ = maxsim(query.values, query.shares, documents)
        np.argsort(-scores, kind="stable")
        reranking.append((time.perf_counter() - encoded) * 1e3)
        encoding.append((encoded - began) * 1e3)
    return {
        "documents": 50, "tokens": sum(map(len, documents)),
        "query_encoding_ms": round(statistics.median(encoding[3:]), 2),
        "reranking_ms": round(statistics.median(reranking[3:]), 2),
    }  # fmt: skip


def cold_search(rounds: int) -> dict:
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "passages.jsonl"
        path.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts(200, 3)))
        assert len(list(files.read_file(path))) == 200
        command = [sys.executable, "-m", "resift.cli.main", "search", "when does reranking help", str(path), "--json"]
        environment = os.environ | {"RESIFT_CACHE": temporary}
        seconds = []
        for _ in range(rounds + 1):
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, env=environment)
            seconds.append(round(time.perf_counter() - began, 3))
    return {"passages": 200, "first_run_s": seconds[0], "cached_s": round(statistics.median(seconds[1:]), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cross-encoder", type=Path, required=True, help="folder made by bench/cross_encoder.py")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    args = parser.parse_args()
    result = {
        "cross_encoders": cross_encoders(args.cross_encoder, args.rounds),
        "stored_vectors": stored_vectors(args.rounds * 4),
        "cold_search": cold_search(args.rounds),
        "machine": machine("torch", "transformers", "sentence-transformers"),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "speed.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
