"""What engines compute from exported trees, beside the library that trained them: bench/results/ltr-exports.json.

python bench/ltr_exports.py           # make bench-exports

LightGBM's lambdarank and XGBoost's rank:ndcg, each trained on rows with and without absent values. A row of the result
is one format and one kind of rows: at thresholds and the numbers next to them, random, and with absent values.
"""

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import lightgbm
import numpy as np
import xgboost

from machine import machine
from resift.errors import ResiftError
from resift.trees import FORMATS, export, read_model
from resift.trees.parity import rows

RESULT = Path(__file__).parent / "results" / "ltr-exports.json"
NAMES = ["bm25(title)", "bm25(text)", "number(price)", "number(clicks)", "coverage", "score(colbert)", "z(colbert)"]
QUERIES, CANDIDATES, TREES = 100, 20, 100
COUNT = 999  # rows per model and format; an export compares 100


def training_rows(absent: bool) -> tuple[np.ndarray, np.ndarray]:
    """Float32 features, most of them with many zeros, and grades that depend on all of them."""
    random = np.random.default_rng(7)
    values = random.normal(size=(QUERIES * CANDIDATES, len(NAMES))).astype(np.float32)
    values[:, :5] = np.maximum(values[:, :5], 0)
    grades = values @ np.linspace(1, 0.2, len(NAMES)) + values[:, 0] * values[:, 5] + random.normal(size=len(values))
    if absent:
        values[random.random(values.shape) < 0.2] = np.nan
    return values, np.clip(grades, 0, 4).astype(int)


def trained(library: str, absent: bool, folder: Path) -> tuple[Path, object]:
    """The model's file, and its own prediction as a function of rows."""
    values, grades = training_rows(absent)
    groups = [CANDIDATES] * QUERIES
    if library == "lightgbm":
        data = lightgbm.Dataset(values, grades, group=groups, feature_name=NAMES)
        settings = {"objective": "lambdarank", "num_leaves": 31, "num_threads": 1, "verbose": -1}
        booster = lightgbm.train(settings, data, TREES)
        path, predict = folder / "model.txt", lambda matrix: booster.predict(matrix, raw_score=True, num_threads=1)
    else:
        data = xgboost.DMatrix(values, grades, feature_names=NAMES)
        data.set_group(groups)
        booster = xgboost.train({"objective": "rank:ndcg", "max_depth": 5, "nthread": 1}, data, TREES)
        path = folder / "model.json"

        def predict(matrix: np.ndarray) -> np.ndarray:
            return booster.predict(xgboost.DMatrix(matrix, feature_names=NAMES), output_margin=True)

    booster.save_model(str(path))
    return path, predict


def compare(library: str, absent: bool) -> list[dict]:
    with tempfile.TemporaryDirectory() as folder:
        path, predict = trained(library, absent, Path(folder))
        ensemble = read_model(path)
    model = {"library": library, "trained_with_absent_values": absent}
    results = []
    for matrix in rows(ensemble, ensemble.dtype, COUNT, True).values():
        difference = float(np.abs(ensemble.predict(matrix) - predict(matrix)).max())
        assert difference == 0, f"{library}: predictions differ by {difference}"
    for name in FORMATS:
        row = {**model, "format": name}
        try:
            result = export(ensemble, name, "model", rows=COUNT)
        except ResiftError as error:
            results.append({**row, "refused": str(error)})
            row["never_missing"] = True
            result = export(ensemble, name, "model", never_missing=True, rows=COUNT)
        results += [{**row, **asdict(part)} for part in result.parity]
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULT)
    output = parser.parse_args().output
    results = [
        row for library in ("lightgbm", "xgboost") for absent in (False, True) for row in compare(library, absent)
    ]
    value = {"machine": machine("lightgbm", "xgboost-cpu", "onnx", "onnxruntime"), "trees": TREES, "rows": results}
    output.write_text(json.dumps(value, indent=1) + "\n")
    for row in results:
        print(*row.values(), sep="\t")


if __name__ == "__main__":
    main()
