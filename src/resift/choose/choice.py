"""The choice: what was measured decides, else what was published; and "keep the first stage" is an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from resift.choose.candidates import ModelCandidate, Needs, candidates
from resift.choose.measuring import MEASURE, Measured, measure
from resift.choose.sample import UserSample
from resift.choose.text_costs import TextCosts, text_costs
from resift.errors import InputError
from resift.evaluate.first_stages import Progress
from resift.evaluate.plan import retrievers_of
from resift.evaluate.statistics import Estimate
from resift.models.published import Figure
from resift.models.recommendation import Recommendation, figures_for, recommend

FIRST_STAGE = "bm25 + dense"


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A recommendation, and all that it rests on.

    Attributes:
        needs: what was asked, with the sample's languages where none were named.
        sentence: the recommendation.
        recommended: the candidate; None: keep the first stage, or none meets the needs.
        candidates: those that meet the needs, the recommended one first, then those that were measured; `reasons` of a
            measured one says where it was too slow.
        refused: those that don't meet them.
        measured: by id; the first stage under "".
        costs: what tokenizers at hand make of the sample, by id.
        synthetic: whether the sample's queries were made from the documents.

    """

    needs: Needs
    sentence: str
    recommended: ModelCandidate | None
    candidates: tuple[ModelCandidate, ...]
    refused: tuple[ModelCandidate, ...] = ()
    measured: Mapping[str, Measured] = field(default_factory=dict)
    costs: Mapping[str, TextCosts] = field(default_factory=dict)
    synthetic: bool = False


def choose(
    needs: Needs,
    sample: UserSample | None = None,
    first_stage: str = FIRST_STAGE,
    on_progress: Progress = lambda step, count, share: None,
) -> ModelChoice:
    """Choose a reranker.

    Of judged queries the highest nDCG@10 of a model within the needs decides, if it is above the first stage's by an
    interval without 0. Without judgements it is what `resift models --lang` recommends, of those within the needs.

    Args:
        needs: conditions.
        sample: the user's queries and documents; None: by published figures alone.
        first_stage: whose candidates are reranked, such as "bm25".
        on_progress: as in `evaluate`.

    Raises:
        InputError: neither a language nor a sample that tells one, or a first stage that is none.
        ModelError: a model that was named can't be used.

    """
    retrievers = retrievers_of(first_stage)
    languages = needs.languages or (sample.languages() if sample else ())
    if not languages:
        raise InputError("in which language are the texts? name it (--lang vi), or give a sample of queries and texts")
    needs = replace(needs, languages=languages)
    every = candidates(needs)
    fitting = [c for c in every if not c.reasons]
    at_hand = [c for c in fitting if c.weights]
    measured = measure(at_hand, sample, retrievers, needs.depth, on_progress) if sample else {}
    costs = _costs(fitting, sample) if sample else {}
    fitting = [replace(c, reasons=tuple(_too_slow(measured.get(c.row.id), needs))) for c in fitting]
    in_time = [c for c in fitting if not c.reasons]
    judged = any(m.quality is not None for m in measured.values())
    best = _by_quality(in_time, measured) if judged else None
    published = recommend(
        languages[0], [c.row for c in in_time], {c.row.id for c in in_time if c.bundled}, needs.commercial
    )
    recommended = best or (None if judged and _any_measured(in_time, measured) else _of(published, in_time))
    chosen = recommended.row.id if recommended else ""
    return ModelChoice(
        needs,
        _sentence(needs, recommended, in_time, measured, published),
        recommended,
        tuple(sorted(fitting, key=lambda c: (c.row.id != chosen, *_order(c, measured, languages[0])))),
        tuple(c for c in every if c.reasons),
        measured,
        costs,
        bool(sample and sample.judged and sample.judged.synthetic),
    )


