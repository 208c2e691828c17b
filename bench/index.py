"""What an index costs: `make bench-index`.

1. BM25 and static vectors over 100,000 real passages in 1,000 JSONL files: seconds and peak memory of indexing, of
   indexing again after 1 % of the files changed (three times, other files each time), seconds until a new process has
   it open, ms per query without reranking. The extra `qdrant` is installed, so that the vectors get an HNSW graph; the
   same without one, and in how many queries the two differ, and two graphs of the same vectors.
2. Token vectors over --tensor-passages of them, cut to about 100 tokens: passages per second, bytes per passage, ms
   per full query (BM25, pooled vectors, MaxSim over 100, blend); over the first tenth also with neighbouring tokens
   merged by 2 and 3.

Queries are those of the English collections' tune halves. Writes bench/results/index.json; with --static the first part
alone, to bench/results/index_static.json.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import resift
from beir import data_folder, read
from machine import machine
from resift import Index, Query, files

SETS = ["en_medquad_train", "en_wikiqa", "en_msrd", "en_scifact", "en_cacm", "en_cisi", "en_cranfield", "en_stackfaq",
        "en_squad_dev_rest", "zh_qbqtc", "ja_jsquad", "vi_vicov19qa", "ja_jaquad"]  # fmt: skip
QUERIES = ["en_cranfield", "en_cisi", "en_cacm", "en_scifact", "en_wikiqa"]

WORDS, CHARACTERS = 75, 600  # of a passage with token vectors: about 100 tokens

CHILD = """
import json, sys, time
began = time.perf_counter()
from resift import Index
{body}
value["seconds"] = time.perf_counter() - began
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # ru_maxrss has the parent's too
value["peak_gib"] = int(peak.split()[1]) / 2**20
print(json.dumps(value))
"""
BUILD = (
    "built = Index.build(sys.argv[1], sys.argv[2], tensors=sys.argv[3] == 'tensors', pool=int(sys.argv[4]),"
    " hnsw=False if sys.argv[3] == 'exact' else None); value = "
)
BUILD += "{'passages': built.passages, 'bytes': built.bytes, 'read': built.read}"
OPEN = "index = Index.open(sys.argv[1]); value = {'passages': len(index.documents)}"


def child(body: str, *args: str) -> dict:
    command = [sys.executable, "-c", CHILD.format(body=body), *args]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def write_files(folder: Path, count: int, cut: bool = False) -> None:
    folder.mkdir()
    passages = (d for name in SETS for d in files.read_jsonl(data_folder() / name / "corpus.jsonl.gz"))
    number = 0
    while number < count and (part := list(islice(passages, 100))):
        texts = [" ".join(d.text.split()[:WORDS])[:CHARACTERS] if cut else d.text for d in part]
        lines = [
            json.dumps({"id": f"{number}-{d.id}", "title": d.title, "text": t})
            for d, t in zip(part, texts, strict=True)
        ]
        (folder / f"{number // 100:04d}.jsonl").write_text("\n".join(lines) + "\n")
        number += len(part)


def timed(index: Index, queries: list[str], reranker) -> dict:
    ms = []
    for query in queries:
        began = time.perf_counter()
        index.search(query, 10, reranker=reranker)
        ms.append((time.perf_counter() - began) * 1e3)
    ms = sorted(ms[5:])
    return {"queries": len(ms), "p50_ms": round(statistics.median(ms), 1), "p95_ms": round(ms[int(len(ms) * 0.95)], 1)}


def agreement(one: Index, other: Index, queries: list[str]) -> dict:
    """Of the vectors' 100 nearest and of what a search gives in the end."""
    query_objects, reranker = [Query(q) for q in queries], resift.load()
    near = [
        [{c.document.id for c in r} for r in i.retriever.retrievers[1].dense.retrieve(query_objects, 100)]
        for i in (one, other)
    ]
    shared = [len(a & b) / len(a) for a, b in zip(*near, strict=True)]
    best = [[[c.document.id for c in i.search(q, 10, reranker=reranker)] for q in queries[::5]] for i in (one, other)]
    differ = sum(a != b for a, b in zip(*best, strict=True))
    return {
        "queries": len(queries), "same_100_nearest": round(statistics.mean(shared), 4), "least": round(min(shared), 2),
        "reranked_queries": len(best[0]), "other_ten_best": differ,
    }  # fmt: skip


def static(root: Path, queries: list[str], passages: int) -> dict:
    write_files(root / "all", passages)
    result = {"static": child(BUILD, str(root / "static.index"), str(root / "all"), "", "1")}
    result["static_open"] = child(OPEN, str(root / "static.index"))
    result["static_query"] = timed(Index.open(root / "static.index"), queries, False)
    for name in ("exact", "second"):
        result[name] = child(BUILD, str(root / f"{name}.index"), str(root / "all"), name, "1")
    graph, exact, second = (Index.open(root / f"{name}.index") for name in ("static", "exact", "second"))
    result["exact_query"] = timed(exact, queries, False)
    result["graph_and_exact"] = agreement(graph, exact, queries)
    result["two_graphs"] = agreement(graph, second, queries)
    result["static_again"] = []
    for first in (0, 33, 66):
        changed = sorted((root / "all").iterdir())[first::100]
        for path in changed:
            path.write_text(path.read_text().replace('"text": "', '"text": "so '))
        update = child(BUILD, str(root / "static.index"), str(root / "all"), "", "1")
        times = round(result["static"]["seconds"] / update["seconds"], 2)
        exactly = child(BUILD, str(root / "exact.index"), str(root / "all"), "exact", "1")
        times_exact = round(result["exact"]["seconds"] / exactly["seconds"], 2)
        row = {**update, "changed_files": len(changed), "times_as_fast": times, "exact_times_as_fast": times_exact}
        result["static_again"].append(row)
    result["graph_changed_three_times_and_exact"] = agreement(
        Index.open(root / "static.index"), Index.open(root / "exact.index"), queries
    )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--tensor-passages", type=int, default=100_000)
    parser.add_argument("--static", action="store_true", help="without token vectors")
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    args = parser.parse_args()
    queries = [q.text for name in QUERIES for q in read(name, "tune").queries][::5]
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        result = static(root, queries, args.passages)
        print(json.dumps(result), flush=True)
        if not args.static:
            result |= tensors(root, queries, args.tensor_passages)
    result["machine"] = machine()
    args.out.mkdir(parents=True, exist_ok=True)
    name = "index_static.json" if args.static else "index.json"
    (args.out / name).write_text(json.dumps(result, indent=1) + "\n")


def tensors(root: Path, queries: list[str], passages: int) -> dict:
    result = {}
    write_files(root / "short", passages, cut=True)
    write_files(root / "few", passages // 10, cut=True)
    reranker = resift.load()
    for pool, source in ((1, "short"), (1, "few"), (2, "few"), (3, "few")):
        name = str(root / f"tensors-{pool}-{source}.index")
        built = child(BUILD, name, str(root / source), "tensors", str(pool))
        index = Index.open(name)
        tokens = int(index.tensors.tokens_at[-1]) * pool
        row = f"tensors_pool_{pool}_{built['passages']}"
        result[row] = {
            **built,
            "passages_per_second": round(built["passages"] / built["seconds"], 1),
            "tokens_per_passage": round(tokens / built["passages"], 1),
            "bytes_per_passage": round(built["bytes"] / built["passages"]),
            **timed(index, queries, reranker),
        }
        print(json.dumps(result[row]), flush=True)
    return result


if __name__ == "__main__":
    main()
