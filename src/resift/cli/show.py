"""Rankings as JSON, as a table, and as an explanation."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from resift.files.answers import SCHEMA, as_json
from resift.text.analysis import Analyzer
from resift.text.clean import clean
from resift.types import Candidate, Ranking, Score, Signal

_SNIPPET = 240  # characters

__all__ = ["SCHEMA", "as_json", "place", "print_explanation", "print_json", "print_table", "snippet"]


def print_json(value: Any) -> None:  # noqa: ANN401
    """One JSON value on one line of stdout."""
    import typer

    typer.echo(json.dumps(value, ensure_ascii=False, allow_nan=False, default=str))


def print_results(ranking: Ranking, console: Console, explain: bool, advice: str) -> None:
    """The table of results, where asked what every stage said, and on a terminal a piece of advice."""
    print_table(ranking, console)
    if explain:
        print_explanation(ranking, console)
    if advice and console.is_terminal:
        console.print(advice, style="dim", markup=False, highlight=False)


def print_table(ranking: Ranking, console: Console) -> None:
    """Rank, movement against the first stage, score with its kind, place, and a snippet with the matching words."""
    if not len(ranking):
        console.print("nothing found")
        _print_reason(ranking, console)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0), header_style="dim")
    table.add_column("#", justify="right")
    table.add_column("moved", justify="right")
    table.add_column("score", justify="right")
    table.add_column("passage", overflow="fold", ratio=1)
    analyzer = Analyzer.fitting(c.document.text for c in ranking)
    words = set(analyzer.words(ranking.query.text))
    for c in ranking:
        table.add_row(str(c.rank), _movement(c), _shown(c.score), _passage(c, words, analyzer))
    console.print(table)
    _print_reason(ranking, console)


def _print_reason(ranking: Ranking, console: Console) -> None:
    if ranking.trace.reason:
        state = "reranked" if ranking.trace.reranked else "not reranked"
        console.print(f"{state}: {ranking.trace.reason}", style="yellow", markup=False, highlight=False)


def _movement(c: Candidate) -> Text:
    up = c.first_rank - c.rank
    if up == 0:
        return Text("=", style="dim")
    return Text(f"↑{up}", style="green") if up > 0 else Text(f"↓{-up}", style="red")


def _shown(score: Score | None) -> Text:
    if score is None:
        return Text("not scored", style="dim")
    return Text.assemble(f"{score.value:.3f}", (f" {score.kind}", "dim"))


def place(c: Candidate) -> str:
    """file:line where the document has one, else the file and its page, paragraph or cell, else its id."""
    m = c.document.metadata
    if "path" not in m:
        return c.document.id
    unit = next((u for u in ("line", "page", "paragraph", "cell") if u in m), "")
    if unit == "line":
        return f"{m['path']}:{m['line']}"
    return f"{m['path']} {unit} {m[unit]}" if unit else str(m["path"])


def _passage(c: Candidate, words: set[str], analyzer: Analyzer) -> Text:
    head = Text(clean(place(c)), style="cyan")
    if c.document.title:
        head.append(f"  {clean(c.document.title)}", style="bold")
    if c.flags:
        head.append(f"  [{', '.join(sorted(c.flags))}]", style="yellow")
    return Text("\n").join([head, snippet(c, words, analyzer)])


def snippet(c: Candidate, words: set[str], analyzer: Analyzer) -> Text:
    """About 240 characters around the span, or from the start, on one line; words of the query in bold."""
    text = clean(c.document.text)
    middle = (c.span.start + c.span.end) // 2 if c.span else 0
    start = max(0, min(middle - _SNIPPET // 2, len(text) - _SNIPPET))
    end = min(len(text), start + _SNIPPET)
    if start:  # not in the middle of a word
        start = text.find(" ", start, start + 30) + 1 or start
    if end < len(text):
        end = max(text.rfind(" ", start, end), start + _SNIPPET // 2)
    part = " ".join(text[start:end].split())  # code is indented
    shown = Text("… " if start else "")
    at = 0
    for term in analyzer.terms(part):
        if term.text in words and term.start >= at:
            shown.append(part[at : term.start])
            shown.append(part[term.start : term.end], style="bold magenta")
            at = term.end
    shown.append(part[at:])
    return shown.append(" …" if end < len(text) else "")


def print_explanation(ranking: Ranking, console: Console) -> None:
    """What each stage cost, then each result's rank and score at every stage."""
    console.print()
    steps = Table("stage", "ms", "pairs", "tokens", "scored", box=None, pad_edge=False, header_style="dim")
    for s in ranking.trace.steps:
        steps.add_row(s.name, f"{s.ms:.1f}", str(s.pairs), str(s.tokens), f"{s.scored}/{s.total}")
    console.print(steps)
    console.print()
    sources = list(dict.fromkeys(s.source for c in ranking for s in c.signals))
    table = Table("#", *sources, "passage", box=None, pad_edge=False, header_style="dim")
    for c in ranking:
        said = {s.source: s for s in c.signals}
        cells = [_said(said[s]) if s in said else "-" for s in sources]
        table.add_row(str(c.rank), *cells, place(c))
    console.print(table)


def _said(signal: Signal) -> str:
    return f"{signal.rank} ({signal.score.value:.3f} {signal.score.kind})" if signal.score else str(signal.rank)
