"""From the parts of a pipeline to a Stage that runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path

from resift.engine.once import Once
from resift.pipeline.parts import LEARNED, STAGES, Part, boost_rule, check
from resift.protocols import Calibrator, Scorer, Stage
from resift.rerank.blend import Blend
from resift.rerank.boost import Boost
from resift.rerank.cascade import Cascade, Watched
from resift.rerank.guard import Alternative, ByLanguage, LanguageGuard
from resift.rerank.pointwise import Pointwise
from resift.rerank.relevance import Relevance
from resift.rerank.when import When, WhenRule
from resift.types import ModelInfo, Ranking

ScorerOf = Callable[[str], Scorer]
CalibrationOf = Callable[[str], Calibrator] | None
Watch = Callable[[Part, Ranking], None] | None  # is shown what each stage of a part left


def stage_of(
    parts: Sequence[Part],
    guard: bool,
    scorer_of: ScorerOf,
    insist: bool,
    calibration_of: CalibrationOf,
    because: str,
    watch: Watch,
) -> Stage:
    """The parts as one Stage; see `Pipeline.stage`."""
    scorer = cache(scorer_of)  # the same object for all rankings, so that their pairs share calls
    rule = _rule(parts)
    first = next((part for part in parts if part.name not in STAGES), None)
    if first is None or not guard:
        return _unguarded(parts, rule, scorer, calibration_of, watch)
    otherwise = without_models(parts, watch)
    if not first.others:
        return LanguageGuard(
            scorer(first.name), _unguarded(parts, rule, scorer, calibration_of, watch), insist, otherwise
        )
    alternatives = []
    for name in first.names:
        single = replace(first, name=name, others=())
        variant = [single if part is first else part for part in parts]
        stage = Once(partial(_unguarded, variant, rule, scorer, calibration_of, watch))
        alternatives.append(Alternative(name, partial(scorer, name), stage))
    return ByLanguage(alternatives, because, otherwise)


def without_models(parts: Sequence[Part], watch: Watch = None) -> Cascade:
    """What is left of stages where no model is asked: the boosts."""
    return Cascade([_watched(Boost(boost_rule(part)), part, watch) for part in parts if part.name == "boost"])


def _watched(stage: Stage, part: Part, watch: Watch) -> Stage:
    return stage if watch is None else Watched(stage, partial(watch, part))


def resolved(parts: Sequence[Part], infos: Sequence[ModelInfo]) -> str:
    """Stages as text that says all that the models' order depends on, so without thresholds and boosts.

    Args:
        parts: models, and stages without one.
        infos: of the models, in order.

    """
    texts, models = [], iter(infos)
    info: ModelInfo | None = None
    for part in parts:
        if part.name == "blend":
            assert info is not None
            weight, dense = part.value("weight"), part.value("dense")
            share = "" if dense is None else f", dense={dense:g}"
            texts.append(f"blend(weight={info.blend_weight if weight is None else float(weight):g}{share})")
        elif part.name == LEARNED:
            texts.append(str(part))
        elif part.name not in STAGES:
            info = next(models)
            texts.append(f"{info.name}@{part.depth or 'all'}")
    return " >> ".join(texts)


def _rule(parts: Sequence[Part]) -> WhenRule | None:
    """The rule of when to rerank; None where there is none."""
    if not parts or parts[0].name != "when":
        return None
    rule, depth = WhenRule.read(Path(str(parts[0].value("rule")))), int(parts[0].value("deeper") or 0)
    check(
        depth in (0, rule.deeper),
        f"the rule chooses between {rule.deeper or 'no'} and fewer candidates, not {depth}",
    )
    return rule


def _unguarded(
    parts: Sequence[Part], rule: WhenRule | None, scorer_of: ScorerOf, calibration_of: CalibrationOf, watch: Watch
) -> Stage:
    """The stages one after the other, skipped where the rule says so, without a guard."""
    if rule is None:
        return _Assembly(scorer_of, calibration_of, watch).cascade(parts)
    depth, parts = int(parts[0].value("deeper") or 0), parts[1:]
    assembly = _Assembly(scorer_of, calibration_of, watch)
    stage = assembly.cascade(parts)
    deeper = None
    if depth:
        deeper = _Assembly(scorer_of, calibration_of, watch).cascade([replace(parts[0], depth=depth), *parts[1:]])
    infos = [scorer.info for scorer in assembly.scorers]
    misfit = rule.misfit(resolved(parts, infos), {info.name: info.fingerprint for info in infos})
    return When(rule, stage, deeper, misfit, without_models(parts, watch))


@dataclass
class _Assembly:
    """Stages that are made one after the other, and the scorers of their models so far, in order."""

    scorer_of: ScorerOf
    calibration_of: CalibrationOf
    watch: Watch = None
    scorers: list[Scorer] = field(default_factory=list)
    name: str = ""  # of the last model, as the pipeline has it

    def cascade(self, parts: Sequence[Part]) -> Cascade:
        made = [(part, _MAKERS.get(part.name, _Assembly.model)(self, part)) for part in parts]
        return Cascade([_watched(stage, part, self.watch) for part, stage in made])

    def model(self, part: Part) -> Stage:
        self.name = part.name
        self.scorers.append(self.scorer_of(part.name))
        return Pointwise(self.scorers[-1], part.depth)

    def blend(self, part: Part) -> Stage:
        info, weight, dense = self.scorers[-1].info, part.value("weight"), part.value("dense")
        share = None if dense is None else float(dense)
        if weight is not None:
            return Blend(info.name, float(weight), dense=share)
        return Blend(info.name, info.blend_weight, info.blend_weight_indexed, share)

    def boost(self, part: Part) -> Stage:
        return Boost(boost_rule(part))

    def learned(self, part: Part) -> Stage:
        from resift.rerank.learned import Learned, open_learned  # NumPy stays out of `import resift`

        model, weight = open_learned(Path(str(part.value("model")))), part.value("weight")
        return Learned(model, part.depth, part.value("explain") is True, None if weight is None else float(weight))

    def relevant(self, part: Part) -> Stage:
        check(self.calibration_of is not None, "a threshold of relevance needs a calibrated model")
        assert self.calibration_of is not None
        return Relevance(self.calibration_of(self.name), part.value("least"))


# How each of `STAGES` is made; `when` is not among them, since it holds the others.
_MAKERS: Mapping[str, Callable[[_Assembly, Part], Stage]] = {
    "blend": _Assembly.blend,
    "boost": _Assembly.boost,
    "relevant": _Assembly.relevant,
    LEARNED: _Assembly.learned,
}
