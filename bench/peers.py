"""Speed beside what a user would otherwise install, same weights, same inputs, one run: `make bench-peers`.

Each contestant is a process in an environment of its own (bench/peer_workers.py); they take turns, one round each, so
that every ratio is of one run; a figure is the median of the rounds, after one that warms up. What they read is made
by bench/peer_inputs.py. --only runs some groups and keeps the others' figures. Writes bench/results/peers.json, .md.
"""

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

WORKER = str(Path(__file__).with_name("peer_workers.py"))
SCALE = (1_000, 10_000, 100_000)
PAUSE_S = 0.3  # between turns: threads of the one before have stopped spinning


@dataclass(frozen=True)
class Group:
    """Contestants that take turns. `untimed` are run once, for their scores; truths are what scores are held against.

    items: how many pairs, requests or passages one run is. step: every so manieth of the inputs is taken.
    """

    items: int
    contestants: tuple[str, ...]
    truths: tuple[str, ...]
    each: int  # neighbouring items that are candidates of one question
    untimed: tuple[str, ...] = ()
    model: str = "cross-encoder"
    step: int = 1


ST, F32 = "sentence-transformers", "sentence-transformers f32"
GROUPS = {
    "pairs": Group(1000, ("resift", "resift f32", "products", F32), (F32, "resift f32"), 20),
    "backends": Group(1000, ("resift", f"{ST} bf16", f"{ST} onnx", f"{ST} openvino"), (F32,), 20),
    "onnx": Group(1000, ("resift", "fastembed", "flashrank"), (F32,), 20),
    "xlm-r": Group(100, ("resift xlm-r", f"{ST} xlm-r f32", f"{ST} xlm-r bf16"), (f"{ST} xlm-r f32",), 20,
                   model="xlm-r", step=2),
    "stored": Group(4, ("resift stored", f"{ST} stored"), ("resift stored f32",), 100, ("resift stored f32",)),
    "encode": Group(2000, ("resift encode", f"{ST} encode f32"), (f"{ST} encode f32", "resift encode f32"), 0,
                    ("resift encode f32",), "embedder"),
    "encode bf16": Group(2000, ("resift encode", f"{ST} encode bf16"), (f"{ST} encode f32",), 0, (), "embedder"),
    "encode onnx": Group(2000, ("resift encode", "fastembed encode"), (f"{ST} encode f32",), 0, (), "embedder"),
}  # fmt: skip
PAIRS, LONG = (
    "1,000 pairs, lognormal (median 90 tokens), MiniLM-L6 shape",
    "XLM-R-base shape, every second of 200 pairs x 256 tokens",
)
ENCODE, COLD = "encode 2,000 passages of about 100 tokens", "cold process to first score, warm disk cache"
# (work, against, goal, group, ours, theirs): theirs takes so many times as long.
ROWS = (
    (PAIRS, "sentence-transformers torch fp32, its defaults", 7, "pairs", "resift", F32),
    (PAIRS, "sentence-transformers torch bf16, best batch size", 2.5, "backends", "resift", f"{ST} bf16"),
    (PAIRS, "sentence-transformers onnx, best batch size", 3, "backends", "resift", f"{ST} onnx"),
    (PAIRS, "sentence-transformers openvino, best batch size", 1.1, "backends", "resift", f"{ST} openvino"),
    (PAIRS, "fastembed TextCrossEncoder.rerank_pairs, best batch size", 3, "onnx", "resift", "fastembed"),
    (PAIRS, "FlashRank Ranker.rerank", 3, "onnx", "resift", "flashrank"),
    (PAIRS, "the model's FLOPs at the rate of bare products of its shapes", 0.6, "pairs", "resift", "products"),
    (LONG, "sentence-transformers torch fp32, its defaults", 5, "xlm-r", "resift xlm-r", f"{ST} xlm-r f32"),
    (LONG, "sentence-transformers torch bf16, best batch size", 1.3, "xlm-r", "resift xlm-r", f"{ST} xlm-r bf16"),
    ("rerank the top 100 with stored vectors, resift-mini-en, query encoding included",
     "the same through a MiniLM-L6 cross-encoder in sentence-transformers", 50, "stored", "resift stored",
     f"{ST} stored"),
    (ENCODE, "sentence-transformers torch fp32, its defaults", 5, "encode", "resift encode", f"{ST} encode f32"),
    (ENCODE, "sentence-transformers torch bf16, best batch size", 2, "encode bf16", "resift encode",
     f"{ST} encode bf16"),
    (ENCODE, "fastembed TextEmbedding, best batch size", 3, "encode onnx", "resift encode", "fastembed encode"),
    (COLD, "sentence-transformers", 8, "cold", "resift", ST),
    (COLD, "a bare ONNX Runtime session with tokenizers", 1, "cold", "resift", "onnxruntime"),
)  # fmt: skip


