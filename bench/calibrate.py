"""Whether thresholds that were chosen on one half of the queries keep on the other half what they state.

    python bench/calibrate.py                  # make bench-calibrate
    python bench/calibrate.py --sets xquad_vi

`resift calibrate` itself, on collections whose queries have one right passage each or few: what BM25 finds beside it
and nobody judged counts as irrelevant. Both halves are of queries, dealt at random by the seed.
Writes bench/results/calibrate.json and .md.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from beir import data_folder
from machine import machine
from resift.calibrate.fit import FitOptions, calibrate
from resift.calibrate.report import CalibrationReport
from resift.calibrate.thresholds import Aim, Intent, Threshold
from resift.evaluate import DataFiles
from resift.evaluate.labels import read_labels
from resift.protocols import RemembersDocuments
from resift.score.load import load_scorer

SETS = {"en_pubmedqa": "resift-mini-en", "en_stackfaq": "resift-mini-en", "xquad_en": "resift-mini-en",
        "en_scifact": "resift-mini-en", "xquad_vi": "resift-mini-multi", "zh_drcd": "resift-mini-multi"}  # fmt: skip
INTENTS = (Intent(Aim.MIN_PRECISION, 0.8), Intent(Aim.MIN_PRECISION, 0.9), Intent(Aim.MAX_FALSE_KEEP, 0.05),
           Intent(Aim.MIN_RECALL, 0.9))  # fmt: skip
QUERIES, UNJUDGED = 200, 20
SEED = 0
_REMEMBERED = 512 << 20  # bytes


def report_of(name: str, model: str) -> CalibrationReport:
    labels = read_labels(DataFiles(data_folder() / name), UNJUDGED)
    ids = sorted({pair.query.id for pair in labels.pairs})
    drawn = {ids[i] for i in np.random.default_rng(SEED).permutation(len(ids))[:QUERIES]}
    notes = [*labels.notes, f"{len(drawn)} of {len(ids)} queries were drawn at random"]
    pairs = [pair for pair in labels.pairs if pair.query.id in drawn]
    scorer = load_scorer(model)
    assert isinstance(scorer, RemembersDocuments)  # many queries find the same passages
    return calibrate(scorer.remembering(_REMEMBERED), pairs, FitOptions(intents=INTENTS, seed=SEED), notes=notes)


def markdown(result: dict) -> str:
    lines = [
        "| set (queries) | model | intent | threshold | on the other half (95 %) | relevant kept | kept? |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, entry in result["sets"].items():
        for threshold in entry["thresholds"]:
            cells = [f"{name} ({entry['data']['queries']})", entry["model"]]
            cells += [f"{threshold['aim'].replace('_', ' ')} {threshold['limit']:g}"]
            if "least" not in threshold:
                lines.append(f"| {' | '.join([*cells, 'none can be trusted', '', '', ''])} |")
                continue
            report = threshold["report"]
            value, recall = report[threshold["aim"][4:]], report["recall"]
            cells += [f"{threshold['least']:.3f}", f"{value['value']:.3f} ({value['low']:.3f} … {value['high']:.3f})"]
            cells += [f"{recall['value']:.0%}", threshold["kept"]]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def kept(threshold: Threshold) -> str:
    """Whether the other half keeps what is stated: its value, or else its interval."""
    estimate = threshold.outcome and threshold.outcome.of(threshold.intent.aim)
    if estimate is None:
        return "nothing kept"
    limit, upper = threshold.intent.limit, threshold.intent.aim is Aim.MAX_FALSE_KEEP
    met = estimate.value <= limit if upper else estimate.value >= limit
    return "yes" if met else "no" if threshold.contradicted else "within the interval"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    args = parser.parse_args()
    sets = {}
    for name in args.sets:
        report = report_of(name, SETS[name])
        entry = {"model": SETS[name], "runs on": report.calibration.binding.runs_on, **report.entries()}
        for threshold, row in zip(report.thresholds, entry["thresholds"], strict=True):
            row |= {"kept": kept(threshold)} if threshold.least is not None else {}
        sets[name] = entry
        print(name, entry["separates"], entry["reasons"], flush=True)
    result = {"unjudged": UNJUDGED, "seed": SEED, "sets": sets, "machine": machine()}
    (args.out / "calibrate.json").write_text(json.dumps(result, indent=1) + "\n")
    (args.out / "calibrate.md").write_text(markdown(result), "utf-8")
    print(markdown(result))


if __name__ == "__main__":
    main()
