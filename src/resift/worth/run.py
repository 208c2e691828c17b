"""Finds out whether reranking is worth it: tunes on some queries, compares on the others, and says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from resift import arguments
from resift.errors import InputError
from resift.evaluate import named_measures
from resift.evaluate.dataset import Dataset
from resift.evaluate.environment import machine, model_facts
from resift.evaluate.evaluation import NO_DOCUMENT, Rows
from resift.evaluate.first_stages import FirstStages, Progress
from resift.evaluate.outcomes import Models
from resift.evaluate.plan import retrievers_of
from resift.evaluate.result_cache import Cost, RecordedScorer, ResultCache
from resift.evaluate.run import facts_of, judgement_folder, places
from resift.evaluate.statistics import Floats
from resift.loading import load
from resift.reranker import Reranker
from resift.worth.first_stage_grid import FirstStageGrid
from resift.worth.report import WorthIt, report
from resift.worth.reranked import ALONE, WEIGHT_GRID, Judged, Option, judged, orders
from resift.worth.selection import stretch
from resift.worth.splits import Split, splits
from resift.worth.tuning import Reranked, Tables, choose, choose_first, out_of_sample
from resift.worth.verdict import LEAST, judge

if TYPE_CHECKING:
    from ir_measures import Measure

DEPTHS = (10, 30, 50, 100)


@dataclass(frozen=True, slots=True)
class WorthItOptions:
    """What is compared, and from when on a gain counts.

    Attributes:
        retrievers: "bm25", "dense", an embedder's name, or two with "+"; None: the candidates of the data, and where
            there are none "bm25 + dense".
        models: names of rerankers; none: the default one for the language of the data.
        depths: how many candidates are reranked.
        measure: its name.
        least: the smallest effect of interest, in units of the measure.
        cache: a folder that keeps judgements; None: one for these documents in the user's cache; False: none.
        seed: of splits and intervals.
        loaded: loaded models by name; others are loaded.

    """

    retrievers: str | None = None
    models: Sequence[str] = ()
    depths: Sequence[int] = DEPTHS
    measure: str = "nDCG@10"
    least: float = LEAST
    cache: Path | bool | None = None
    seed: int = 0
    loaded: Mapping[str, Reranker] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse what can't be compared, before any data are read.

        Raises:
            InputError: a least that is not above 0, no depth or one below 1, or a measure that can't be computed.

        """
        if not 0 < arguments.number(self.least, "least") < 1:
            raise InputError(f"least is the smallest gain that matters, above 0 and below 1; not {self.least}")
        if not self.depths:
            raise InputError("no depth is named; name how many candidates to rerank, such as 30")
        for depth in self.depths:
            arguments.whole(depth, "depth")
        named_measures.parse([self.measure])


def worth_it(
    data: Dataset,
    options: WorthItOptions = WorthItOptions(),
    on_progress: Progress = lambda step, count, share: None,
) -> WorthIt:
    """Compare reranking with the tuned first stage, on queries that tuned neither.

    Below 200 queries each fifth is reported by parameters that the other four fifths chose, from 200 on one half by
    those of the other. The first stage is tuned first; then its candidates are reranked by every model, each pair is
    scored once, and depth, model and weight of the blend are chosen: those that are best on the queries which tune.
    See `verdict` for the rule, and for when a cheaper choice is recommended.

    Args:
        data: what is searched and judged.
        options: what is compared.
        on_progress: is called with the name of the present step, how many items it has done, and their share (0..1).

    Raises:
        MissingExtra: ir-measures is not installed.
        InputError: an option that can't be used, less than two different queries, or a cache that can't be written.
        ModelError: a model can't be used.

    """
    options.check()
    parts = splits(data.queries, options.seed)
    if not parts:
        raise InputError("all queries have the same text, so that none can tune for another; label at least two")
    names = tuple(dict.fromkeys(options.models or [data.default_models.late_interaction]))
    loaded = {name: options.loaded[name] if name in options.loaded else load(name) for name in names}
    facts = {name: model_facts(model.info) for name, model in loaded.items()}
    cache = ResultCache(judgement_folder(data, options.cache))
    try:
        comparison = _Comparison(data, options, cache, on_progress)
        result = comparison.run(parts, loaded)
    finally:
        cache.close()
    return replace(result, models=facts, machine=machine())


