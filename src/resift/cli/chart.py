"""Draws a line chart as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 640, 400, 60, 40, 70, 50
_COLOURS = ("#1b6ca8", "#d1731f", "#8a3b8f", "#3a7d44")
_TEXT = 'font-family="sans-serif" font-size="12" fill="#555"'


def line_chart(
    series: Mapping[str, Sequence[tuple[float, float]]], x_name: str, y_name: str, title: str, limit: float
) -> str:
    """One line per series of (x, y), axes from 0, and a dashed line at y = limit."""
    points = [point for points in series.values() for point in points]
    x_most, y_most = max(x for x, _ in points), max(limit, *(y for _, y in points)) * 1.05

    def x_at(x: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * x / x_most

    def y_at(y: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * y / y_most

    def text(x: float, y: float, label: str, anchor: str = "middle") -> str:
        return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {_TEXT}>{escape(label)}</text>'

    def line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
        return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>'

    right, bottom, grid = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM, 'stroke="#ddd"'
    parts = [text(_WIDTH / 2, 20, title), text((_LEFT + right) / 2, _HEIGHT - 12, x_name), text(_LEFT - 6, 30, y_name)]
    for i in range(6):
        y = y_most * i / 5
        parts += [line(_LEFT, y_at(y), right, y_at(y), grid), text(_LEFT - 6, y_at(y) + 4, f"{y:.3g}", "end")]
    for x in sorted({x for x, _ in points}):
        parts += [line(x_at(x), bottom, x_at(x), bottom + 4, grid), text(x_at(x), bottom + 18, f"{x:g}")]
    parts += [line(_LEFT, y_at(limit), right, y_at(limit), 'stroke="#999" stroke-dasharray="5 4"')]
    parts += [text(right + 6, y_at(limit) + 4, f"{limit:g} {y_name}", "start")]
    for colour, (name, curve) in zip(_COLOURS, series.items(), strict=False):
        path = " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in curve)
        parts += [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>']
        parts += [text(right + 6, y_at(curve[-1][1]) + 4, name, "start")]
    body = "\n".join(parts)
    size = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    paper = '<rect width="100%" height="100%" fill="#fff"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{paper}\n{body}\n</svg>\n'
