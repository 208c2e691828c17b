"""MaxSim beside other libraries, one run: `make bench-maxsim`.

1. One query of 32 tokens against 1,000 documents of about 120 tokens (lognormal) of 128 dimensions, warm: milliseconds
   of Resift's kernel on int8 and on f16 documents, of its NumPy path, of torch.einsum over padded f32, of maxsim-cpu
   and of pylate's rank.rerank over f32 documents; and how many GB/s of this machine's that is.
2. The same on 10,000 documents, which no cache holds, for Resift alone.
Each contestant is a process of its own, in an environment of its own where versions clash; they take turns, one round
each, and every figure is the median of the rounds. Writes bench/results/maxsim.json.
"""

import argparse
import importlib.metadata
import json
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

QUERY_TOKENS, DIMS = 32, 128
ROUND_S = 0.3  # of calls one after the other: warm means that caches and clock rates have settled


def write_data(folder: Path, documents: int) -> None:
    rng = np.random.default_rng(0)
    lengths = np.clip(np.exp(rng.normal(np.log(108), 0.5, documents)), 8, 480).astype(np.int64)
    vectors = rng.normal(size=(int(lengths.sum()), DIMS)).astype(np.float32)
    query = rng.normal(size=(QUERY_TOKENS, DIMS)).astype(np.float32)
    for name, value in (("vectors", vectors), ("query", query)):
        np.save(folder / f"{name}.npy", value / np.linalg.norm(value, axis=1, keepdims=True))
    np.save(folder / "lengths.npy", lengths)


class Data:
    def __init__(self, folder: Path) -> None:
        self.vectors, self.query, self.lengths = (np.load(folder / f"{n}.npy") for n in ("vectors", "query", "lengths"))
        self.ends = np.cumsum(self.lengths)
        self.starts = self.ends - self.lengths

    def documents(self) -> list:
        return [self.vectors[a:b] for a, b in zip(self.starts, self.ends, strict=True)]


def resift(folder: Path, how: str):
    from resift.engine import maxsim

    data = Data(folder)
    weights = np.full(QUERY_TOKENS, 1, np.float32)
    if how == "f16":
        documents = maxsim.StackedVectors(data.vectors.astype(np.float16), None, data.starts, data.ends)
    else:
        documents = maxsim.StackedVectors(*maxsim.rounded(data.vectors), data.starts, data.ends)
    if how == "numpy":
        return lambda: maxsim.best_numpy(data.query, documents)[1] @ weights
    return lambda: maxsim.maxsim(data.query, weights, documents)[0]


def torch_einsum(folder: Path):
    import torch

    data = Data(folder)
    padded = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(d) for d in data.documents()], batch_first=True)
    there = torch.arange(padded.shape[1])[None] < torch.from_numpy(data.lengths)[:, None]
    query = torch.from_numpy(data.query)

    def run():
        with torch.inference_mode():
            similarity = torch.einsum("qd,ntd->nqt", query, padded)
            return similarity.masked_fill_(~there[:, None], float("-inf")).amax(-1).sum(-1).numpy()

    return run


def maxsim_cpu(folder: Path):
    import maxsim_cpu as library

    data = Data(folder)
    documents = [np.ascontiguousarray(d) for d in data.documents()]
    return lambda: np.asarray(library.maxsim_scores_variable(data.query, documents))


def pylate(folder: Path):
    import torch
    from pylate import rank

    data = Data(folder)
    documents, query = [torch.from_numpy(d) for d in data.documents()], torch.from_numpy(data.query)
    ids = list(range(len(documents)))

    def run():
        (results,) = rank.rerank([ids], query, [documents])
        return np.array([r["score"] for r in sorted(results, key=lambda r: r["id"])])

    return run


def bandwidth(folder: Path):
    """GB/s read by all cores from an array that no cache holds: the best of three ways of reading."""
    from resift.machine import cores

    array = np.ones(1 << 26, np.float32)
    parts = np.array_split(array, cores())

    def read(how) -> float:
        began = time.perf_counter()
        list(pool.map(how, parts))
        return array.nbytes / (time.perf_counter() - began) / 1e9

    pool = ThreadPoolExecutor(cores())
    ways = (lambda a: np.dot(a, a), lambda a: a.view(np.int64).sum(), lambda a: a.max())
    return lambda: np.array([max(read(how) for how in ways)])


