"""What a learned order is worth on queries that its trees did not see, and what each feature is worth in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from resift.evaluate.statistics import METHOD, Estimate, estimates
from resift.rerank.ranking_function import Floats
from resift.train.ltr.gains import Gain, ndcg_of_lists, per_query
from resift.train.ltr.rows import Integers, TrainingRows
from resift.train.ltr.search import FOLDS, Progress, choose, out_of_fold
from resift.train.ltr.settings import TreeSettings

Groups = Sequence[tuple[str, tuple[int, ...]]]  # a name, and the columns that belong together

AS_IT_CAME = "no reranking"
LEAST = 3  # queries: one is measured, one validates what the third teaches
_ABLATED = 12  # groups of the largest gain


@dataclass(frozen=True, slots=True)
class OrderFigure:
    """What one order reaches.

    Attributes:
        name: of the order.
        value: the measure's mean over queries.
        gain: against the order in which the candidates came, paired by query.
        helped, hurt: queries that became better, and worse.

    """

    name: str
    value: float
    gain: Estimate
    helped: int
    hurt: int


@dataclass(frozen=True, slots=True)
class GroupFigure:
    """What features that belong together are worth: their share of the trees' gain, and what is lost without them."""

    name: str
    features: tuple[str, ...]
    gain: float
    loss: Estimate | None


@dataclass(frozen=True, slots=True)
class LtrReport:
    """Figures on queries out of fold.

    Attributes:
        measure: with its gain.
        queries, rows, folds: how many.
        orders: no reranking, the best single feature, and the learned order.
        against_single: the learned order's gain against the best single feature, paired by query.
        groups: the most valuable first.

    """

    measure: str
    queries: int
    rows: int
    folds: int
    orders: tuple[OrderFigure, ...]
    against_single: Estimate
    groups: tuple[GroupFigure, ...]

    @property
    def learned(self) -> OrderFigure:
        """The learned order."""
        return self.orders[-1]

    @property
    def verdict(self) -> str:
        """What it comes to, in a sentence."""
        figure, single, beside = self.learned, self.orders[1], self.against_single
        return (
            f"On queries that it did not see, the learned order reaches {self.measure} {figure.value:.4f}. Against "
            f"{AS_IT_CAME} that is {_in_words(figure.gain)}; against the best single feature, {single.name} "
            f"({single.value:.4f}), {_in_words(beside)}."
        )

    def as_json(self) -> dict[str, Any]:
        """The report as training.json and --json have it."""
        return asdict(self) | {"method": f"{METHOD}, out of fold, paired by query", "verdict": self.verdict}


def _in_words(gain: Estimate) -> str:
    """A gain with its interval, and whether it is sure."""
    sure = "better" if gain.low > 0 else "worse" if gain.high < 0 else "perhaps chance, since the interval holds 0"
    return f"{gain.value:+.4f} (95 % {gain.low:+.4f} … {gain.high:+.4f}: {sure})"


def report(
    rows: TrainingRows,
    settings: TreeSettings,
    gains: Floats,
    groups: Groups,
    directions: Sequence[int] = (),
    search: bool | None = True,
    folds: int = FOLDS,
    ablate: bool = True,
    on_progress: Progress = lambda step, count, share: None,
) -> LtrReport:
    """Measure by cross-fitting: each query is scored by trees that saw no list of it, settings included.

    The ablation keeps the settings that were chosen for all queries, and leaves one group of features out at a time:
    its loss is what the others can't make up for, so that two features that say the same are each worth little.

    Args:
        rows: all of them.
        settings: those that were chosen; they are chosen anew in each fold where `search` says so.
        gains: (F,) of the trees of all rows.
        groups: columns that are left out together.
        directions: per column 1, -1 or 0: which way a single feature orders; 0 is tried both ways.
        search: whether each fold searches; False: it finds its number of rounds; None: the settings are fixed.
        folds: how many.
        ablate: whether groups are left out.
        on_progress: is called after each fold and group.

    """
    queries = len(set(rows.queries))
    count = queries if queries == LEAST else min(folds, queries)  # two queries at least stay to learn from

    def choice(part: TrainingRows) -> TreeSettings:
        return settings if search is None else choose(part, settings, search, quick=True)[0].settings

    learned = out_of_fold(rows, choice, count, settings.seed, on_progress)
    losses = _losses(rows, settings, gains, groups, count, on_progress) if ablate else {}
    figures = group_figures(rows, gains, groups, losses)
    return compared(rows, learned, figures, directions, count, settings.cutoff, settings.gain)


