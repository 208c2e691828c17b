"""schemathesis against a live `resift serve` with an index: `make bench-fuzz`.

It sends what the server's own OpenAPI document allows and what it forbids, and holds every answer against the document.
Keeps schemathesis' own words in bench/results/fuzz.txt. Fails when it does, but for one kind of finding: the document
asks for a letter or digit in a query, so that what it allows is never refused, and the server also takes a lone "¥".
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from load import Server
from resift import Index

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=100, help="of each operation and phase")
    parser.add_argument("--port", type=int, default=18714)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        Index.build(f"{temporary}/docs.index", "docs")
        with Server(["--index", f"{temporary}/docs.index"], args.port, {"RESIFT_QUEUE_SECONDS": "60"}) as server:
            command = [
                Path(sys.executable).with_name("schemathesis"), "--no-color", "run", f"{server.url}/openapi.json",
                "--checks", "all", "--max-examples", str(args.examples), "--continue-on-failure", "--seed", "7",
            ]  # fmt: skip
            done = subprocess.run(command, cwd=temporary, capture_output=True, text=True, check=False)
    print(done.stdout + done.stderr)
    (RESULTS / "fuzz.txt").write_text("\n".join(line.rstrip() for line in done.stdout.splitlines()) + "\n")
    failures = re.findall(r"^- (.*)$", done.stdout, re.M)
    known = re.findall(r"Invalid component: .*not matching the '\\w' pattern", done.stdout)
    sys.exit(done.returncode if len(known) < len(failures) or not failures else 0)


if __name__ == "__main__":
    main()
