"""Figures as SVG: as wide as the page, with texts of one size; x is in percent of the width, y in pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from resift.evaluate.html_report.markup import Html, tag

# Signs that differ without their colours, centred on 0, about 11 pixels wide.
_SIGNS = (
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0Z", "M-4.5-4.5h9v9h-9Z", "M0-6L6 5H-6Z", "M0-6.5L6.5 0L0 6.5L-6.5 0Z",
    "M0 6L6-5H-6Z", "M-2-5.5h4v3.5h3.5v4h-3.5v3.5h-4v-3.5h-3.5v-4h3.5Z",
)  # fmt: skip
COLOURS = 8  # of the style sheet: c0 to c7


@dataclass(frozen=True, slots=True)
class Scale:
    """Where a value stands between the ends of an axis, from 0 to 1."""

    low: float
    high: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """The place of a value; what is outside of the ends stands at them."""
        inside = min(max(value, self.low), self.high)
        if self.logarithmic:
            return math.log(inside / self.low) / math.log(self.high / self.low)
        return (inside - self.low) / (self.high - self.low)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values between the ends."""
        if self.logarithmic:
            return _thinned(_decades(self.low, self.high), most)
        raw = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
        first = math.ceil(self.low / step - 1e-9)
        return [i * step for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _decades(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    return [value for value in every if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]


def _thinned(values: list[float], most: int) -> list[float]:
    """Of too many the powers of ten alone, or each second of these, and so on."""
    if len(values) <= most:
        return values
    powers = [value for value in values if abs(math.log10(value) - round(math.log10(value))) < 1e-9]
    return powers[:: math.ceil(len(powers) / most)] if len(powers) > 1 else values[:: math.ceil(len(values) / most)]


def scale_of(values: Iterable[float], margin: float = 0.08) -> Scale:
    """A scale around values."""
    every = list(values)
    low, high = min(every), max(every)
    space = (high - low) * margin or max(abs(high) * margin, 0.01)
    return Scale(low - space, high + space)


def logarithmic(values: Iterable[float], least: float) -> Scale:
    """A logarithmic scale around values; those below `least` stand at its end."""
    every = [max(value, least) for value in values]
    return Scale(max(min(every) / 1.4, least / 1.4), max(every) * 1.4, True)


def number(value: float) -> str:
    """A figure at an axis: no more digits than it has, and no exponents."""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return "0" if text == "-0" else text


@dataclass(frozen=True, slots=True)
class Plot:
    """An area with two axes; its figures are drawn by percent of the width and pixels of the height."""

    x: Scale
    y: Scale
    height: int = 280

    def across(self, value: float) -> str:
        """The place of a value on the x axis."""
        return f"{100 * self.x.at(value):.2f}%"

    def down(self, value: float) -> str:
        """The place of a value on the y axis."""
        return f"{self.height * (1 - self.y.at(value)):.1f}"

    def line(self, start: tuple[float, float], end: tuple[float, float], classes: str) -> Html:
        """A line between two points."""
        (x1, y1), (x2, y2) = start, end
        places = {"x1": self.across(x1), "y1": self.down(y1), "x2": self.across(x2), "y2": self.down(y2)}
        return tag("line", places | {"class": classes})

    def lines(self, points: Sequence[tuple[float, float]], classes: str) -> list[Html]:
        """A line through points."""
        return [self.line(a, b, classes) for a, b in zip(points, points[1:], strict=False)]

    def bar(self, left: float, right: float, low: float, high: float, classes: str) -> Html:
        """A bar between two values on each axis."""
        width, height = self.x.at(right) - self.x.at(left), self.y.at(high) - self.y.at(low)
        places = {"x": self.across(left), "y": self.down(high), "class": classes}
        return tag("rect", places | {"width": f"{100 * width:.2f}%", "height": f"{self.height * height:.1f}"})

    def sign(self, x: float, y: float, group: int, is_full: bool = True, note: str = "") -> Html:
        """A group's sign at a point, with a note that is shown where the pointer stays."""
        children = (*([tag("title", {}, note)] if note else []), sign_path(group, is_full))
        return tag("svg", {"x": self.across(x), "y": self.down(y)}, *children)

    def text(self, x: float, y: float, words: str, shift: tuple[float, float] = (0, 0), anchor: str = "middle") -> Html:
        """Words beside a point."""
        moved = {"x": f"{shift[0]:g}", "y": f"{shift[1]:g}", "text-anchor": anchor}
        return tag("svg", {"x": self.across(x), "y": self.down(y)}, tag("text", moved, words))

    def axes(self, x_title: str, y_title: str) -> list[Html]:
        """Grid, figures and titles of both axes."""
        parts = []
        for value in self.y.ticks():
            parts.append(self.line((self.x.low, value), (self.x.high, value), "grid"))
            parts.append(self.text(self.x.low, value, number(value), (-8, 4), "end"))
        for value in self.x.ticks():
            parts.append(self.line((value, self.y.low), (value, self.y.high), "grid"))
            parts.append(self.text(value, self.y.low, number(value), (0, 18)))
        parts.append(self.text(self.x.high, self.y.low, x_title, (0, 36), "end"))
        parts.append(self.text(self.x.low, self.y.high, y_title, (-40, -10), "start"))
        return parts

    def figure(self, name: str, title: str, description: str, parts: Iterable[Html]) -> Html:
        """The whole as an image that says in words what it shows; `name` is unique on the page."""
        head = (tag("title", {"id": f"{name}-t"}, title), tag("desc", {"id": f"{name}-d"}, description))
        facts = {"role": "img", "aria-labelledby": f"{name}-t {name}-d", "height": str(self.height), "width": "100%"}
        return tag("div", {"class": "plot"}, tag("svg", facts, *head, *parts))


def sign_path(group: int, is_full: bool = True) -> Html:
    """The sign of a group around the origin."""
    shape = _SIGNS[group % len(_SIGNS)]
    return tag("path", {"d": shape, "class": f"sign c{group % COLOURS}{'' if is_full else ' hollow'}"})


def key(entries: Iterable[tuple[Html, str]]) -> Html:
    """What signs and lines stand for."""
    items = (
        tag("li", {}, tag("svg", {"width": "26", "height": "14", "aria-hidden": "true"}, sample), words)
        for sample, words in entries
    )
    return tag("ul", {"class": "key"}, *items)


def sign_sample(group: int, is_full: bool = True, line: str = "") -> Html:
    """A sign, and the line on which it stands, for a key."""
    drawn = [tag("line", {"x1": "0", "x2": "26", "y1": "7", "y2": "7", "class": line})] if line else []
    return Html("".join([*drawn, tag("svg", {"x": "13", "y": "7"}, sign_path(group, is_full))]))


def line_sample(classes: str) -> Html:
    """A line for a key."""
    return tag("line", {"x1": "0", "x2": "26", "y1": "7", "y2": "7", "class": classes})


def box_sample(classes: str) -> Html:
    """A bar for a key."""
    return tag("rect", {"x": "4", "y": "1", "width": "18", "height": "12", "class": classes})