def compared(
    rows: TrainingRows,
    scores: Floats,
    groups: tuple[GroupFigure, ...],
    directions: Sequence[int],
    folds: int,
    cutoff: int,
    gain: Gain,
) -> LtrReport:
    """The orders beside each other.

    Args:
        rows: all of them.
        scores: (n,), each by a function that saw no list of its query.
        groups: as they are reported.
        directions: as in `report`.
        folds: how many there were.
        cutoff: k of nDCG@k.
        gain: of a label.

    """
    measured = _measure(rows, cutoff, gain)
    came = measured(-np.arange(len(rows.labels), dtype=np.float64))
    name, values = _best_single(rows, measured, directions)
    learned = measured(scores)
    orders = tuple(_order(label, v, came) for label, v in ((AS_IT_CAME, came), (name, values), ("learned", learned)))
    against_single = estimates((learned - values)[:, None])[0]
    measure = f"nDCG@{cutoff} (gain {'2^label - 1' if gain == 'exponential' else 'label'})"
    return LtrReport(measure, len(came), len(rows.labels), folds, orders, against_single, groups)


def _measure(rows: TrainingRows, cutoff: int, gain: Gain) -> Callable[[Floats], Floats]:
    """A function from (n,) scores to (Q,) nDCG."""
    return lambda scores: per_query(rows, ndcg_of_lists(rows, scores, cutoff, gain))


def _order(name: str, values: Floats, came: Floats) -> OrderFigure:
    differences = values - came
    gain = estimates(differences[:, None])[0]
    return OrderFigure(name, float(values.mean()), gain, int((differences > 0).sum()), int((differences < 0).sum()))


def _best_single(
    rows: TrainingRows, measured: Callable[[Floats], Floats], directions: Sequence[int]
) -> tuple[str, Floats]:
    """The single feature that orders best, chosen on these very queries, which flatters it; missing values last."""
    best: tuple[float, str, Floats] | None = None
    for i, name in enumerate(rows.features):
        direction = directions[i] if i < len(directions) else 0
        for sign in (1, -1) if direction == 0 else (direction,):
            column = sign * rows.matrix[:, i].astype(np.float64)
            values = measured(np.where(np.isnan(column), -np.inf, column))
            if best is None or values.mean() > best[0]:
                best = float(values.mean()), name if sign > 0 else f"{name}, smallest first", values
    assert best is not None
    return best[1], best[2]


def _losses(
    rows: TrainingRows, settings: TreeSettings, gains: Floats, groups: Groups, folds: int, on_progress: Progress
) -> dict[int, Estimate]:
    """By place of a group, what is lost without it: those of the largest gain, where there is more than one."""
    shares = _shares(gains, groups)
    tried = [int(i) for i in np.argsort(-shares, kind="stable") if shares[i] > 0][:_ABLATED] if len(groups) > 1 else []
    if not tried:
        return {}
    measured = _measure(rows, settings.cutoff, settings.gain)
    whole = measured(out_of_fold(rows, lambda _: settings, folds, settings.seed))
    columns = []
    for done, i in enumerate(tried, 1):
        rest = rows.without(groups[i][1])
        limited = settings.limited_to(rest.features)
        scores = out_of_fold(rest, lambda _, limited=limited: limited, folds, settings.seed)  # type: ignore[misc]
        columns.append(whole - measured(scores))
        on_progress("features left out", done, done / len(tried))
    return dict(zip(tried, estimates(np.stack(columns, axis=1)), strict=True))


def _shares(gains: Floats, groups: Groups) -> Floats:
    """(G,), of the gains of all features."""
    total = float(gains.sum()) or 1.0
    return np.array([float(gains[list(columns)].sum()) / total for _, columns in groups])


def group_figures(
    rows: TrainingRows, gains: Floats, groups: Groups, losses: Mapping[int, Estimate] = MappingProxyType({})
) -> tuple[GroupFigure, ...]:
    """Groups by gain, with the loss without each where it is known."""
    shares = _shares(gains, groups)
    order: Integers = np.argsort(-shares, kind="stable")
    return tuple(
        GroupFigure(
            groups[i][0], tuple(rows.features[c] for c in groups[i][1]), float(shares[i]), losses.get(i)
        )
        for i in order.tolist()
    )  # fmt: skip


def single_groups(features: Sequence[str]) -> Groups:
    """Each feature by itself."""
    return [(name, (i,)) for i, name in enumerate(features)]
