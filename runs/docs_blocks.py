"""Writes the parts of the docs that the program itself knows: tree, layers, options, variables, figures.

python runs/docs_blocks.py           # make docs-tree
python runs/docs_blocks.py --check   # changes nothing; names pages that are out of date, and then ends with 1

A part stands between <!-- NAME --> and <!-- /NAME -->; what is there is replaced.
"""

import argparse
import ast
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from statistics import fmean
from typing import Any

from typer.main import get_command

from resift.cli.main import app
from resift.features.table import TABLE

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "resift"
RESULTS = ROOT / "bench" / "results"
WIDTH = 118


def wrapped(item: str) -> str:
    """A list item, at most WIDTH characters wide."""
    return textwrap.fill(
        item, WIDTH, initial_indent="* ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


# The tree of the package.


def sentence(path: Path) -> str:
    """What a file says of itself: the first sentence of its docstring, or of the comment that it begins with."""
    text = path.read_text()
    if path.suffix == ".py":
        text = ast.get_docstring(ast.parse(text)) or ""
    else:
        comment = re.match(r"/\*(.*?)\*/|((?:#[^\n]*\n)+)", text, re.S)
        text = re.sub(r"(?m)^\s*[#*]+ ?", "", next(filter(None, comment.groups()), "")) if comment else ""
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    return re.split(r"(?<=[.?!])\s+(?=[A-Z`])", paragraph)[0].rstrip(".")


def tree() -> str:
    """One section per folder: what it holds, then one clause per file."""
    lines = []
    for folder in sorted([PACKAGE, *(p.parent for p in PACKAGE.rglob("__init__.py") if p.parent != PACKAGE)]):
        lines += [
            f"### {folder.relative_to(PACKAGE.parent)}/",
            "",
            *textwrap.wrap(sentence(folder / "__init__.py") + ".", WIDTH),
            "",
        ]
        files = sorted(p for p in folder.iterdir() if p.suffix in (".py", ".c", ".toml") and p.stem != "__init__")
        lines += [wrapped(f"`{path.name}`: {sentence(path)}") for path in files]
        lines += [""] if files else []
    return "\n".join(lines).rstrip()


def layers() -> str:
    """The table of tests/test_structure.py: which folders and modules may import which."""
    module = ast.parse((ROOT / "tests" / "test_structure.py").read_text())
    (value,) = (n.value for n in module.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "LAYERS")
    rows = [", ".join(f"`{name}`" for name in sorted(layer)) for layer in ast.literal_eval(value)]
    return "\n".join(
        ["| layer | folders and modules |", "|---|---|", *(f"| {i} | {row} |" for i, row in enumerate(rows, 1))]
    )


# The command line.


def options(name: str) -> str:
    """Arguments and options of a command, with defaults and help as the program has them."""
    command: Any = get_command(app)
    for word in name.split():  # a command of a group, such as `train reranker`, has two
        command = command.commands[word]
    return "\n".join(wrapped(described(p)) for p in command.params if p.name != "help")


def described(parameter: Any) -> str:
    """One parameter: how it is spelt, its default, its help."""
    option = parameter.param_type_name == "option"
    spellings = [*parameter.opts, *parameter.secondary_opts] if option else [parameter.metavar or parameter.name]
    shown = ", ".join(f"`{spelling.strip('{}')}`" for spelling in spellings)
    text = parameter.show_default if isinstance(parameter.show_default, str) else parameter.default
    flag = option and parameter.is_flag
    silent = parameter.required or text in (None, "", ()) or text is False or callable(text)
    default = "" if silent else f" (default: `{parameter.opts[0] if flag else worded(text)}`)"
    return f"{shown}{default}: {' '.join(filter(None, [(parameter.help or '').strip(), bounds(parameter)]))}"


def bounds(parameter: Any) -> str:
    """Which values there are, as a sentence; empty where the type says all."""
    kind = parameter.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"One of {', '.join(f'`{member.value}`' for member in kind)}."
    if parameter.min is None:
        return ""
    return (
        f"{worded(parameter.min)} to {worded(parameter.max)}." if parameter.max else f"{worded(parameter.min)} or more."
    )


def worded(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(getattr(value, "value", value))


# Figures.


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)])


