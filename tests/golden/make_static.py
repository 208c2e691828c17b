"""Writes static.json: what model2vec 0.10 makes of the tiny models of tests/static_checkpoints.py.

Run in an environment with model2vec: python tests/golden/make_static.py
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.static_checkpoints import STATIC, TEXTS, static


def main() -> None:
    from model2vec import StaticModel

    found = {}
    for name in STATIC:
        with tempfile.TemporaryDirectory() as folder:
            vectors = StaticModel.from_pretrained(static(Path(folder), name)).encode(TEXTS)
        found[name] = np.round(vectors.astype(np.float64), 7).tolist()
    Path(__file__).with_name("static.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
