"""Prints rankings as JSON, as a table, and as an explanation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from resift.cli import streams
from resift.files.answers import SCHEMA, as_json
from resift.rerank.explanation import sentence
from resift.text.analysis import Analyzer
from resift.text.clean import clean
from resift.types import Candidate, Ranking, Score, ScoreKind, Signal

_SNIPPET = 240  # characters
_TIED = "\x00"  # stands for a space at which no line is broken

__all__ = [
    "SCHEMA",
    "as_json",
    "marked",
    "place",
    "print_explanation",
    "print_json",
    "print_rows",
    "print_table",
    "snippet",
]


def print_json(value: Any) -> None:  # noqa: ANN401
    """One JSON value on one line of stdout, in UTF-8."""
    streams.put(json.dumps(value, ensure_ascii=False, allow_nan=False, default=str) + "\n")


def print_rows(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table if it fits the width; else each row as its first cell, and below it the others with headings."""
    table = Table(*headings, box=None, pad_edge=False, header_style="dim")
    for row in rows:
        table.add_row(*map(Text, row))
    if _width(headings, rows) <= console.width:
        console.print(table)
        return
    for first, *cells in rows:
        console.print(Text(first, style="bold"), soft_wrap=True)  # never broken: it may be copied
        facts = [f"{h} {cell}".strip() for h, cell in zip(headings[1:], cells, strict=True) if cell]
        room = max(console.width - 2, 20)
        # A fact stays on one line where it fits; a model of many languages has more than one line of them.
        fact_text = ", ".join(fact.replace(" ", _TIED) if len(fact) < room else fact for fact in facts)
        for line in wrap(fact_text, room, break_long_words=False, break_on_hyphens=False):
            console.print(Text("  " + line.replace(_TIED, " ")), soft_wrap=True)


def _width(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """The width of a table in which no cell is folded, with two spaces between columns."""
    widths = [max(cell_len(cell) for cell in column) for column in zip(headings, *rows, strict=True)]
    return sum(widths) + 2 * len(widths)


def print_results(ranking: Ranking, console: Console, explain: bool, advice: str) -> None:
    """Print the results, with `explain` what every stage did, and on a terminal the advice."""
    print_table(ranking, console)
    if explain:
        print_explanation(ranking, console)
    if advice and console.is_terminal:
        console.print(advice, style="dim", markup=False, highlight=False)


def print_table(ranking: Ranking, console: Console) -> None:
    """Print rank, movement against the first stage, score with its kind, place, and a snippet with matching words."""
    if not len(ranking):
        console.print("nothing relevant" if ranking.left_out else "nothing found")
        _print_reason(ranking, console)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0), header_style="dim")
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("moved", justify="right", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("passage", overflow="fold", ratio=1)
    analyzer = Analyzer.fitting(c.document.text for c in ranking)
    words = set(analyzer.words(ranking.query.text))
    for c in ranking:
        table.add_row(str(c.rank), _movement(c), _scores_text(c), _passage(c, words, analyzer))
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


def _scores_text(c: Candidate) -> Text:
    """The score, and below it the level, or the probability of relevance where a blend made the order."""
    lines = [_score_text(c.score)]
    last = c.signals[-1].score if c.signals else None
    if last is not None and last.kind is ScoreKind.PROBABILITY and last != c.score:
        lines.append(_score_text(last))
    if c.level is not None:
        lines.append(Text(f"relevance: {c.level}", style="dim"))
    return Text("\n").join(lines)


def _score_text(score: Score | None) -> Text:
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
    line = Text("… " if start else "").append_text(marked(part, words, analyzer))
    return line.append(" …" if end < len(text) else "")


def marked(text: str, words: set[str], analyzer: Analyzer) -> Text:
    """A text with the words of the query in bold."""
    line, position = Text(), 0
    for term in analyzer.terms(text):
        if term.text in words and term.start >= position:
            line.append(text[position : term.start])
            line.append(text[term.start : term.end], style="bold magenta")
            position = term.end
    return line.append(text[position:])


def print_explanation(ranking: Ranking, console: Console) -> None:
    """Print what each stage cost, then each result's rank and score at every stage."""
    console.print()
    steps = [[s.name, f"{s.ms:.1f}", str(s.pairs), str(s.tokens), f"{s.scored}/{s.total}"] for s in ranking.trace.steps]
    print_rows(console, ("stage", "ms", "pairs", "tokens", "scored"), steps)
    console.print()
    sources = list(dict.fromkeys(s.source for c in ranking for s in c.signals))
    rows = []
    for c in ranking:
        signals = {signal.source: signal for signal in c.signals}
        cells = [_rank_and_score(signals[source]) if source in signals else "-" for source in sources]
        rows.append([f"{c.rank}  {clean(place(c))}", *cells])
    print_rows(console, ("#  passage", *sources), rows)
    _print_reasons(ranking, console)


def _print_reasons(ranking: Ranking, console: Console) -> None:
    """Print why learned stages gave their scores, a line for each result and stage."""
    for c in ranking:
        for signal in c.signals:
            if signal.reasons:
                line = f"{c.rank}  {clean(signal.source)}: {sentence(signal.reasons)}"
                console.print(line, markup=False, highlight=False)


def _rank_and_score(signal: Signal) -> str:
    return f"{signal.rank} ({signal.score.value:.3f} {signal.score.kind})" if signal.score else str(signal.rank)