KERNELS = {
    "resift int8": lambda f: resift(f, "int8"),
    "resift f16": lambda f: resift(f, "f16"),
    "resift int8, NumPy": lambda f: resift(f, "numpy"),
    "torch einsum, padded": torch_einsum,
    "maxsim-cpu": maxsim_cpu,
    "pylate rank.rerank": pylate,
    "read memory": bandwidth,
}
PACKAGES = {"torch einsum, padded": "torch", "maxsim-cpu": "maxsim-cpu", "pylate rank.rerank": "pylate"}


def child(name: str, folder: Path) -> None:
    """Answer each line of stdin with the milliseconds of one round: the median of its calls."""
    run = KERNELS[name](folder)
    scores = run()
    np.save(folder / f"{name.replace(' ', '_')}.scores.npy", np.asarray(scores, np.float64))
    print(importlib.metadata.version(PACKAGES[name]) if name in PACKAGES else "", flush=True)
    for _ in sys.stdin:
        times, until = [], time.perf_counter() + ROUND_S
        while not times or time.perf_counter() < until:
            began = time.perf_counter()
            value = run()
            times.append((time.perf_counter() - began) * 1e3)
        print(float(value[0]) if name == "read memory" else statistics.median(times), flush=True)


def contest(names: list[str], pythons: dict[str, str], folder: Path, rounds: int) -> dict:
    processes, versions = {}, {}
    figures: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        command = [
            pythons.get(name, sys.executable),
            "-W",
            "ignore",
            __file__,
            "--child",
            name,
            "--folder",
            str(folder),
        ]
        processes[name] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        versions[name] = processes[name].stdout.readline().strip()
    for turn in range(rounds + 1):  # the first round warms up
        for name, process in processes.items():
            process.stdin.write("go\n")
            process.stdin.flush()
            value = float(process.stdout.readline())
            if turn:
                figures[name].append(round(value, 4))
    for process in processes.values():
        process.stdin.close()
        process.wait()
    medians = {name: statistics.median(times) for name, times in figures.items()}
    return {n: {"version": versions[n], "median": medians[n], "rounds": times} for n, times in figures.items()}


def kernels(pythons: dict[str, str], rounds: int, documents: int, names: list[str]) -> dict:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_data(folder, documents)
        rows = contest(names, pythons, folder, rounds)
        tokens = int(np.load(folder / "lengths.npy").sum())
        scores = {n: np.load(folder / f"{n.replace(' ', '_')}.scores.npy") for n in names}
    ours, memory = rows["resift int8"]["median"], rows["read memory"]["median"]
    rows["read memory"]["unit"] = "GB/s"
    for name, row in rows.items():
        if name != "read memory":
            row["times_as_long_as_resift_int8"] = round(row["median"] / ours, 2)
            row["largest_difference_of_a_cosine"] = (
                float(np.abs(scores[name] - scores["resift int8"]).max()) / QUERY_TOKENS
            )
    for name, width in (("resift int8", DIMS + 4), ("resift f16", 2 * DIMS)):
        rows[name]["gb_per_second"] = round(tokens * width / rows[name]["median"] / 1e6, 2)
        rows[name]["share_of_memory_bandwidth"] = round(tokens * width / rows[name]["median"] / 1e6 / memory, 3)
    return {
        "documents": documents,
        "tokens": tokens,
        "query_tokens": QUERY_TOKENS,
        "dims": DIMS,
        "unit": "ms",
        "rows": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--maxsim-cpu", default="", help="the Python of an environment with maxsim-cpu")
    parser.add_argument("--pylate", default="", help="the Python of an environment with pylate")
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child, args.folder)
        return
    from machine import machine
    from resift.engine.native.maxsim_library import kernel

    pythons = {"maxsim-cpu": args.maxsim_cpu, "pylate rank.rerank": args.pylate}
    names = [n for n in KERNELS if pythons.get(n, "here")]
    compiled = kernel()
    result = {
        "kernel": compiled.name if compiled else "NumPy",
        "thousand": kernels(pythons, args.rounds, 1000, names),
        "ten_thousand": kernels({}, 5, 10_000, ["resift int8", "resift f16", "read memory"]),
        "machine": machine("torch"),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "maxsim.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
