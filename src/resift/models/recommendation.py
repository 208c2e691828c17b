"""Which reranker to use for a language, by what contracts and the registry say, and by no name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from resift.models.families import FAMILIES
from resift.models.published import Benchmark, Figure
from resift.models.registry import MANY, CheckpointRow


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A model for a language.

    Attributes:
        bundled: whether it ships with the package, so that nothing is fetched.
        figure: the result by which it was chosen; None where it was chosen otherwise.
        compared: how many models that may be recommended have a result in the same benchmark, itself among them.

    """

    row: CheckpointRow
    bundled: bool
    figure: Figure | None = None
    compared: int = 0


def recommend(
    language: str, rows: Sequence[CheckpointRow], bundled: Collection[str], commercial: bool = True
) -> Recommendation | None:
    """The reranker to use for a language, of these rows; None where none may be recommended.

    A bundled model that names the language comes first, of several the one that names the fewest languages. Else it is
    the best in the benchmark of the language that compares the most models, or in one of many languages; without any,
    the largest, of equals the first. It must load, allow commercial use unless told otherwise, and need no word
    segmenter.

    Args:
        language: an ISO 639-1 code.
        rows: those that read it.
        bundled: the ids of those that ship with the package.
        commercial: whether it must allow commercial use.

    """
    able = [row for row in rows if _able(row, commercial)]
    local = [row for row in able if row.id in bundled and language in row.languages]
    if local:
        return Recommendation(min(local, key=lambda row: len(row.languages)), True)
    able = [row for row in able if row.id not in bundled]
    for of in (language, MANY if language != "en" else language):
        results = _results(able, of)
        if results:
            compared = max(results.values(), key=len)
            row, figure = max(compared, key=lambda result: result[1].value)
            return Recommendation(row, False, figure, len(compared))
    return Recommendation(max(able, key=lambda row: row.parameters or 0), False) if able else None


def figures_for(row: CheckpointRow, language: str) -> list[Figure]:
    """A row's results that say something of a language: its own, and but for English those of many languages."""
    languages = {language, MANY} if language != "en" else {language}
    return [figure for figure in row.figures if figure.benchmark.language in languages]


def _able(row: CheckpointRow, commercial: bool) -> bool:
    allowed = row.commercial == "yes" or not commercial
    return FAMILIES[row.family].reranks and row.supported and allowed and not row.segmentation


def _results(rows: Sequence[CheckpointRow], language: str) -> dict[Benchmark, list[tuple[CheckpointRow, Figure]]]:
    """The results of these rows by benchmark."""
    results: dict[Benchmark, list[tuple[CheckpointRow, Figure]]] = {}
    for row in rows:
        for figure in row.figures:
            if figure.benchmark.language == language:
                results.setdefault(figure.benchmark, []).append((row, figure))
    return results