def _costs(fitting: Sequence[ModelCandidate], sample: UserSample) -> dict[str, TextCosts]:
    return {
        c.row.id: text_costs(c.folder, sample, c.row.max_tokens)
        for c in fitting
        if c.folder is not None and (c.folder / "tokenizer.json").exists()
    }


def _too_slow(measured: Measured | None, needs: Needs) -> list[str]:
    if measured is None or needs.ms is None or measured.ms_p95 <= needs.ms:
        return []
    return [f"{measured.ms_p95:.0f} ms for 95 % of the queries"]


def _any_measured(in_time: Sequence[ModelCandidate], measured: Mapping[str, Measured]) -> bool:
    return any(c.row.id in measured for c in in_time)


def _by_quality(in_time: Sequence[ModelCandidate], measured: Mapping[str, Measured]) -> ModelCandidate | None:
    """The best on the user's judged queries; None where even its gain may be none."""
    best = _leader(in_time, measured)
    gain = measured[best.row.id].gain if best else None
    return best if gain is not None and gain.low > 0 else None


def _leader(in_time: Sequence[ModelCandidate], measured: Mapping[str, Measured]) -> ModelCandidate | None:
    """The candidate of the highest mean; of equals the faster."""
    ranked = [
        (m.quality.value, -m.ms_p95, -at, c)
        for at, c in enumerate(in_time)
        if (m := measured.get(c.row.id)) and m.quality is not None
    ]
    return max(ranked)[3] if ranked else None


def _of(published: Recommendation | None, in_time: Sequence[ModelCandidate]) -> ModelCandidate | None:
    return next((c for c in in_time if published and c.row.id == published.row.id), None)


def _order(candidate: ModelCandidate, measured: Mapping[str, Measured], language: str) -> tuple[bool, float, bool]:
    m = measured.get(candidate.row.id)
    return m is None, -(m.quality.value if m and m.quality else 0.0), not figures_for(candidate.row, language)


def _sentence(
    needs: Needs,
    recommended: ModelCandidate | None,
    in_time: Sequence[ModelCandidate],
    measured: Mapping[str, Measured],
    published: Recommendation | None,
) -> str:
    where = f"for {' and '.join(needs.languages)}"
    if recommended is None:
        return f"{where} {_none(in_time, measured)}"
    facts = [recommended.row.license if recommended.row.license != "unknown" else "licence not stated: check it"]
    m = measured.get(recommended.row.id)
    if m is not None and m.gain is not None and m.quality is not None:
        facts.insert(0, f"{MEASURE} {m.quality.value:.3f} on your queries, {_interval(m.gain)} over the first stage")
    else:
        judged = any(other.quality is not None for other in measured.values())
        reason = "nothing at hand meets the needs" if judged else "without judgements"
        figure = published.figure if published else None
        facts.insert(
            0, f"{reason}, by {f'what was published: {figure_text(figure)}' if figure else 'language and licence'}"
        )
    speed = "not measured here" if recommended.weights else "not measured here: its weights are not on this machine"
    speed = f"{m.ms_p95:.0f} ms per query here" if m else speed
    source = ", which is bundled" if recommended.bundled else ""
    return f"{where} use {recommended.row.id}{source} ({'; '.join([facts[0], speed, *facts[1:]])})"


def _none(in_time: Sequence[ModelCandidate], measured: Mapping[str, Measured]) -> str:
    best = _leader(in_time, measured)
    if best is None:
        return "no reranker meets these needs; the table below has the reasons"
    gain = measured[best.row.id].gain
    text = _interval(gain) if gain else ""
    return f"keep the first stage: no model at hand is surely better on your queries (the best, {best.row.id}: {text})"


def _interval(gain: Estimate) -> str:
    return f"{gain.value:+.3f} (95 %: {gain.low:+.3f} … {gain.high:+.3f})"


def figure_text(figure: Figure) -> str:
    """A published result in words, with its source."""
    benchmark = figure.benchmark
    return f"{benchmark.measure} {figure.value:.3f} on {benchmark.on} (source: {benchmark.source})"
