"""How far a reader walks: the files of Resift that one search, one load, one opening of an index run through.

    python bench/walk.py            # PYTHONPATH=OTHER/src compares another checkout

For each job it counts the source files entered, the deepest stack in files (a file counts once as long as it stays on
the stack), and how often the model's config.json is opened.
"""

from __future__ import annotations

import builtins
import io
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import resift

SOURCE = str(Path(resift.__file__).parent)
DOCUMENTS = [f"{i} the keeper lit the lamp on the island and wrote down the weather" for i in range(30)]


class Walk:
    """Watches one job."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.levels, self.configs = 0, 0

    def run(self, job: Callable[[], object]) -> Walk:
        opened = {builtins: builtins.open, io: io.open}
        for module in opened:
            module.open = self._counting(opened[module])  # type: ignore[attr-defined]
        sys.setprofile(self._enter)
        try:
            job()
        finally:
            sys.setprofile(None)
            for module, original in opened.items():
                module.open = original  # type: ignore[attr-defined]
        return self

    def _enter(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call" or not frame.f_code.co_filename.startswith(SOURCE):
            return
        self.files.add(frame.f_code.co_filename)
        stack: list[str] = []
        above: FrameType | None = frame
        while above is not None:
            name = above.f_code.co_filename
            if name.startswith(SOURCE) and name not in stack:
                stack.append(name)
            above = above.f_back
        self.levels = max(self.levels, len(stack))

    def _counting(self, original: Callable[..., object]) -> Callable[..., object]:
        def opening(file: object, *arguments: object, **options: object) -> object:
            self.configs += str(file).endswith("/config.json")
            return original(file, *arguments, **options)

        return opening


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.checkpoints import cross_encoder

    folder = Path(tempfile.mkdtemp())
    (folder / "a.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in DOCUMENTS))
    resift.Index.build(folder / "index", folder / "a.jsonl", tensors=True)
    tiny = cross_encoder(folder / "tiny", "bert")
    index, model = resift.Index.of(DOCUMENTS), resift.load()
    jobs: dict[str, Callable[[], object]] = {
        "search in memory": lambda: index.search("who lit the lamp", reranker=model),
        "rerank": lambda: model.rerank("who lit the lamp", DOCUMENTS),
        "load the bundled model": lambda: resift.load("resift-mini-en"),
        "load a cross-encoder": lambda: resift.load(tiny),
        "open an index": lambda: resift.Index.open(folder / "index"),
    }
    rows = {name: Walk().run(job) for name, job in jobs.items()}
    print(f"{'job':24} {'files':>6} {'levels':>7} {'config.json opened':>19}")
    for name, walk in rows.items():
        print(f"{name:24} {len(walk.files):6} {walk.levels:7} {walk.configs:19}")


if __name__ == "__main__":
    main()