class _Comparison:
    """One data set and all that is tried on it."""

    def __init__(self, data: Dataset, options: WorthItOptions, cache: ResultCache, on_progress: Progress) -> None:
        self.data, self.options, self.cache, self._on_progress = data, options, cache, on_progress
        self.depths = sorted(set(options.depths))
        self.measures: list[Measure] = named_measures.parse([options.measure])
        self.grades = _grades(data)
        text = options.retrievers or ("" if data.run else "bm25 + dense")
        k = max(places(data, self.measures), *self.depths)
        stages = FirstStages(data, cache, on_progress=on_progress)
        retrievers = retrievers_of(text) if text else ()
        stages.check(retrievers)
        self.grid = FirstStageGrid(stages, retrievers, k)
        cutoff = getattr(self.measures[0], "params", {}).get("cutoff")
        self.width = cutoff if isinstance(cutoff, int) else k

    def run(self, parts: Sequence[Split], loaded: Mapping[str, Reranker]) -> WorthIt:
        rows = self.grid.rows(self._on_progress)
        first = self._values(rows)
        everyone = np.ones(len(self.data.queries), bool)
        final = parts[0].tune if len(parts) == 1 else everyone  # what chooses the pipeline that is recommended
        firsts = [choose_first(first, tune) for tune in [*(part.tune for part in parts), final]]
        options = tuple(
            Option(name, depth, weight)
            for name, model in loaded.items()
            for depth in self.depths
            for weight in dict.fromkeys([model.info.blend_weight, *WEIGHT_GRID, ALONE])
        )
        reranked, misfits = self._rerank(rows, sorted(set(firsts)), options, loaded)
        tables = Tables(first, options, reranked)
        least = self.options.least
        choices = [choose(tables, f, part.tune, least) for f, part in zip(firsts, parts, strict=False)]
        recommended = choose(tables, firsts[-1], final, least)
        depth = options[recommended.best].depth
        ceilings = {f: self._values(named_measures.best_order(self.grades, rows[f], depth)) for f in reranked}
        result = out_of_sample(tables, ceilings, parts, choices)
        factor = stretch(tables, parts, result, self.options.seed)
        verdict = judge(result, len(self.data.queries), least, factor, self.options.seed)
        return report(
            verdict, result, tables, recommended, choices,
            data=facts_of(self.data), measure=str(self.measures[0]), least=least, seed=self.options.seed, factor=factor,
            first_stages=tuple(map(self.grid.text, self.grid.stages)), ideal=self._ideal()[result.queries],
            first_ms=np.array([self.grid.ms(query) for query in self.data.queries]), misfits=misfits,
        )  # fmt: skip

    def _rerank(
        self, rows: Rows, firsts: Sequence[int], options: Sequence[Option], loaded: Mapping[str, Reranker]
    ) -> tuple[dict[int, Reranked], dict[str, int]]:
        """The values of all options over some first stages, and how many queries each model does not read."""
        shape = (len(options), len(self.data.queries))
        tables = {f: Reranked(np.zeros(shape), np.zeros(shape)) for f in firsts}
        models, misfits = Models(loaded), dict.fromkeys(loaded, 0)
        done, total = 0, len(firsts) * len(loaded) * len(self.data.queries)
        for name in loaded:
            scorer = models.recorded([name], self.cache, Cost())[name]
            assert isinstance(scorer, RecordedScorer)
            own = [i for i, option in enumerate(options) if option.model == name]
            for f in firsts:
                reranked = np.full((len(own), shape[1], rows.shape[2]), NO_DOCUMENT, np.int32)
                for q in range(shape[1]):
                    ranking = self.grid.ranking(self.grid.stages[f], q)
                    result = judged(scorer, ranking, self.depths[-1])
                    misfits[name] += bool(result.misfit) and f == firsts[0]
                    tables[f].ms[own, q] = [result.ms[: options[i].depth].sum() for i in own]
                    reranked[:, q, : len(ranking)] = self._orders(
                        result, [options[i] for i in own], rows[f, q], len(ranking)
                    )
                    done += 1
                    self._on_progress("candidate lists reranked", done, done / total)
                tables[f].values[own] = self._values(reranked)
        return tables, misfits

    def _orders(self, result: Judged, options: Sequence[Option], row: Rows, total: int) -> Rows:
        """(O, total), the candidates as each option orders them."""
        by_depth = {
            depth: iter(row[orders(result, depth, [o.weight for o in options if o.depth == depth], total)])
            for depth in self.depths
        }
        return np.stack([next(by_depth[option.depth]) for option in options])

    def _values(self, rows: Rows) -> Floats:
        """(…, Q), the measure of rankings (…, Q, K)."""
        flat = rows[..., : self.width].reshape(-1, min(self.width, rows.shape[-1]))
        grades = list(self.grades) * (len(flat) // len(self.grades))
        values = named_measures.calculate(self.measures, grades, flat)[str(self.measures[0])]
        return values.reshape(rows.shape[:-1])

    def _ideal(self) -> Floats:
        """(Q,), the measure of all judged documents in the best order: what perfect retrieval could reach."""
        ideal = np.full((len(self.grades), max(map(len, self.grades))), NO_DOCUMENT, np.int32)
        for q, judgements in enumerate(self.grades):
            ideal[q, : len(judgements)] = sorted(judgements, key=lambda row: -judgements[row])
        return self._values(ideal)


def _grades(data: Dataset) -> list[Mapping[int, int]]:
    """Of each query, the grades by position in the data set; documents that are not there get positions behind it."""
    store = data.documents
    return [
        {(store.row(i) if store.has(i) else len(store) + at): g for at, (i, g) in enumerate(data.qrels[q.id].items())}
        for q in data.queries
    ]
