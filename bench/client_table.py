"""Real, unmodified clients against a live server: `make test-clients`.

Each environment in bench/clients/*.txt is made under build/clients, its scripts are run, and the table is written to
bench/results/clients.json and .md. Fails when a call does. The .txt say every version, so that pip need not look for
one that fits; they are made anew from the .in: `uv pip compile --no-annotate --no-header NAME.in -o NAME.txt`.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import resift
from machine import machine

HERE, ROOT = Path(__file__).parent, Path(__file__).parent.parent
SCRIPTS = {
    "langchain": ["cohere_sdk", "voyage_sdk", "langchain_litellm"],
    "infinity": ["infinity_langchain"],
    "llamaindex": ["cohere_sdk", "voyage_sdk", "llamaindex_rerankers"],
    "haystack": ["cohere_sdk", "haystack_rankers", "others"],
}


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    rows: list[dict] = []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, HERE / "clients" / "server.py", str(port)])
    try:
        url = f"http://127.0.0.1:{port}"
        wait(url, server)
        environment = os.environ | {"RESIFT_URL": url} | truth()
        for name, scripts in SCRIPTS.items():
            python = environment_of(name)
            for script in scripts:
                rows += run(python, script, environment)
    finally:
        server.terminate()
        server.wait()
    write(rows)
    broken = [r for r in rows if not r["works"]]
    sys.exit(f"{len(broken)} of {len(rows)} calls fail" if broken else 0)


def truth() -> dict[str, str]:
    """The order and scores of the library itself, for `clients/check.py`."""
    sys.path.insert(0, str(HERE / "clients"))
    os.environ |= {"RESIFT_URL": "", "RESIFT_ORDER": "[]", "RESIFT_SCORES": "[]"}
    import check

    ranking = resift.load("resift-mini-en").rerank(check.QUERY, check.DOCUMENTS)
    scores = {int(c.document.id): (1 + c.score.value) / 2 for c in ranking}
    return {
        "RESIFT_ORDER": json.dumps([int(c.document.id) for c in ranking]),
        "RESIFT_SCORES": json.dumps([scores[i] for i in range(len(scores))]),
    }


def environment_of(name: str) -> Path:
    folder, wanted = ROOT / "build" / "clients" / name, HERE / "clients" / f"{name}.txt"
    python, done = folder / "bin" / "python", folder / "installed.txt"
    if not done.exists() or done.read_text() != wanted.read_text():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "-r", wanted], check=True)
        done.write_text(wanted.read_text())
    return python


def wait(url: str, server: subprocess.Popen) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(url + "/health", timeout=1).close()
            return
        except OSError:
            if server.poll() is not None:
                sys.exit("the server did not start")
            time.sleep(0.1)
    sys.exit("the server does not answer")


def run(python: Path, script: str, environment: dict[str, str]) -> list[dict]:
    file = HERE / "clients" / f"{script}.py"
    done = subprocess.run([python, "-W", "ignore", file], env=environment, cwd=ROOT / "build", capture_output=True,
                          text=True, timeout=300)  # fmt: skip
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"client"')]
    if done.returncode or not all(r["works"] for r in rows):
        sys.stderr.write(done.stderr[-4000:])
    if done.returncode:
        rows.append({"client": script, "version": "", "call": "the script", "works": False, "said": done.stderr[-300:]})
    return rows


def write(rows: list[dict]) -> None:
    results = HERE / "results"
    table = {"resift": resift.__version__, "machine": machine(), "calls": rows}
    (results / "clients.json").write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")
    lines = ["# Clients", "", "Unmodified clients against `resift serve` with resift-mini-en (`make test-clients`).",
             "Works: the order is the library's own, and the scores are, where the client shows them.", "",
             "| client | version | call | works |", "| --- | --- | --- | --- |"]  # fmt: skip
    lines += [
        f"| {r['client']} | {r['version']} | {r['call']} | {'yes' if r['works'] else 'no: ' + r['said']} |"
        for r in rows
    ]
    (results / "clients.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
