"""`resift train reranker DATA…`, and the same of an embedder and of late interaction."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from resift.cli import options as common
from resift.cli import train_options as options

if TYPE_CHECKING:
    from rich.console import Console

    from resift.train.data import ReadOptions
    from resift.train.neural.dry_run import DryRun
    from resift.train.neural.plan import Plan
    from resift.train.neural.report import TrainingReport
    from resift.train.neural.settings import TrainingSettings


def train_reranker(
    base: options.Base,
    data: options.Data = None,
    output: options.Output = None,
    loss: options.Losses = None,
    measure: options.Measures = None,
    dev: options.Dev = None,
    general: options.General = None,
    epochs: options.Epochs = 1.0,
    steps: options.Steps = 0,
    batch: options.Batch = 32,
    accumulation: options.Accumulation = 1,
    learning_rate: options.LearningRate = 2e-5,
    warmup: options.Warmup = 0.1,
    max_tokens: options.MaxTokens = None,
    list_size: options.ListSize = 8,
    negatives: options.Negatives = 4,
    precision: options.PrecisionOption = options.Precision.AUTO,
    evaluations: options.Evaluations = 10,
    patience: options.Patience = 4,
    depth: options.Depth = 30,
    candidates: options.CandidatesOption = options.Candidates.AUTO,
    lora: options.Lora = 0,
    heads: options.Heads = None,
    merge: options.Merge = True,
    interpolate: options.Interpolate = None,
    remine: options.Remine = 0,
    corpus: options.Corpus = None,
    columns: options.Columns = None,
    labels: options.Labels = None,
    split: options.Split = None,
    subset: options.Subset = None,
    sql: options.Sql = None,
    queries: common.QueriesFile = None,
    qrels: common.QrelsFile = None,
    run: options.Run = None,
    seed: options.Seed = 0,
    resume: options.Resume = False,
    force: options.Force = False,
    dry_run: options.DryRunOption = False,
    as_json: options.AsJson = False,
) -> None:
    """Train a cross-encoder on examples: measured before, meanwhile and after, and not written where it is worse.

    Example: resift train reranker examples.jsonl --base cross-encoder/ms-marco-MiniLM-L6-v2 --output my-reranker
    """
    from resift.train.neural.settings import AUTO, TrainingSettings

    settings = TrainingSettings(
        base, "reranker", tuple(loss or (AUTO,)), tuple(measure or ()), epochs, steps, batch, accumulation,
        learning_rate, warmup, max_tokens, list_size, negatives, precision.value, evaluations, patience, depth,
        candidates.value, lora=lora, heads=options.layers(heads), merge=merge, interpolate=interpolate, remine=remine,
        seed=seed, force=force, resume=resume,
    )  # fmt: skip
    reading = options.reading(columns, labels, split, subset, sql, queries, corpus, qrels, run)
    _run(_plan(data, reading, settings, dev, general), output, dry_run, as_json)


def train_embedder(
    base: options.Base,
    data: options.Data = None,
    output: options.Output = None,
    loss: options.Losses = None,
    measure: options.Measures = None,
    dev: options.Dev = None,
    general: options.General = None,
    epochs: options.Epochs = 1.0,
    steps: options.Steps = 0,
    batch: options.Documents = 64,
    accumulation: options.Accumulation = 1,
    learning_rate: options.LearningRate = 2e-5,
    warmup: options.Warmup = 0.1,
    max_tokens: options.LongestText = None,
    negatives: options.Negatives = 1,
    precision: options.PrecisionOption = options.Precision.AUTO,
    evaluations: options.Evaluations = 10,
    patience: options.Patience = 4,
    documents: options.Searched = 2000,
    interpolate: options.Interpolate = None,
    remine: options.Remine = 0,
    corpus: options.Corpus = None,
    columns: options.Columns = None,
    labels: options.Labels = None,
    split: options.Split = None,
    subset: options.Subset = None,
    sql: options.Sql = None,
    queries: common.QueriesFile = None,
    qrels: common.QrelsFile = None,
    run: options.Run = None,
    seed: options.Seed = 0,
    resume: options.Resume = False,
    force: options.Force = False,
    dry_run: options.DryRunOption = False,
    as_json: options.AsJson = False,
) -> None:
    """Train an embedder on examples: measured by a search before, meanwhile and after, and not written where worse.

    Example: resift train embedder mined.jsonl --base sentence-transformers/all-MiniLM-L6-v2 --output my-embedder
    """
    from resift.train.neural.settings import AUTO, TrainingSettings

    settings = TrainingSettings(
        base, "embedder", tuple(loss or (AUTO,)), tuple(measure or ()), epochs, steps, batch, accumulation,
        learning_rate, warmup, max_tokens, negatives=negatives, precision=precision.value, evaluations=evaluations,
        patience=patience, documents=documents, interpolate=interpolate, remine=remine, seed=seed,
        force=force, resume=resume,
    )  # fmt: skip
    reading = options.reading(columns, labels, split, subset, sql, queries, corpus, qrels, run)
    _run(_plan(data, reading, settings, dev, general), output, dry_run, as_json)


def train_late(
    base: options.Base,
    data: options.Data = None,
    output: options.Output = None,
    loss: options.Losses = None,
    measure: options.Measures = None,
    dev: options.Dev = None,
    general: options.General = None,
    epochs: options.Epochs = 1.0,
    steps: options.Steps = 0,
    batch: options.Documents = 64,
    accumulation: options.Accumulation = 1,
    learning_rate: options.LearningRate = 2e-5,
    warmup: options.Warmup = 0.1,
    max_tokens: options.LongestText = None,
    dims: options.Dims = 128,
    negatives: options.Negatives = 1,
    precision: options.PrecisionOption = options.Precision.AUTO,
    evaluations: options.Evaluations = 10,
    patience: options.Patience = 4,
    depth: options.Depth = 30,
    candidates: options.CandidatesOption = options.Candidates.AUTO,
    interpolate: options.Interpolate = None,
    remine: options.Remine = 0,
    corpus: options.Corpus = None,
    columns: options.Columns = None,
    labels: options.Labels = None,
    split: options.Split = None,
    subset: options.Subset = None,
    sql: options.Sql = None,
    queries: common.QueriesFile = None,
    qrels: common.QrelsFile = None,
    run: options.Run = None,
    seed: options.Seed = 0,
    resume: options.Resume = False,
    force: options.Force = False,
    dry_run: options.DryRunOption = False,
    as_json: options.AsJson = False,
) -> None:
    """Train a late-interaction model on examples: measured before, meanwhile and after, and not written where worse.

    Example: resift train late mined.jsonl --base sentence-transformers/all-MiniLM-L6-v2 --output my-late
    """
    from resift.train.neural.settings import AUTO, TrainingSettings

    settings = TrainingSettings(
        base, "late", tuple(loss or (AUTO,)), tuple(measure or ()), epochs, steps, batch, accumulation, learning_rate,
        warmup, max_tokens, negatives=negatives, precision=precision.value, evaluations=evaluations, patience=patience,
        depth=depth, candidates=candidates.value, dims=dims, interpolate=interpolate, remine=remine, seed=seed,
        force=force, resume=resume,
    )  # fmt: skip
    reading = options.reading(columns, labels, split, subset, sql, queries, corpus, qrels, run)
    _run(_plan(data, reading, settings, dev, general), output, dry_run, as_json)


def _plan(
    data: list[str] | None, reading: ReadOptions, settings: TrainingSettings, dev: Path | None, general: Path | None
) -> Plan:
    from resift.errors import InputError
    from resift.train.data import read_examples, read_measured
    from resift.train.neural.plan import make_plan

    if data and len(data) > 1 and reading.qrels is not None:
        raise InputError(f"the judgements of --qrels are of one data set, and {len(data)} are named; name one")
    sets = [read_examples(each, reading) for each in data or (None,)]
    return make_plan(sets, settings, *(None if path is None else read_measured(path) for path in (dev, general)))


def _run(plan: Plan, output: Path | None, dry_run: bool, as_json: bool) -> None:
    from rich.console import Console

    from resift.cli import show
    from resift.cli.progress import counter
    from resift.errors import InputError
    from resift.train.neural import processes

    if dry_run:
        from resift.train.neural.dry_run import dry_run as look

        with counter():
            look_result = look(plan)
        if not processes.is_first():
            return
        if as_json:
            show.print_json(look_result.as_json())
        else:
            _print_dry_run(look_result, Console())
        return
    if output is None:
        raise InputError("there is no folder to write: name one with --output, or look first with --dry-run")
    report = _trained(plan, output)
    if not processes.is_first():
        return
    if as_json:
        show.print_json(report.as_json())
    else:
        _print_report(report, Console())
    if report.refusals and not report.out:
        raise InputError(
            f"{output} was not written: {'; '.join(report.refusals)}; look at the data, or write it with --force"
        )


def _trained(plan: Plan, output: Path) -> TrainingReport:
    from resift.cli.progress import counter
    from resift.train.neural.run import train

    try:
        with counter() as count:
            return train(plan, output, count)
    except KeyboardInterrupt:
        typer.echo("resift: stopped; the same command with --resume goes on from the last checkpoint", err=True)
        raise typer.Exit(130) from None


def _print_dry_run(look: DryRun, console: Console) -> None:
    from resift.cli import show

    for entry in look.sets:
        line = (
            f"{entry['name']}: {entry['queries']} queries train with {entry['candidates']} candidates, "
            f"{entry['labels']} labels. Loss {entry['loss']}: {entry['reason']}."
        )
        console.print(line, markup=False, highlight=False)
    dev, test = look.held_out
    console.print(
        f"{dev} queries choose the checkpoint and {test} are reported, on lists of {look.first_stage}.",
        markup=False, highlight=False,
    )  # fmt: skip
    for note in look.notes:
        console.print(f"Note: {note}", style="dim", markup=False, highlight=False)
    console.print("\nAs the model sees it", style="bold")
    for example in look.examples:
        cut = f", {example.cut} tokens cut" if example.cut else ""
        console.print(f"{example.value}  ({example.tokens} tokens{cut})", style="dim", markup=False, highlight=False)
        console.print(example.text, markup=False, highlight=False)
    console.print()
    names = list(look.before["base"])
    rows = [[who, *(f"{values[name]:.3f}" for name in names)] for who, values in look.before.items()]
    show.print_rows(console, ["on dev", *names], rows)
    console.print(
        f"\nOne step: loss {look.loss:.4f}, {look.step_seconds:.2f} s in {look.precision}; {look.steps} steps and "
        f"{look.evaluations} evaluations of {look.evaluation_seconds:.1f} s take about {_duration(look.seconds)} and "
        f"{look.memory_gb:.1f} GB. {look.trained:,} of {look.parameters:,} numbers are trained.",
        markup=False, highlight=False,
    )  # fmt: skip


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _print_report(report: TrainingReport, console: Console) -> None:
    from resift.cli import show
    from resift.train.neural.report import heads_table, table

    console.print(report.sentence, style="bold", markup=False, highlight=False)
    console.print()
    show.print_rows(console, *table(report))
    if report.heads:
        console.print()
        show.print_rows(console, *heads_table(report))
    lines = [f"{report.steps} of {report.planned_steps} steps in {report.seconds:.0f} s ({report.precision})"]
    lines += [f"weights of step {report.best_step}" + (f", mixed: {report.alpha:g}" if report.alpha < 1 else "")]
    lines += [f"ended early: {report.stopped}"] if report.stopped else []
    lines += [each.sentence for each in report.rounds]
    lines += [f"note: {note}" for note in report.notes]
    lines += [
        f"what it computes changes by {delta:.1g} when {who} loads it" for who, delta in report.reload_delta.items()
    ]
    lines += [f"written to {report.out}"] if report.out else []
    console.print()
    for line in lines:
        console.print(line, style="dim", markup=False, highlight=False)