NAMES = {"en_stackfaq": "StackFAQ", "xquad_en": "XQuAD"}
FIRST, RERANKED = "bm25 + static", "blended over bm25 + static"
PAIRS, PASSAGES = "seconds for 1,000 pairs", "seconds for 2,000 passages"
TRANSFORMERS = "sentence-transformers"
SPEED = [
    (PAIRS, f"{TRANSFORMERS} f32", "pairs", "resift", f"{TRANSFORMERS} f32"),
    (PAIRS, f"{TRANSFORMERS} bf16", "backends", "resift", f"{TRANSFORMERS} bf16"),
    (PAIRS, "fastembed", "onnx", "resift", "fastembed"),
    (PASSAGES, f"{TRANSFORMERS} bf16", "encode bf16", "resift encode", f"{TRANSFORMERS} encode bf16"),
    (PASSAGES, "fastembed", "encode onnx", "resift encode", "fastembed encode"),
]


def worth() -> str:
    """What reranking gains, and how fast it is beside other libraries."""
    quality = json.loads((RESULTS / "quality.json").read_text())
    mean = quality["mean_gain_of_blended"][f"over {FIRST}"]
    name = f"nDCG@10, mean of {len(mean['sets'])} English collections"
    values = [[quality["sets"][key]["rows"][row]["nDCG@10"] for key in mean["sets"]] for row in (FIRST, RERANKED)]
    rows = [(name, *(f"{fmean(v):.3f}" for v in values), gain(mean["gain"], mean["interval"]))]
    for key in quality["sets"].keys() - mean["sets"]:
        data = quality["sets"][key]
        before, after = data["rows"][FIRST], data["rows"][RERANKED]
        numbers = (f"{before['nDCG@10']:.3f}", f"{after['nDCG@10']:.3f}", gain(after["gain"], after["interval"]))
        rows.append((f"nDCG@10, {NAMES[key]}, {data['queries']} queries", *numbers))
    rows[1:] = sorted(rows[1:])
    peers = json.loads((RESULTS / "peers.json").read_text())["groups"]
    for work, other, group, ours, theirs in SPEED:
        before, after = (peers[group]["rows"][row]["median_s"] for row in (theirs, ours))
        rows.append((f"{work}, {other}", f"{before:.1f}", f"{after:.1f}", f"{before / after:.1f} times as fast"))
    return table(("", "without", "with Resift", "difference (95 % interval)"), rows)


def gain(value: float, interval: list[float]) -> str:
    return f"{value:+.3f} ({interval[0]:+.3f} … {interval[1]:+.3f})"


SHORTER = (
    (r"1,000 pairs, lognormal \(median 90 tokens\), MiniLM-L6 shape", "1,000 pairs"),
    (r"XLM-R-base shape, every second of 200 pairs x 256 tokens", "XLM-R"),
    (r"MaxSim, 32 query tokens x 1,000 documents[^|]*", "MaxSim "),
    (r"rerank the top 100 with stored vectors[^|]*", "stored vectors "),
    (r"encode 2,000 passages of about 100 tokens", "2,000 passages"),
    (r"cold process to first score, warm disk cache", "cold start"),
    (r"GPU, 10,000 pairs of mixed length, XLM-R-base shape", "GPU"),
    (r"1,000 pairs: CPU time per token, peak memory", "1,000 pairs"),
    (r"the same through a MiniLM-L6 cross-encoder in", "a cross-encoder in"),
    (r"the model's FLOPs at the rate of bare products of its shapes", "bare products of the same shapes"),
)


