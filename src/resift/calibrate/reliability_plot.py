"""Draws the reliability table: an SVG of one file without anything from elsewhere, and a chart for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from resift.calibrate.reliability import Measures, ReliabilityRow

_SIZE, _LEFT, _TOP, _SIDE = 520, 70, 50, 380
_INK, _GRID, _DOT = "#555", "#ddd", "#1b6ca8"
_TEXT = f'font-family="sans-serif" font-size="12" fill="{_INK}"'
_WIDTH = 24  # characters of a chart in the terminal


def svg(rows: Sequence[ReliabilityRow], measures: Measures, title: str) -> str:
    """The mean probability of each row beside the share that is relevant, with its interval and the diagonal."""

    def x_at(p: float) -> float:
        return _LEFT + p * _SIDE

    def y_at(p: float) -> float:
        return _TOP + (1 - p) * _SIDE

    def line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
        return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>'

    def text(x: float, y: float, words: str, anchor: str = "middle") -> str:
        return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {_TEXT}>{escape(words)}</text>'

    parts = [text(_SIZE / 2, 24, title)]
    for i in range(6):
        p, grid = i / 5, f'stroke="{_GRID}"'
        parts += [line(x_at(0), y_at(p), x_at(1), y_at(p), grid), line(x_at(p), y_at(0), x_at(p), y_at(1), grid)]
        parts += [text(_LEFT - 8, y_at(p) + 4, f"{p:.1f}", "end"), text(x_at(p), y_at(0) + 18, f"{p:.1f}")]
    parts.append(line(x_at(0), y_at(0), x_at(1), y_at(1), 'stroke="#999" stroke-dasharray="5 4"'))
    for row in rows:
        x, share = x_at(row.predicted), row.relevant
        parts.append(line(x, y_at(share.low), x, y_at(share.high), f'stroke="{_DOT}"'))
        label = f"{row.pairs} pairs: predicted {row.predicted:.3f}, relevant {share}"
        dot = f'<circle cx="{x:.1f}" cy="{y_at(share.value):.1f}" r="5" fill="{_DOT}">'
        parts.append(f"{dot}<title>{escape(label)}</title></circle>")
    summary = f"ECE {measures.ece.value:.3f}, by chance {measures.ece_by_chance:.3f}; AUC {measures.auc.value:.3f}"
    parts += [text(x_at(0.5), y_at(0) + 40, "probability"), text(x_at(0.5), y_at(0) + 62, summary)]
    parts.append(text(_LEFT - 8, _TOP - 12, "share that is relevant", "start"))
    body = "\n".join(parts)
    frame = f'width="{_SIZE}" height="{_SIZE}" viewBox="0 0 {_SIZE} {_SIZE}"'
    paper = '<rect width="100%" height="100%" fill="#fff"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {frame}>\n{paper}\n{body}\n</svg>\n'


def terminal_chart(rows: Sequence[ReliabilityRow]) -> list[str]:
    """A line per row, from 0 to 1: "-" is the interval of the relevant share, "o" that share, "|" the prediction.

    Where share and prediction fall into one place, that is "@".
    """

    def place(p: float) -> int:
        return min(int(p * _WIDTH), _WIDTH - 1)

    lines = []
    for row in rows:
        cells = [" "] * _WIDTH
        for i in range(place(row.relevant.low), place(row.relevant.high) + 1):
            cells[i] = "-"
        share, prediction = place(row.relevant.value), place(row.predicted)
        cells[prediction] = "|"
        cells[share] = "@" if share == prediction else "o"
        lines.append("".join(cells).rstrip())
    return lines
