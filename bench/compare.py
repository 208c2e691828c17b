"""Two checkouts of Resift, turn by turn in one run: is the second slower than the first?

    python bench/compare.py --before ../before --after .

Every turn is a process of its own; both do the same work on the same made-up texts. What counts is the ratio of the
times of neighbouring turns, after / before, with a 95 % bootstrap interval of its median: below 1 the second is faster.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
from pathlib import Path

from machine import machine

RESULTS = Path(__file__).parent / "results"

PRELUDE = """
import json, os, random, statistics, sys, tempfile, threading, time
import resift
rng = random.Random(7)
words = [line.split()[0] for line in open({words!r})]
text = lambda n: " ".join(rng.choice(words) for _ in range(n))
documents = [{{"id": str(i), "text": text(rng.randint(20, 180))}} for i in range(600)]
queries = [" ".join(documents[rng.randrange(600)]["text"].split()[:5]) for _ in range(24)]
def clock(work, times):
    work()
    samples = []
    for _ in range(times):
        began = time.perf_counter(); work(); samples.append(time.perf_counter() - began)
    return statistics.median(samples)
"""

WORK = {
    "pairs": """
model = resift.load()
pairs = [(q, d) for q in queries[:3] for d in documents[:120]]
print(clock(lambda: model.score(pairs), 3))
""",
    "request of 50": """
model = resift.load()
print(clock(lambda: model.rerank(queries[0], documents[:50]), 15))
""",
    "search": """
index = resift.Index.of(documents)
model = resift.load()
print(clock(lambda: [index.search(q, reranker=model) for q in queries[:6]], 3))
""",
    "first stage": """
index = resift.Index.of(documents)
print(clock(lambda: [index.search(q, reranker=False) for q in queries], 9))
""",
    "stored": """
folder = tempfile.mkdtemp()
open(folder + "/a.jsonl", "w").write("\\n".join(map(json.dumps, documents)))
resift.Index.build(folder + "/index", folder + "/a.jsonl", tensors=True)
index, model = resift.Index.open(folder + "/index"), resift.load()
print(clock(lambda: [index.search(q, reranker=model) for q in queries], 9))
""",
    "rankings at once": """
import subprocess
lines = "\\n".join(json.dumps({"query": q, "documents": [d["text"] for d in documents[:40]]}) for q in queries[:12])
command = [sys.executable, "-m", "resift.cli.main", "rerank", "-o", "/dev/null"]
print(clock(lambda: subprocess.run(command, input=lines, text=True, check=True), 2))
""",
    "served, one client": """
import urllib.request
{SERVER}
body = json.dumps({"query": queries[0], "documents": [d["text"] for d in documents[:50]]}).encode()
print(clock(lambda: ask(body), 15)); stop()
""",
    "served, 16 clients": """
import urllib.request
from concurrent.futures import ThreadPoolExecutor
{SERVER}
texts = [[d["text"] for d in documents[i * 7 : i * 7 + 20]] for i in range(48)]
bodies = [json.dumps({"query": queries[i % 24], "documents": own}).encode() for i, own in enumerate(texts)]
def all_of_them():
    with ThreadPoolExecutor(16) as threads: list(threads.map(ask, bodies))
print(clock(all_of_them, 2)); stop()
""",
}

SERVER = """
import subprocess, re
command = [sys.executable, "-m", "resift.cli.main", "serve", "--port", "0", "--queue-tokens", "400000"]
process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
port = None
for line in process.stderr:
    if (found := re.search(r"127\\.0\\.0\\.1:(\\d+)", line)): port = int(found[1])
    if '"ready"' in line: break
threading.Thread(target=lambda: [None for _ in process.stderr], daemon=True).start()
def ask(body):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/rerank", body, {"Content-Type": "application/json"})
    return urllib.request.urlopen(request, timeout=120).read()
def stop():
    process.terminate(); process.wait()
"""


def seconds(checkout: Path, work: str) -> float:
    """One turn."""
    code = PRELUDE.format(words=str(_words())) + WORK[work].replace("{SERVER}", SERVER)
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "RESIFT_API_KEYS": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{checkout}, {work}: {done.stderr[-1500:]}")
    return float(done.stdout.split()[-1])


def _words() -> Path:
    """A file of whole words of the bundled vocabulary, one to a line."""
    tokenizer = Path(__file__).parents[1] / "src/resift/bundled/resift-static-en/tokenizer.json"
    path = Path(__file__).parents[1] / "build/words.txt"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        vocabulary = json.loads(tokenizer.read_text())["model"]["vocab"]
        path.write_text("\n".join(word for word in vocabulary if word.isalpha() and word.isascii() and len(word) > 2))
    return path


def interval(ratios: list[float]) -> tuple[float, float]:
    """95 % of the medians of 2,000 samples with replacement."""
    rng = random.Random(1)
    medians = sorted(statistics.median(rng.choices(ratios, k=len(ratios))) for _ in range(2000))
    return medians[50], medians[1949]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--after", type=Path, required=True)
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--only", choices=WORK, action="append")
    parser.add_argument("--out", type=Path, default=RESULTS / "compare.json")
    options = parser.parse_args()
    commits = {
        name: subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=path, capture_output=True, text=True, check=True
        ).stdout.strip()
        for name, path in (("before", options.before), ("after", options.after))
    }
    rows = []
    for work in options.only or WORK:
        seconds(options.before, work), seconds(options.after, work)  # caches of compiled models, pages of files
        turns = [(seconds(options.before, work), seconds(options.after, work)) for _ in range(options.turns)]
        ratios = [after / before for before, after in turns]
        low, high = interval(ratios)
        before, after = (statistics.median(column) for column in zip(*turns, strict=True))
        row = {
            "work": work,
            "before_s": before,
            "after_s": after,
            "ratio": statistics.median(ratios),
            "low": low,
            "high": high,
        }
        rows.append(row | {"turns": turns})
        print(
            f"{work:20} {before:8.4f} s {after:8.4f} s   ratio {row['ratio']:.3f} [{low:.3f}, {high:.3f}]", flush=True
        )
    report = {"commits": commits, "machine": machine(), "turns": options.turns, "rows": rows}
    options.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
