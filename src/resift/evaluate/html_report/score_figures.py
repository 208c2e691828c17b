"""Figures of scores: how those of relevant and of other documents lie, and how often a score means relevant."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from resift.calibrate.fitting import Bools, Floats
from resift.evaluate.evaluation import ModelScores
from resift.evaluate.html_report.groups import Member, ReportData
from resift.evaluate.html_report.markup import Html, folded, joined, table, tag
from resift.evaluate.html_report.scored_pairs import ScoreBin, ScoredPairs, score_bins, scored_pairs
from resift.evaluate.html_report.svg import Plot, Scale, box_sample, key, line_sample, number, sign_sample
from resift.types import ScoreKind

_BARS = 25


def shown_members(data: ReportData) -> list[Member]:
    """The pipelines whose scores are shown: of those with one first stage and one model only the deepest."""
    deepest: dict[tuple[str, str], Member] = {}
    for member in data.reranking:
        scores = member.run.scores
        if scores is not None and any(map(len, scores.values)):
            place = (member.run.baseline, scores.model)
            if place not in deepest or deepest[place].run.depth < member.run.depth:
                deepest[place] = member
    return list(deepest.values())


def score_figures(data: ReportData) -> list[Html]:
    """Histogram and reliability of each model behind each first stage."""
    return [_figures(data, m, m.run.scores) for m in shown_members(data) if m.run.scores is not None]


def _figures(data: ReportData, member: Member, scores: ModelScores) -> Html:
    pairs = scored_pairs(data.evaluation, scores, member.run.rankings)
    bins = score_bins(pairs, data.evaluation.seed)
    low, high = float(pairs.scores.min()), float(pairs.scores.max())
    scale = Scale(low, high) if high > low else Scale(low - 0.5, high + 0.5)
    count = int(pairs.relevant.sum())
    others = len(pairs.scores) - count
    words = f"{scores.model} ({scores.kind}) in {member.name}: {count} relevant pairs, {others} others"
    rows = [
        (f"{number(b.lowest)} … {number(b.highest)}", f"{b.pairs}", f"{b.mean:.4g}", f"{b.relevant.value:.4f}",
         f"{b.relevant.low:.4f} … {b.relevant.high:.4f}")
        for b in bins
    ]  # fmt: skip
    headings = ("scores", "pairs", "mean score", "share relevant", "95 %")
    figures = (_histogram(pairs, scale, member, words), _reliability(bins, scale, member, scores))
    numbers = folded("The numbers of this figure", table(f"Scores of {scores.model}", headings, rows, classes=""))
    return joined([tag("h3", {}, words), *figures, numbers])


def _histogram(pairs: ScoredPairs, scale: Scale, member: Member, words: str) -> Html:
    edges = np.linspace(scale.low, scale.high, _BARS + 1)
    shares = {name: _shares(pairs.scores[which], edges) for name, which in _sides(pairs).items()}
    top = max(float(share.max()) for share in shares.values())
    plot = Plot(scale, Scale(-top * 1.05, top * 1.05), 220)
    parts = []
    for i in range(_BARS):
        left, right = float(edges[i]), float(edges[i + 1])
        parts.append(plot.bar(left, right, 0, float(shares["relevant"][i]), "helped"))
        parts.append(plot.bar(left, right, -float(shares["other"][i]), 0, "hurt"))
    parts.append(plot.line((scale.low, 0), (scale.high, 0), "zero"))
    for value in scale.ticks(5):
        parts.append(plot.text(value, plot.y.low, number(value), (0, 18)))
    parts.append(plot.text(scale.high, plot.y.low, "score", (0, 36), "end"))
    title = "share of each side: relevant above, others below"
    parts.append(plot.text(scale.low, plot.y.high, title, (-40, -8), "start"))
    means = "; ".join(f"mean score of {name} {_mean(pairs.scores[which])}" for name, which in _sides(pairs).items())
    drawn = plot.figure(f"scores{member.number}", f"Scores: {words}", means, parts)
    below = (box_sample("hurt"), "not relevant, or judged by nobody (downwards)")
    return joined([drawn, key([(box_sample("helped"), "relevant (upwards)"), below])])


def _mean(scores: Floats) -> str:
    return f"{float(scores.mean()):.4g}" if len(scores) else "unknown, since there is none"


def _sides(pairs: ScoredPairs) -> Mapping[str, Bools]:
    return {"relevant": pairs.relevant, "other": ~pairs.relevant}


def _shares(scores: Floats, edges: Floats) -> Floats:
    counts, _ = np.histogram(scores, edges)
    shares: Floats = counts / max(1, len(scores))
    return shares


def _reliability(bins: list[ScoreBin], scale: Scale, member: Member, scores: ModelScores) -> Html:
    top = max(b.relevant.high for b in bins)
    plot = Plot(scale, Scale(0, max(top * 1.1, 0.01)), 220)
    parts = plot.axes("score", "share that is relevant")
    entries = [
        (sign_sample(0), "pairs of neighbouring scores, at their mean score"),
        (line_sample("interval"), "95 % interval, over draws of queries"),
    ]
    if scores.kind == ScoreKind.PROBABILITY:
        end = min(scale.high, plot.y.high)
        parts.append(plot.line((scale.low, scale.low), (end, end), "oracle"))
        entries.append((line_sample("oracle"), "what the scores promise"))
    parts += plot.lines([(b.mean, b.relevant.value) for b in bins], "curve l0")
    for b in bins:
        parts.append(plot.line((b.mean, b.relevant.low), (b.mean, b.relevant.high), "interval"))
        note = f"{b.pairs} pairs, scores {number(b.lowest)} … {number(b.highest)}: {b.relevant} relevant"
        parts.append(plot.sign(b.mean, b.relevant.value, 0, note=note))
    description = "; ".join(f"score {b.mean:.4g}: {b.relevant.value:.3f} relevant" for b in bins)
    title = f"Reliability: how often a score of {scores.model} means relevant"
    return joined([plot.figure(f"reliability{member.number}", title, description, parts), key(entries)])
