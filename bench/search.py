"""Where the time of one `resift search` goes: `make bench-search`.

Each round searches 200 passages in a new process, with the compiled model in the cache: once in a file whose passages
are encoded on the spot, and once in an index that stores their token vectors. The figures are the milliseconds of each
step (some steps contain others) and of the whole process, as medians over the rounds. Writes
bench/results/search.json.
"""

import argparse
import contextlib
import functools
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

# (module, class or None, function): what is timed, and what it is called in the table.
STEPS = {
    "load the tokenizer and contract": ("resift.loading", None, "load"),
    "read and cut the files": ("resift.files", None, "read_paths"),
    "open the index": ("resift.api", "Index", "open"),
    "BM25 index": ("resift.retrieve.bm25", "BM25Retriever", "__init__"),
    "static vectors": ("resift.score.static", "StaticEmbedder", "embed"),
    "first stage": ("resift.retrieve.fuse", "Hybrid", "retrieve"),
    "guess the language": ("resift.rerank.guard", None, "choose"),
    "tokenize": ("resift.models.tokenizer", "Tokens", "encode"),
    "read the weights": ("resift.engine.native.native_engine", "NativeEngine", "_read"),
    "run the model": ("resift.engine.native.encoder_library", "CompiledEncoder", "run"),
    "MaxSim": ("resift.score.late_interaction", None, "maxsim"),
    "score (all of it)": ("resift.rerank.drive", None, "_judgements"),
    "blend": ("resift.rerank.blend", "Blend", "_blended"),
    "rerank (all of it)": ("resift.api", None, "drive"),
    "show": ("resift.cli.show", None, "print_table"),
}


def child(began: float, arguments: list[str]) -> None:
    started = time.time() - began
    import importlib

    from resift.cli.main import app

    spent: Counter[str] = Counter()

    def timed(name: str, function):
        @functools.wraps(function)
        def run(*args, **kwargs):
            at = time.perf_counter()
            try:
                value = function(*args, **kwargs)
                return list(value) if name == "read and cut the files" else value
            finally:
                spent[name] += (time.perf_counter() - at) * 1e3

        return run

    at = time.perf_counter()
    for module, *_ in STEPS.values():
        importlib.import_module(module)
    spent["import"] = (time.perf_counter() - at) * 1e3
    for name, (module, owner, function) in STEPS.items():
        place = importlib.import_module(module)
        place = getattr(place, owner) if owner else place
        wrapped = timed(name, getattr(place, function))
        setattr(place, function, staticmethod(wrapped) if function == "open" else wrapped)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        app(arguments)
    print(json.dumps({"start Python": started * 1e3, **spent, "whole process": (time.time() - began) * 1e3}))


def measure(arguments: list[str], rounds: int, environment: dict[str, str]) -> dict[str, float]:
    figures = []
    for _ in range(rounds + 1):
        command = [sys.executable, __file__, "--child", str(time.time()), *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        figures.append(json.loads(done.stdout.splitlines()[-1]))
    later = figures[1:]  # the first round compiles
    names = list(dict.fromkeys(name for figure in later for name in figure))
    return {name: round(statistics.median(f.get(name, 0.0) for f in later), 2) for name in names}


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(float(sys.argv[2]), sys.argv[3:])
        return
    from machine import machine
    from speed import texts

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    args = parser.parse_args()
    query = ["search", "when does reranking help"]
    with tempfile.TemporaryDirectory() as temporary:
        path, index = Path(temporary) / "passages.jsonl", str(Path(temporary) / "index")
        path.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts(200, 3)))
        environment = {**os.environ, "RESIFT_CACHE": temporary}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # packages are compiled when they are installed
        build = [sys.executable, "-m", "resift.cli.main", "index", str(path), "-o", index, "--tensors"]
        subprocess.run(build, check=True, capture_output=True, env=environment)
        result = {
            "passages": 200, "unit": "ms",
            "files": measure([*query, str(path)], args.rounds, environment),
            "index with token vectors": measure([*query, "--index", index], args.rounds, environment),
            "machine": machine(),
        }  # fmt: skip
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "search.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
