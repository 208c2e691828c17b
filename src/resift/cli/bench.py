"""`resift bench`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resift.atomic import write
from resift.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from resift.inspection.speed import Requests, Speed


def bench(
    data: Annotated[Path | None, typer.Option(help="Your own requests: JSONL as for `resift rerank`.")] = None,
    lengths: Annotated[str, typer.Option(help="Or made-up documents of so many words each: 20,90,300.")] = "",
    model: options.Model = options.DEFAULT_MODEL,
    depths: Annotated[str, typer.Option(help="Documents per request.")] = "10,20,50,100,200",
    budget_ms: Annotated[float, typer.Option(min=0.1, help="For which the depth is recommended.")] = 100.0,
    seconds: Annotated[float, typer.Option(min=0.0, help="Spent on each depth, 5 to 100 requests.")] = 3.0,
    plot: Annotated[Path | None, typer.Option(help="Write milliseconds by depth to an SVG file.")] = None,
    truncate: options.Truncate = False,
    pick: Annotated[bool, typer.Option(help="Compare precisions on --data; remember the fastest good one.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Measure a model on this machine: pairs a second, milliseconds by depth, and the depth that fits a budget.

    Example: resift bench --data requests.jsonl --budget-ms 50 --plot speed.svg
    """
    from dataclasses import asdict

    from rich.console import Console

    from resift.cli import show
    from resift.cli.chart import line_chart
    from resift.errors import InputError
    from resift.inspection.speed import Workload, measure
    from resift.loading import load

    if data and lengths:
        raise InputError("name either --data or --lengths")
    requests = _requests(data) if data else []
    if pick:
        _pick(model, requests, as_json)
        return
    workload = Workload.of_requests(requests, str(data)) if data else Workload.made_up(_lengths(lengths))
    reranker = load(model, long_documents="truncate" if truncate else "windows")
    speed = measure(reranker, workload, budget_ms, sorted(set(_numbers(depths, "--depths"))), seconds)
    if plot:
        series = {f"p{p}": [(d.depth, getattr(d, f"p{p}_ms")) for d in speed.depths] for p in (50, 95, 99)}
        chart = line_chart(series, "documents", "ms", f"{speed.model}, {speed.machine['cpu']}", budget_ms)
        write(plot, [chart.encode()])
    if as_json:
        show.print_json({"schema": show.SCHEMA} | asdict(speed))
    else:
        _print(speed, Console())


def _requests(data: Path) -> Requests:
    """The requests of a file that have a query and a document."""
    from resift import files
    from resift.errors import InputError

    lines = files.read_requests(files.read_lines(str(data)), str(data))
    requests = [(query, documents) for query, documents in lines if query.text.strip() and documents]
    if not requests:
        raise InputError(f"{data} holds no request with a query and documents")
    return requests


def _pick(model: str, requests: Requests, as_json: bool) -> None:
    """Measure the precisions, and remember the fastest of those that keep the order."""
    from dataclasses import asdict

    from rich.console import Console

    from resift.cli import show
    from resift.errors import InputError
    from resift.inspection.speed import compare_precisions
    from resift.loading import load
    from resift.score.precision import PICK_TAU, PICK_TOP10, remember

    if not requests:
        raise InputError("--pick compares orders of your own requests; name them with --data")
    trials = compare_precisions(model, requests)
    best = max((trial for trial in trials if trial.good), key=lambda trial: trial.pairs_per_second)
    path = remember(load(model).info.fingerprint, best.precision)
    if as_json:
        rows = [asdict(trial) | {"good": trial.good} for trial in trials]
        show.print_json({"schema": show.SCHEMA, "model": model, "picked": best.precision, "precisions": rows})
        return
    cells = []
    for trial in trials:
        a = trial.agreement
        figures = [f"{trial.pairs_per_second:.0f}", f"{a.tau:.4f}", f"{a.top10:.1%}", f"{a.max_delta:.2g}"]
        cells.append([trial.precision, *figures])
    console = Console()
    show.print_rows(console, ("precision", "pairs/s", "tau", "ten best kept", "largest change"), cells)
    console.print(
        f"{best.precision} is the fastest with tau of {PICK_TAU} and {PICK_TOP10:.0%} of the ten best against f32, "
        f"over {trials[0].agreement.pairs} pairs; {model} runs so from now on ({path})",
        highlight=False,
    )


def _lengths(text: str) -> list[int]:
    return _numbers(text, "--lengths") if text else []


def _numbers(text: str, option: str) -> list[int]:
    from resift.errors import InputError

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise InputError(f"{option} takes whole numbers from 1, with commas between them; not {text!r}")
    return [int(part) for part in parts]


def _print(speed: Speed, console: Console) -> None:
    from resift.cli import show

    machine = speed.machine
    console.print(f"{speed.model} {speed.precision} on {machine['cpu']}, {machine['cores']} cores", highlight=False)
    console.print(f"{speed.workload}; MaxSim by {machine['maxsim']}", highlight=False)
    console.print(
        f"{speed.pairs} pairs at once: {speed.pairs_per_second:.0f} pairs/s, {speed.tokens_per_second:.0f} tokens/s, "
        f"{speed.padding:.1%} padding, {speed.truncated:.1%} truncated, {speed.windowed:.1%} in windows",
        highlight=False,
    )
    if speed.share_of_products is not None:
        console.print(
            f"{speed.share_of_products:.0%} of the {speed.products_gflops:.0f} GFLOP/s at which this machine "
            "multiplies the model's matrices",
            highlight=False,
        )
    rows = [
        [str(d.depth), f"{d.tokens:.0f}", f"{d.p50_ms:.1f}", f"{d.p95_ms:.1f}", f"{d.p99_ms:.1f}", str(d.runs)]
        for d in speed.depths
    ]
    show.print_rows(console, ("documents", "tokens", "p50 ms", "p95 ms", "p99 ms", "runs"), rows)
    console.print(
        f"ms = {speed.base_ms:.1f} + {speed.ms_per_1000_tokens:.2f} x thousands of tokens; "
        + (f"depth {speed.recommended_depth}" if speed.recommended_depth else "no measured depth")
        + f" fits {speed.budget_ms:g} ms (p95)"
        + (f"; peak memory {speed.peak_mib:.0f} MiB" if speed.peak_mib else ""),
        highlight=False,
    )