def peers() -> str:
    """The first table of bench/results/peers.md, with short names for the work."""
    lines = (RESULTS / "peers.md").read_text().split("\n\n")[0].splitlines()
    for pattern, name in SHORTER:
        lines = [re.sub(rf"\| {pattern}", f"| {name}", line) for line in lines]
    return "\n".join(lines)


COMMANDS = (
    "search", "index", "rerank", "serve", "models", "evaluate", "report", "worth-it", "tune", "when", "tune-boosts",
    "judge", "features", "mine", "train ltr", "train reranker", "train embedder", "train late", "choose",
    "calibrate", "bench", "doctor", "export",
)  # fmt: skip


def features() -> str:
    """Every feature with its parameters and version, what it says, and what else a trainer needs to know of it."""
    items = []
    for row in TABLE.values():
        parameters = [
            key if isinstance(value, (type, frozenset)) else f"{key}={value or 'any'}"
            for key, value in row.parameters.items()
        ]
        inside = f"({', '.join(parameters)})" if parameters else ""
        marks = [f"version {row.version}"]
        marks += [{1: "more is better", -1: "less is better"}[row.direction]] if row.direction else []
        marks += ["depends on the other candidates"] if row.within_query else []
        marks += ["codes without an order"] if row.categorical else []
        items.append(wrapped(f"`{row.name}{inside}`: {row.purpose} ({'; '.join(marks)})."))
    return "\n".join(items)


def token_ids() -> str:
    """How many lines have other token ids than those of the reference, for each tokenizer."""
    result = json.loads((RESULTS / "tokenizers.json").read_text())
    rows = [
        (row["tokenizer"], " + ".join(f"`{name}`" for name in row["files"]), f"{row['lines']:,}", f"{row['ids']:,}",
         str(row["differing"]))
        for row in result["rows"]
    ]  # fmt: skip
    seconds = result["seconds to build"]
    return "\n".join(
        [
            table(("tokenizer", "files", "lines", "ids", "differing lines"), rows),
            "",
            *textwrap.wrap(
                f"The ids are those of {result['by']}. A `.model` file with {result['pieces']:,} pieces became a "
                f"tokenizer in {seconds['unigram']} s (unigram) and {seconds['bpe']} s (BPE) of processor time.",
                WIDTH,
            ),
        ]
    )


def thresholds() -> str:
    """What thresholds of one half of the queries do on the other, by collection."""
    return (RESULTS / "calibrate.md").read_text().strip()


BLOCKS: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"worth": worth},
    "docs/architecture.md": {"layers": layers, "tree": tree},
    "docs/calibrate.md": {"thresholds": thresholds},
    "docs/cli.md": {f"options of {name}": (lambda name=name: options(name)) for name in COMMANDS},
    "docs/features.md": {"table of features": features},
    "docs/performance.md": {"peers": peers},
    "docs/tokenizers.md": {"token ids": token_ids},
}


def pages() -> Iterator[tuple[Path, str, str]]:
    """Each page with generated parts: its path, its text, and what the text should be."""
    for page, blocks in BLOCKS.items():
        path = ROOT / page
        text = current = path.read_text()
        for name, block in blocks.items():
            match = re.search(rf"(?s)<!-- {name} -->.*?<!-- /{name} -->", text)
            if match is None:
                raise SystemExit(f"{page} has no place for {name}: <!-- {name} --> … <!-- /{name} -->")
            part = f"<!-- {name} -->\n\n{block()}\n\n<!-- /{name} -->"
            text = text[: match.start()] + part + text[match.end() :]
        yield path, current, text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; end with 1 where a page is out of date")
    check = parser.parse_args().check
    old = [path for path, current, text in pages() if current != text]
    for path, _, text in [] if check else list(pages()):
        path.write_text(text)
    if check and old:
        sys.exit(f"out of date: {', '.join(str(p.relative_to(ROOT)) for p in old)}; run: make docs-tree")


if __name__ == "__main__":
    main()
