"""Our scores beside those of the libraries that the checkpoints were made with: `make parity`.

Tiny checkpoints with seeded random weights, one per architecture and setting, made as the tests make them, and
all-MiniLM-L6-v2 as it is (parity_vectors.py); pairs short and over-long; f32 everywhere. A row is the largest
difference over its pairs, and the standard deviation of the scores, which says how large a difference could have been.
Writes bench/results/parity.json and .md.

Each section is a function that yields rows; the rows of a section that can't run here are left out, and said so.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ["TQDM_DISABLE"] = "1"

from tests.checkpoints import DOUBLE, cross_encoder
from tests.references import jinabert, renamed
from tests.score.test_parity import CASES, OVERLONG, PAIRS, reference_logits
from tests.vector_checkpoints import DOCUMENTS, QUERIES, bge_m3

import parity_vectors
import resift
from machine import machine

FLAG_EMBEDDING = ("bert", "electra", "deberta-v2", "roberta", "xlm-roberta")
ALL = PAIRS + OVERLONG


@dataclass(frozen=True)
class Row:
    architecture: str
    reference: str
    pairs: int
    largest_difference: float
    deviation: float


def row(architecture: str, reference: str, ours: resift.types.Scores, theirs: np.ndarray) -> Row:
    difference = float(np.abs(np.array(ours.values, float) - theirs).max())
    return Row(architecture, reference, len(theirs), difference, float(np.std(theirs)))


def scored(folder: Path, rule: str, pairs: list[tuple[str, str]] = ALL) -> resift.types.Scores:
    return resift.load(folder, precision="f32", long_documents="truncate", truncation=rule).score(pairs)


def cross_encoders(root: Path) -> Iterator[Row]:
    """Against Transformers, and sentence-transformers with its truncation."""
    import torch
    from sentence_transformers import CrossEncoder

    for case, (model_type, config) in CASES.items():
        folder = cross_encoder(root / case.replace(" ", "-"), model_type, **config)
        ours = scored(folder, "longest_first")
        yield row(case, f"transformers {version('transformers')}", ours, reference_logits(folder, ALL))
        reference = CrossEncoder(str(folder), activation_fn=torch.nn.Identity()).predict(ALL)
        yield row(case, f"sentence-transformers {version('sentence-transformers')}", ours, reference)


def remote_code(root: Path) -> Iterator[Row]:
    """Architectures that Transformers lacks, or has in another layout."""
    from transformers import AutoTokenizer

    for heads, later in ((4, False), (6, False), (4, True), (6, True)):
        folder = jinabert.save(root / f"jina-{heads}-{later}", heads=heads, later=later)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        encoded = [tokenizer(q, d, truncation=True) for q, d in ALL]
        theirs = np.array([jinabert.logit(folder, e["input_ids"], e["token_type_ids"]) for e in encoded])
        name = f"jina-bert {'later' if later else 'first'} layout, {heads} heads"
        yield row(name, "plain torch", scored(folder, "longest_first"), theirs)
    for mixed in (None, 0.5):
        folder, model = renamed.mgte_ntk(root / f"ntk-{mixed}", mixed)
        theirs = reference_logits(folder, ALL, model)
        name = f"mgte (new), NTK{' mixed' if mixed else ''}"
        yield row(name, "transformers' gte, frequencies replaced", scored(folder, "longest_first"), theirs)
    folder, model = renamed.flash_xlmr(root / "flash")
    theirs = reference_logits(folder, ALL, model)
    yield row("xlm-roberta fused (jina v2)", "transformers' xlm-roberta", scored(folder, "longest_first"), theirs)


def flag_embedding(root: Path, python: str) -> Iterator[Row]:
    """Against FlagEmbedding, with its truncation, in an environment of its own."""

    def theirs(pairs: list[tuple[str, str]], *what: object) -> np.ndarray:
        script = [python, "-W", "ignore", "bench/flag_embedding.py", *map(str, what)]
        done = subprocess.run(script, input=json.dumps(pairs), capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"FlagEmbedding failed on {what}:\n{done.stderr}")
        return np.array(json.loads(done.stdout.splitlines()[-1]))

    for family in FLAG_EMBEDDING:
        double = family in DOUBLE
        folder = cross_encoder(root / f"flag-{family}", family, tokenizer="unigram" if double else "wordpiece")
        reference = theirs(ALL, "scores", folder, "double" if double else "single")
        yield row(family, "FlagEmbedding 1.4.0", scored(folder, "only_second"), reference)
    folder = bge_m3(root / "m3")
    settings = folder / "tokenizer_config.json"  # Transformers 4 does not know the class by 5's name
    config = json.loads(settings.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    settings.write_text(json.dumps(config))
    pairs = [(q, d) for q in QUERIES for d in DOCUMENTS]
    ours = resift.load(folder, precision="f32", long_documents="truncate").score(pairs)
    yield row("bge-m3, colbert head", "FlagEmbedding 1.4.0", ours, theirs(pairs, "colbert", folder))


def vectors(root: Path) -> Iterator[Row]:
    """Embedder and late interaction on the real weights of all-MiniLM-L6-v2."""
    reference, passages = f"sentence-transformers {version('sentence-transformers')}", parity_vectors.texts()
    figures = parity_vectors.embedder(passages)
    name = "all-MiniLM-L6-v2, embedder (vectors)"
    yield Row(name, reference, figures["texts"], figures["max_difference_f32"], figures["deviation"])
    figures = parity_vectors.late(passages, root / "late")
    name = "all-MiniLM-L6-v2 with a seeded projection, late interaction"
    yield Row(name, reference, figures["pairs"], figures["max_difference_f32"], figures["deviation"])


def table(rows: list[Row]) -> str:
    lines = [
        "| architecture | reference | pairs or texts | largest difference | standard deviation of the scores |",
        "|---|---|---|---|---|",
        *(
            f"| {r.architecture} | {r.reference} | {r.pairs} | {r.largest_difference:.1e} | {r.deviation:.2f} |"
            for r in rows
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flag-python", help="an interpreter that has FlagEmbedding; its rows are left out without")
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        rows = [*cross_encoders(root), *remote_code(root), *vectors(root)]
        if args.flag_python:
            rows += flag_embedding(root, args.flag_python)
    measured = {
        "precision": "f32",
        "largest_difference": max(r.largest_difference for r in rows),
        "rows": [asdict(r) for r in rows],
        "left_out": [] if args.flag_python else ["FlagEmbedding"],
        "machine": machine("torch", "transformers", "sentence-transformers"),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "parity.json").write_text(json.dumps(measured, indent=1) + "\n")
    (args.out / "parity.md").write_text(table(rows))
    print(table(rows))
    if measured["largest_difference"] > 1e-4:
        raise SystemExit(f"a score is off by {measured['largest_difference']:.1e}, more than 1e-4")


if __name__ == "__main__":
    main()
