"""What an index costs: `make bench-index`.

1. BM25 and static vectors over 100,000 real passages in 1,000 JSONL files: seconds and peak memory of indexing, of
   indexing again after 1 % of the files changed (three times, other files each time), seconds until a new process has
   it open, ms per query without reranking.
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
from resift import Index, files

SETS = ["en_medquad_train", "en_wikiqa", "en_msrd", "en_scifact", "en_cacm", "en_cisi", "en_cranfield", "en_stackfaq",
        "en_squad_dev_rest", "zh_qbqtc", "ja_jsquad", "vi_vicov19qa", "ja_jaquad"]  # fmt: skip
QUERIES = ["en_cranfield", "en_cisi", "en_cacm", "en_scifact", "en_wikiqa"]

WORDS, CHARACTERS = 75, 600  # of a passage with token vectors: about 100 tokens

CHILD = """
import json, resource, sys, time
began = time.perf_counter()
from resift import Index
{body}
value["seconds"] = time.perf_counter() - began
value["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps(value))
"""
BUILD = (
    "built = Index.build(sys.argv[1], sys.argv[2], tensors=sys.argv[3] == 'tensors', pool=int(sys.argv[4])); value = "
)
BUILD += "{'passages': built.passages, 'bytes': built.bytes, 'read': built.read}"
OPEN = "index = Index.open(sys.argv[1]); value = {'passages': len(index.documents)}"


def child(body: str, *args: str) -> dict:
    command = [sys.executable, "-c", CHILD.format(body=body), *args]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def write_files(folder: Path, count: int, cut: bool = False) -> None:
    folder.mkdir()
    passages = (d for name in SETS for d in files.read_jsonl(data_folder() / name / "corpus.jsonl.gz"))
    taken = 0
    while taken < count and (part := list(islice(passages, 100))):
        texts = [" ".join(d.text.split()[:WORDS])[:CHARACTERS] if cut else d.text for d in part]
        lines = [
            json.dumps({"id": f"{taken}-{d.id}", "title": d.title, "text": t}) for d, t in zip(part, texts, strict=True)
        ]
        (folder / f"{taken // 100:04d}.jsonl").write_text("\n".join(lines) + "\n")
        taken += len(part)


def timed(index: Index, queries: list[str], reranker) -> dict:
    ms = []
    for query in queries:
        began = time.perf_counter()
        index.search(query, 10, reranker=reranker)
        ms.append((time.perf_counter() - began) * 1e3)
    ms = sorted(ms[5:])
    return {"queries": len(ms), "p50_ms": round(statistics.median(ms), 1), "p95_ms": round(ms[int(len(ms) * 0.95)], 1)}


def static(root: Path, queries: list[str], passages: int) -> dict:
    write_files(root / "all", passages)
    result = {"static": child(BUILD, str(root / "static.index"), str(root / "all"), "", "1")}
    result["static_open"] = child(OPEN, str(root / "static.index"))
    result["static_query"] = timed(Index.open(root / "static.index"), queries, None)
    again = []
    for first in (0, 33, 66):
        changed = sorted((root / "all").iterdir())[first::100]
        for path in changed:
            path.write_text(path.read_text().replace('"text": "', '"text": "so '))
        found = child(BUILD, str(root / "static.index"), str(root / "all"), "", "1")
        times = round(result["static"]["seconds"] / found["seconds"], 2)
        again.append({**found, "changed_files": len(changed), "times_as_fast": times})
    return {**result, "static_again": again}


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