class Busy:
    """CPU seconds that processes other than this one and its children spent while it was open."""

    def __enter__(self) -> "Busy":
        self.began = self._both()
        return self

    def __exit__(self, *_: object) -> None:
        everybody, own = (b - a for a, b in zip(self.began, self._both(), strict=True))
        self.others_s = round(max(0.0, everybody - own), 2)

    def __init__(self, pids: list[int]) -> None:
        self.pids = pids

    def _both(self) -> tuple[float, float]:
        tick = os.sysconf("SC_CLK_TCK")
        fields = [int(f) for f in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        own = sum(getattr(resource.getrusage(w), f) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
                  for f in ("ru_utime", "ru_stime"))  # fmt: skip
        for pid in self.pids:
            after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            own += (int(after[11]) + int(after[12])) / tick
        return (sum(fields[:3]) + sum(fields[5:8])) / tick, own


class Turn:
    """One contestant's process."""

    def __init__(self, name: str, python: str, folder: Path, errors: Path) -> None:
        self.name, self.errors = name, errors
        command = [python, "-W", "ignore", WORKER, "contest", name, str(folder)]
        with errors.open("w") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.said = self.answer()

    def answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended:\n{self.errors.read_text()[-2000:]}")
        return json.loads(line)

    def run(self, step: int) -> float:
        self.process.stdin.write(f"{step}\n")
        self.process.stdin.flush()
        return self.answer()["seconds"]

    def end(self) -> dict:
        self.process.stdin.close()
        said = self.answer()
        self.process.wait()
        return said


def contest(group: Group, pythons: dict[str, str], folder: Path, rounds: int) -> dict:
    """Let the contestants take turns; seconds of each round and what they said of themselves."""
    missing = [n for n in group.contestants if python_of(n, pythons) is None]
    names = [n for n in group.contestants if n not in missing]
    with tempfile.TemporaryDirectory() as logs:
        turns = []
        for name in (*names, *group.untimed):
            turns.append(Turn(name, python_of(name, pythons), folder, Path(logs) / name.replace(" ", "_")))
        seconds: dict[str, list[float]] = {name: [] for name in names}
        with Busy([t.process.pid for t in turns]) as busy:
            for turn in range(rounds + 1):
                for own in turns:
                    if own.name in names or turn == 0:
                        slow = own.name.startswith(ST) and own.name.endswith("f32")
                        took = own.run(group.step * (8 if turn == 0 and slow else 1))  # torch needs no more to warm up
                        if turn:
                            seconds[own.name].append(round(took, 4))
                        time.sleep(PAUSE_S)
                print({n: s[-1:] for n, s in seconds.items()}, flush=True)
        rows = {t.name: t.said | t.end() for t in turns}
    for name, took in seconds.items():
        median = statistics.median(took)
        rows[name] |= {"seconds": took, "median_s": round(median, 4), "per_second": round(group.items / median, 1)}
    for row in rows.values():
        row.pop("pid")
    return {"items": group.items, "rounds": rounds, "others_cpu_s": busy.others_s, "not_run": missing, "rows": rows}


def python_of(name: str, pythons: dict[str, str]) -> str | None:
    """The Python of a contestant's environment; None where there is none."""
    for own in ("onnx", "openvino", "fastembed", "flashrank"):
        if own in name.split():
            return pythons.get(own)
    return sys.executable


def agreement(group: Group, folder: Path, rows: dict) -> None:
    """Hold each contestant's scores against the truths that were saved, by this run or an earlier one."""
    from speed import ranks_kept

    def scores(name: str) -> np.ndarray | None:
        path = folder / "scores" / f"{name}.npy"
        found = np.load(path) if path.exists() else None
        return found if found is None or group.each else similarities(found)

    for name, row in rows.items():
        row.pop("agreement", None)
        for truth in group.truths:
            theirs, ours = scores(truth), scores(name)
            same = truth.startswith("resift") <= name.startswith("resift")  # what is our own f32 is ours to keep
            if same and name != truth and theirs is not None and ours is not None:
                row.setdefault("agreement", {})[truth] = ranks_kept(theirs, ours, group.each or 200)


def similarities(vectors: np.ndarray) -> np.ndarray:
    """Cosines of every fortieth passage with the 200 behind it, for scores that can be ranked."""
    long = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.concatenate([long[i + 1 : i + 201] @ long[i] for i in range(0, len(long) - 200, 40)])


def cold(pythons: dict[str, str], folder: Path, rounds: int) -> dict:
    """Seconds from the start of a process to its first score; the disk's cache and our compiled model are warm."""
    seconds: dict[str, list[float]] = {name: [] for name in ("resift", "onnxruntime", ST)}
    # Packages are compiled when they are installed; a checkout is not where Python may not write.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for turn in range(rounds + 1):
        for name, took in seconds.items():
            began = time.time()
            command = [sys.executable, "-W", "ignore", WORKER, "cold", name, str(folder)]
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
            if turn:
                took.append(round(json.loads(done.stdout)["at"] - began, 4))
            time.sleep(PAUSE_S)
    rows = {n: {"seconds": s, "median_s": round(statistics.median(s), 4)} for n, s in seconds.items()}
    return {"rounds": rounds, "rows": rows}


def scale(folder: Path, rounds: int, sizes: list[int]) -> dict:
    """Seconds and memory of so many pairs at once, each in a new process."""
    from peer_inputs import lognormal_pairs

    runs = []
    for pairs in sizes:
        path = folder / f"scale-{pairs}.json"
        if not path.exists():
            path.write_text(json.dumps(lognormal_pairs(pairs, pairs)))
        own = []
        for _ in range(rounds if pairs < 10_000 else 1):
            with Busy([]) as busy:
                command = [sys.executable, "-W", "ignore", WORKER, "scale", str(pairs), str(folder)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
            own.append(json.loads(done.stdout) | {"others_cpu_s": busy.others_s})
        found = sorted(own, key=lambda o: o["seconds"])[len(own) // 2]
        found["us_per_token"] = round(found["seconds"] / found["tokens"] * 1e6, 3)
        found["cpu_us_per_token"] = round(found["cpu_seconds"] / found["tokens"] * 1e6, 3)
        print(found, flush=True)
        runs.append(found | {"runs": len(own)})
    return {"runs": runs}


def figure(group: dict, ours: str, theirs: str) -> float | None:
    rows = group.get("rows", {})
    if not {ours, theirs} <= rows.keys():
        return None
    return rows[theirs]["median_s"] / rows[ours]["median_s"]


def cut(value: float) -> str:
    """Two digits and more, never rounded up."""
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{math.floor(value * 10**digits) / 10**digits:.{digits}f}"


def table(groups: dict, maxsim: dict | None) -> list[tuple[str, str, str, str, str]]:
    """(work, against, goal, measured, whether it is reached)."""
    found = []
    for work, against, goal, group, ours, theirs in ROWS:
        value = figure(groups.get(group, {}), ours, theirs)
        share = goal < 1
        goal_text = f"≥ {goal * 100:g} %" if share else f"≥ {goal:g}x"
        if value is None:
            found.append((work, against, goal_text, "not run", ""))
            continue
        measured = f"{math.floor(value * 1000) / 10:g} %" if share else f"{cut(value)}x"
        found.append((work, against, goal_text, measured, "yes" if value >= goal else "**no**"))
    found[9:9] = maxsim_rows(maxsim) if maxsim else []
    gpu = ("GPU, 10,000 pairs of mixed length, XLM-R-base shape", "sentence-transformers fp16", "≥ 2x", "not run", "")
    return [*found, *scale_rows(groups.get("scale", {})), gpu]


def maxsim_rows(result: dict) -> list[tuple[str, str, str, str, str]]:
    rows, found = result["thousand"]["rows"], []
    work = "MaxSim, 32 query tokens x 1,000 documents x ~120 tokens x 128 dims, ragged, warm (maxsim.json)"
    for name, goal in (("torch einsum, padded", 8), ("maxsim-cpu", 1.3), ("pylate rank.rerank", 8)):
        if name in rows:
            value = rows[name]["median"] / rows["resift int8"]["median"]
            found.append((work, name, f"≥ {goal}x", f"{cut(value)}x", "yes" if value >= goal else "**no**"))
    share = rows["resift int8"]["share_of_memory_bandwidth"]
    measured = f"{math.floor(share * 1000) / 10:g} %"
    return [*found, (work, "the measured memory bandwidth", "≥ 50 %", measured, "yes" if share >= 0.5 else "**no**")]


def scale_rows(group: dict) -> list[tuple[str, str, str, str, str]]:
    runs, found = group.get("runs", []), []
    for run in runs[1:]:
        off = run["cpu_us_per_token"] / runs[0]["cpu_us_per_token"] - 1
        memory = f"{runs[0]['peak_rss_mib']} → {run['peak_rss_mib']} MiB, inputs {run['rss_before_mib']}"
        reached = "yes" if off <= 0.1 else "**no**"
        found.append((f"{run['pairs']:,} pairs", "1,000 pairs: CPU time per token, peak memory", "≤ +10 %, flat",
                      f"{off * 100:+.1f} %, {memory}", reached))  # fmt: skip
    measured = {run["pairs"] for run in runs}
    found += [(f"{n:,} pairs", "itself", "≤ +10 %, flat", "not run", "") for n in SCALE if n not in measured]
    return found


def markdown(result: dict, maxsim: dict | None) -> str:
    lines = ["| work | against | goal | measured | reached |", "|---|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in table(result["groups"], maxsim)]
    lines += ["", "Goals are stated for two cores with AMX. Ratios are of medians, cut and not rounded.", ""]
    lines += ["| group | contestant | median s | per second | batch size | padding | truncated | τ, per question | "
              "ten best kept | held against |", "|---|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for name, group in result["groups"].items():
        for contestant, row in group.get("rows", {}).items():
            own = [name, contestant, row.get("median_s", ""), row.get("per_second", ""), row.get("batch_size", "")]
            own += [percent(row.get("padding")), percent(row.get("truncated_at_most"))]
            held = row.get("agreement") or {"": {}}
            for truth, kept in held.items():
                tau = f"{kept['kendall_tau']}, {kept['kendall_tau_per_question']}" if kept else ""
                more = [tau, percent(kept.get("ten_best_kept")), truth]
                lines.append(f"| {' | '.join(str(v) for v in (*own, *more))} |")
    return "\n".join(lines) + "\n"


def percent(value: float | None) -> str:
    return "" if value is None else f"{value * 100:g} %"


def main() -> None:
    from machine import machine
    from peer_inputs import prepare, weights_hash

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cross-encoder", type=Path, default=Path("build/cross-encoder"))
    parser.add_argument("--environments", type=Path, default=Path("build/peers"), help="one folder per library")
    parser.add_argument("--inputs", type=Path, default=Path("build/peers/inputs"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=[*GROUPS, "cold", "scale"], default=[*GROUPS, "cold", "scale"])
    parser.add_argument("--scale", type=int, nargs="*", default=list(SCALE))
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    args = parser.parse_args()
    pythons = {p.parents[1].name: str(p) for p in args.environments.glob("*/bin/python")}
    inputs = args.inputs.resolve()
    prepare(inputs, args.cross_encoder)
    path = args.out / "peers.json"
    for name in args.only:
        if name in ("cold", "scale"):
            found = cold(pythons, inputs, args.rounds) if name == "cold" else scale(inputs, args.rounds, args.scale)
        else:
            found = contest(GROUPS[name], pythons, inputs, args.rounds)
            found["weights_sha256"] = weights_hash(inputs / GROUPS[name].model)
        result = json.loads(path.read_text()) if path.exists() else {"groups": {}}
        before = result["groups"].get(name, {}) if name == "scale" else {}
        kept = [r for r in before.get("runs", []) if r["pairs"] not in args.scale]
        result["groups"][name] = found | (
            {"runs": sorted(kept + found["runs"], key=lambda r: r["pairs"])} if kept else {}
        )
        result["machine"] = machine("torch", "transformers", "sentence-transformers", "onnxruntime")
        save(result, args.out, inputs)
    print(markdown(result, stored_maxsim(args.out)))


def stored_maxsim(out: Path) -> dict | None:
    path = out / "maxsim.json"
    return json.loads(path.read_text()) if path.exists() else None


def save(result: dict, out: Path, inputs: Path) -> None:
    for name, group in GROUPS.items():
        if name in result["groups"]:
            agreement(group, inputs, result["groups"][name]["rows"])
    out.mkdir(parents=True, exist_ok=True)
    (out / "peers.json").write_text(json.dumps(result, indent=1) + "\n")
    (out / "peers.md").write_text(markdown(result, stored_maxsim(out)))


if __name__ == "__main__":
    main()
