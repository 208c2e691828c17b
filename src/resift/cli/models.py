"""`resift models`"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resift.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from resift.models.published import Benchmark, Figure
    from resift.models.recommendation import Recommendation
    from resift.models.registry import CheckpointRow


def _languages(incomplete: str) -> list[tuple[str, str]]:
    """Codes and names that begin so, for the shell's completion."""
    from resift.text.language_names import LANGUAGES

    start = incomplete.casefold()
    return [(c, name) for c, name in LANGUAGES.items() if c.startswith(start) or name.casefold().startswith(start)]


def models(
    lang: Annotated[
        str,
        typer.Option(
            "--lang",
            help="Recommend one for this language (vi, or Vietnamese), and list those that read it.",
            autocompletion=_languages,
        ),
    ] = "",
    license: Annotated[str, typer.Option("--license", help="commercial, or a licence by name.")] = "",
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=0, help="Only windows of at least this.")] = 0,
    family: Annotated[str, typer.Option("--family", help="Only this family, such as encoder or late.")] = "",
    as_json: options.AsJson = False,
) -> None:
    """List the models that ship with Resift, then the checkpoints that it knows; others load too.

    A model does not meet a condition on a fact that is unknown. "multi" is a model of many languages, not listed.
    """
    from rich.console import Console

    from resift.cli import show
    from resift.errors import InputError
    from resift.models.families import FAMILIES
    from resift.models.registry import bundled_row, rows, select
    from resift.score.load import bundled_models
    from resift.text.language_names import language_code

    if family and family not in FAMILIES:
        raise InputError(f"{family!r} is no family; one of {', '.join(FAMILIES)}")
    code = language_code(lang) if lang else ""
    bundled = [*map(bundled_row, bundled_models())]
    selection = select([*bundled, *rows().values()], code, license, max_tokens, family)
    if code:
        _of_language(code, selection, {row.id for row in bundled}, as_json)
    elif as_json:
        show.print_json({"schema": show.SCHEMA, "models": [_as_json(row) for row in selection]})
    else:
        headings = ("name", "family", "score", "languages", "window", "parameters", "licence", "commercial", "loads")
        show.print_rows(Console(), headings, [_cells(row) for row in selection])


def _of_language(code: str, selection: Sequence[CheckpointRow], bundled: Collection[str], as_json: bool) -> None:
    """Print which model to use for a language, then all that read it, those with figures first."""
    from rich.console import Console

    from resift.cli import show
    from resift.models.recommendation import figures_for, recommend
    from resift.text.language_names import LANGUAGES

    best = recommend(code, selection, bundled)
    figures = {row.id: figures_for(row, code) for row in selection}
    ordered = sorted(selection, key=lambda row: (row.id not in bundled, not figures[row.id]))
    if as_json:
        models = [_as_json(row) | _figures_as_json(figures[row.id]) for row in ordered]
        choice = {"recommended": _recommended_as_json(best)} if best else {}
        show.print_json({"schema": show.SCHEMA, "language": code, **choice, "models": models})
        return
    console = Console()
    sentence = _sentence(best, f"{LANGUAGES[code]} ({code})")
    console.print(sentence, style="bold", markup=False, highlight=False, soft_wrap=True)
    console.print()
    print_with_figures(console, ordered, figures)


def print_with_figures(console: Console, rows: Sequence[CheckpointRow], figures: dict[str, list[Figure]]) -> None:
    """Print models with their results in benchmarks, and below the table what these are."""
    from resift.cli import show

    numbers: dict[Benchmark, int] = {}
    for row in rows:
        for figure in figures[row.id]:
            numbers.setdefault(figure.benchmark, len(numbers) + 1)
    headings = ("name", "family", "score", "window", "parameters", "licence", "loads", "figures")
    results = {
        name: " ".join(f"{f.benchmark.measure} {f.value:.3f} [{numbers[f.benchmark]}]" for f in its) or "none"
        for name, its in figures.items()
    }
    cells = [
        [row.id, row.family, row.kind, _window(row), _size(row), row.license, _loads(row), results[row.id]]
        for row in rows
    ]
    show.print_rows(console, headings, cells)
    console.print()
    for benchmark, number in numbers.items():
        line = f"[{number}] {benchmark.measure} on {benchmark.on}; source: {benchmark.source}"
        console.print(line, style="dim", markup=False, highlight=False, soft_wrap=True)


def _sentence(best: Recommendation | None, language: str) -> str:
    """The recommendation in one line."""
    if best is None:
        return f"for {language} none of these can be recommended: a reranker that loads and allows commercial use"
    row = best.row
    facts = f"{_size(row)} parameters, window {_window(row)}, {row.license}"
    if best.bundled:
        return f"for {language} use {row.id}, which is bundled ({facts})"
    lead = f"the best of {best.compared} by " if best.compared > 1 else ""
    reason = f"; {lead}{_result(best.figure)}" if best.figure else ""
    return f"for {language} use {row.id}, which is fetched once: --model {row.id} ({facts}{reason})"


def _result(figure: Figure) -> str:
    benchmark = figure.benchmark
    return f"{benchmark.measure} {figure.value:.3f} on {benchmark.on}, source: {benchmark.source}"


def _cells(row: CheckpointRow) -> list[str]:
    return [
        row.id, row.family, row.kind, " ".join(row.languages) or "unknown", _window(row), _size(row), row.license,
        row.commercial, _loads(row),
    ]  # fmt: skip


def _recommended_as_json(best: Recommendation) -> dict[str, Any]:
    facts = {"name": best.row.id, "bundled": best.bundled}
    return facts | ({"figure": _figure_as_json(best.figure)} if best.figure else {})


def _figures_as_json(figures: Sequence[Figure]) -> dict[str, Any]:
    return {"figures": [_figure_as_json(figure) for figure in figures]} if figures else {}


def _figure_as_json(figure: Figure) -> dict[str, Any]:
    benchmark = figure.benchmark
    return {
        "measure": benchmark.measure, "value": figure.value, "on": benchmark.on, "language": benchmark.language,
        "source": benchmark.source,
    }  # fmt: skip


def _as_json(row: CheckpointRow) -> dict[str, Any]:
    """A row in the schema of docs/json.md, without the facts that are not known."""
    facts = {
        "name": row.id,
        "family": row.family,
        "kind": row.kind,
        "languages": list(row.languages),
        "max_tokens": row.max_tokens,
        "parameters": row.parameters,
        "license": row.license,
        "commercial": row.commercial,
        "supported": row.supported,
        "description": row.note,
        "source": dict(row.source),
    }
    return {k: v for k, v in facts.items() if v not in (None, "", [], "unknown")}


def _loads(row: CheckpointRow) -> str:
    return "yes" if row.supported else "not yet"


def _window(row: CheckpointRow) -> str:
    return "any" if row.max_tokens == 0 else str(row.max_tokens or "unknown")


def _size(row: CheckpointRow) -> str:
    if row.parameters is None:
        return "unknown"
    return f"{row.parameters / 1e9:.1f} B" if row.parameters >= 1e9 else f"{row.parameters / 1e6:.0f} M"
