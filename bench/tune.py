"""What `resift tune` gains on queries that it was not fitted to: `python bench/tune.py --cache build/tune`.

Every set has 250 queries at most, drawn with the seed 0, and again 50 of those with the English model; the default is a
search of an index with the model's token vectors. Scores are kept in the folder of --cache, so that a run that was
stopped goes on. Writes bench/results/tune-own.json after each set, and tune-own.md.
"""

import argparse
import json
from pathlib import Path

from beir import data_folder
from machine import machine
from resift.evaluate import DataFiles, read_dataset
from resift.tune import Tuned, TuneOptions, tune

MOST, FEW = 250, 50
SETS = {  # the model, the split, and how many queries at most
    "en_cranfield": ("resift-mini-en", "test", MOST),
    "en_cisi": ("resift-mini-en", "test", MOST),
    "en_cacm": ("resift-mini-en", "test", MOST),
    "en_stackfaq": ("resift-mini-en", "test", MOST),
    "xquad_en": ("resift-mini-en", "test", 150),
    "en_wikiqa": ("resift-mini-en", "test", MOST),
    "en_scifact": ("resift-mini-en", "test", 200),
    "vi_vicov19qa": ("resift-mini-multi", "test", MOST),
    "zh_qbqtc": ("resift-mini-multi", "dev", MOST),
}


def measured(name: str, limit: int, cache: Path) -> Tuned:
    model, split, _ = SETS[name]
    data = read_dataset(DataFiles(data_folder() / name, split=split)).sample(limit, 0)
    pipeline = f'bm25 + dense(model="{model}") >> {model}@100 >> blend'
    return tune(data, TuneOptions(pipeline, cache=cache / f"cache_{name}"))


def row(name: str, result: Tuned) -> dict:
    taken = next((level for level in result.levels if level.level == result.level), None)
    return {
        "set": name, "queries": result.queries, "default": round(result.default_value, 4), "taken": result.level,
        "levels": {str(x.level): {"pipeline": x.pipeline, "gain": [round(v, 4) for v in
                   (x.gain.value, x.gain.low, x.gain.high)]} for x in result.levels},
        "gain of what is taken": round(taken.gain.value, 4) if taken else 0.0,
        "notes": list(result.notes), "seconds": round(result.seconds, 1),
    }  # fmt: skip


def markdown(rows: list[dict]) -> str:
    lines = ["| set | queries | default | level 1 | level 2 | level 3 | taken |", "|---|---|---|---|---|---|---|"]
    for r in sorted(rows, key=lambda r: r["queries"] == FEW and r["set"] in {x["set"] for x in rows if x is not r}):
        gains = ["{:+.3f} [{:+.3f}, {:+.3f}]".format(*x["gain"]) for x in r["levels"].values()]
        lines.append(
            f"| {r['set']} | {r['queries']} | {r['default']:.3f} | {' | '.join(gains)} | {r['taken'] or 'default'} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    args = parser.parse_args()
    path = args.out / "tune-own.json"
    before = json.loads(path.read_text())["rows"] if path.exists() else []
    rows = {(r["set"], r["queries"]): r for r in before if r["set"] not in args.sets}
    for name in args.sets:
        model, _, most = SETS[name]
        for limit in (most, FEW) if model == "resift-mini-en" else (most,):
            r = row(name, measured(name, limit, args.cache))
            rows[name, r["queries"]] = r
            print(json.dumps(r), flush=True)
            result = {
                "measure": "nDCG@10, linear gain; intervals corrected for the number of levels and for folds",
                "machine": machine(), "rows": list(rows.values()),
            }  # fmt: skip
            path.write_text(json.dumps(result, indent=1) + "\n")
            (args.out / "tune-own.md").write_text(markdown(result["rows"]), "utf-8")


if __name__ == "__main__":
    main()
