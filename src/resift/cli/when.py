"""`resift when DATA`"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from resift.cli import options


def when(
    data: Annotated[
        Path, typer.Argument(help="A BEIR folder, or a JSONL, CSV or TSV file of judged pairs.", metavar="DATA")
    ],
    split: options.Split = None,
    pipeline: Annotated[
        str | None, typer.Option(show_default="a search's", help="For which the rule is learned.")
    ] = None,
    deeper: Annotated[int | None, typer.Option(min=1, help="A depth that the rule may choose instead.")] = None,
    measure: Annotated[str, typer.Option(help="What is gained.")] = "nDCG@10",
    least: Annotated[float, typer.Option(help="What a call of the model has to be expected to gain.")] = 0.01,
    limit: options.Limit = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample, the split and the intervals.")] = 0,
    cache: options.ScoreCache = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the rule, if one was learned.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (schema: docs/worth-it.md).")] = False,
) -> None:
    """Learn for which queries reranking is worth its time, and report it on queries that taught nothing.

    Example: resift when my-data -o when.json

    The rule is written only where it is better than chance; "not learnable here" is an answer, and exit code 0.
    """
    from resift import atomic
    from resift.cli import show
    from resift.cli.evaluate import check_files
    from resift.cli.left_out import say_defaults
    from resift.cli.progress import counter, resumable
    from resift.evaluate import DataFiles, named_measures, read_dataset
    from resift.worth.when import WhenOptions, learn_when, sentence

    named_measures.parse([measure])
    check_files(output)
    settings = WhenOptions(deeper, measure, least, cache, seed)
    with resumable(), counter() as count:
        dataset = read_dataset(DataFiles(data, split=split)).sample(limit, seed)
        rule, report = learn_when(dataset, pipeline, settings, count)
    say_defaults(dataset.default_models.taken)
    text = sentence(report, rule.measure)
    if as_json:
        show.print_json(rule.as_json() | {"sentence": text})
    else:
        typer.echo(text)
        for name, weight in sorted(rule.gain.weights.items(), key=lambda item: -abs(item[1])):
            typer.echo(f"  {name}: {weight:+.4f}")
    if output is not None and report.learned:
        atomic.write(output, [json.dumps(rule.as_json(), ensure_ascii=False, allow_nan=False).encode(), b"\n"])
    elif output is not None:
        typer.echo(f"resift: {output} was not written: there is no rule that is worth having", err=True)
