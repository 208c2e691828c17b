"""A pipeline as a value: which retrievers, which stages, how deep; as text, as TOML, and as a Stage that runs.

    bm25 + dense >> resift-mini-en@100 >> blend(weight=1.25) >> top 10

In front stand the retrievers, joined by "+"; without them the caller brings the candidates. `dense(model="NAME")` names
the embedder of the vectors. Then come the stages: a model's name with its depth, or one of `STAGES`. The first model
may be one of several, joined by "|": each ranking gets the first of them that reads its language. A name with other
characters than letters, digits and "/._:-" stands in double quotes. "no guard" lets a model judge texts of a language
that it does not read. `when(rule="FILE")` in front of the models leaves them out by a rule that `resift when` learned;
with "deeper=100" the rule may choose so many candidates. "relevant(least=0.5)" at the end leaves out what its
calibrated model thinks less likely to be relevant. "top K" says how many come back.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from resift.engine.once import Once
from resift.errors import InputError
from resift.protocols import Calibrator, Scorer, Stage
from resift.rerank.blend import Blend
from resift.rerank.cascade import Cascade
from resift.rerank.guard import Alternative, ByLanguage, LanguageGuard
from resift.rerank.pointwise import Pointwise
from resift.rerank.relevance import Relevance
from resift.rerank.when import When, WhenRule
from resift.types import ModelInfo

RETRIEVERS: Mapping[str, tuple[str, ...]] = {"bm25": (), "dense": ("model",)}  # and their parameters
# Stages without a model, and their parameters.
STAGES: Mapping[str, tuple[str, ...]] = {"blend": ("weight",), "relevant": ("least",), "when": ("rule", "deeper")}
DEFAULT_DEPTH = 100

Value = float | str | bool
_PLAIN = re.compile(r"[\w/.:-]+")
_PART = re.compile(r'(?P<name>"(?:[^"\\]|\\.)*"|[\w/.:-]+)(?:@(?P<depth>\d+))?(?:\((?P<parameters>.*)\))?')
_NAME = re.compile(r'"(?:[^"\\]|\\.)*"|[\w/.:-]+')
_QUOTED = r'"(?:[^"\\]|\\.)*"'


@dataclass(frozen=True, slots=True)
class Part:
    """One step of a pipeline.

    Attributes:
        name: of a retriever, a model (bundled name, folder or hub id), or one of `STAGES`.
        depth: how many candidates a model looks at; None: all that there are.
        parameters: names and values, in order.
        others: the models of which one is taken where `name` does not read the language at hand.

    """

    name: str
    depth: int | None = None
    parameters: tuple[tuple[str, Value], ...] = ()
    others: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The name and the others."""
        return (self.name, *self.others)

    def __str__(self) -> str:
        quoted = (n if _PLAIN.fullmatch(n) else json.dumps(n, ensure_ascii=False) for n in self.names)
        name = " | ".join(quoted)
        depth = "" if self.depth is None else f"@{self.depth}"
        values = ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in self.parameters)
        return f"{name}{depth}({values})" if values else f"{name}{depth}"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Which retrievers and stages a search has; `parse(str(pipeline)) == pipeline`.

    Attributes:
        retrievers: whose lists are fused; none where the caller brings the candidates.
        stages: in the order in which they run.
        top_k: how many candidates come back; None: all.
        guard: whether a model is left out where it does not read the language at hand.

    Raises:
        InputError: an unknown retriever or parameter, a depth or top_k below 1, a blend in front of every model, or a
            threshold that is not the last stage, or a choice of models elsewhere than at the first, or without a guard.

    """

    retrievers: tuple[Part, ...] = ()
    stages: tuple[Part, ...] = ()
    top_k: int | None = None
    guard: bool = True

    def __post_init__(self) -> None:
        for part in self.retrievers:
            _check(part.name in RETRIEVERS, f"a retriever is {' or '.join(RETRIEVERS)}; not {part.name!r}")
            _check(part.depth is None and not part.others, f"{part.name} takes no depth and no alternative")
            _check_parameters(part, RETRIEVERS)
        for part in self.stages:
            _check(part.name not in RETRIEVERS, f"the retriever {part.name} stands in front, joined by +")
            _check(part.name not in STAGES or part.depth is None, f"{part.name} takes no depth")
            _check_parameters(part, STAGES)
            _check(part.depth is None or part.depth >= 1, f"the depth of {part.name} is 1 or more; not {part.depth}")
        names = [part.name for part in self.stages]
        _check("when" not in names[1:], "when stands in front of the models")
        behind = names[1:] if names[:1] == ["when"] else names
        chosen = [i for i, part in enumerate(self.stages) if part.others]
        first = len(names) - len(behind)
        _check(chosen in ([], [first]), "one of several models, joined by |, can only be the first model")
        _check(self.guard or not chosen, "no guard leaves nothing to choose by; name one model")
        _check(self.top_k is None or self.top_k >= 1, f"top is 1 or more; not {self.top_k}")
        _check(names != ["when"], "when needs a model behind it")
        _check(not behind or behind[0] not in STAGES, f"a {behind[0] if behind else ''} needs a model in front of it")
        _check(names[:1] != ["when"] or "rule" in dict(self.stages[0].parameters), "when needs the file of a rule")
        _check("relevant" not in names[:-1], "relevant is the last stage: a threshold is for the final score")

    @property
    def depth(self) -> int:
        """How many candidates are to be retrieved."""
        depths = [part.depth for part in self.stages if part.depth is not None]
        depths += [int(value) for part in self.stages for key, value in part.parameters if key == "deeper"]
        return max([*(depths or [DEFAULT_DEPTH]), self.top_k or 0])

    @property
    def embedder(self) -> str:
        """The model that a retriever names for its vectors; empty where none is named."""
        return next((str(value) for part in self.retrievers for key, value in part.parameters if key == "model"), "")

    @property
    def models(self) -> tuple[str, ...]:
        """The models' names, each once, in order."""
        return tuple(dict.fromkeys(name for part in self.stages if part.name not in STAGES for name in part.names))

    def __str__(self) -> str:
        parts = [" + ".join(map(str, self.retrievers))] if self.retrievers else []
        parts += [] if self.guard else ["no guard"]
        parts += map(str, self.stages)
        parts += [] if self.top_k is None else [f"top {self.top_k}"]
        return " >> ".join(parts)

    @classmethod
    def parse(cls, text: str) -> Pipeline:
        """Read what `str` writes.

        Raises:
            InputError: text that is no pipeline; the message names the part.

        """
        retrievers: tuple[Part, ...] = ()
        stages: list[Part] = []
        top_k, guard = None, True
        for i, piece in enumerate(_split(text, ">>")):
            if re.fullmatch(r"top\s+\d+", piece):
                top_k = int(piece.split()[1])
            elif re.fullmatch(r"no\s+guard", piece):
                guard = False
            elif i == 0 and re.split(r"[@(]", _split(piece, "+")[0])[0] in RETRIEVERS:
                retrievers = tuple(map(_part, _split(piece, "+")))
            else:
                stages.append(_part(piece))
        return cls(retrievers, tuple(stages), top_k, guard)

    @classmethod
    def from_toml(cls, text: str) -> Pipeline:
        """Read what `to_toml` writes.

        Raises:
            InputError: no TOML, or entries that a pipeline does not have.

        """
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"the pipeline is not TOML: {error}") from error
        retrievers, stages = (tuple(map(_part_of, table.pop(key, []))) for key in ("retrievers", "stages"))
        top_k, guard = table.pop("top_k", None), table.pop("guard", True)
        _check(not table, f"a pipeline has no entry {next(iter(table), '')!r}")
        return cls(retrievers, stages, top_k, guard)

    def to_toml(self) -> str:
        """The pipeline as a TOML file, one table for each retriever and stage."""
        lines = [] if self.top_k is None else [f"top_k = {self.top_k}"]
        lines += [] if self.guard else ["guard = false"]
        for kind, parts in (("retrievers", self.retrievers), ("stages", self.stages)):
            for part in parts:
                depth: list[tuple[str, object]] = [] if part.depth is None else [("depth", part.depth)]
                depth += [("others", part.others)] if part.others else []
                lines += ["", f"[[{kind}]]"]
                lines += [
                    f"{key} = {json.dumps(value)}" for key, value in (("name", part.name), *depth, *part.parameters)
                ]
        return "\n".join(lines).lstrip("\n") + "\n"

    def stage(
        self,
        scorer_of: Callable[[str], Scorer],
        insist: bool = False,
        calibration_of: Callable[[str], Calibrator] | None = None,
        because: str = "",
    ) -> Stage:
        """The stages as one Stage.

        Args:
            scorer_of: gives the scorer of a model's name; of several models each is asked for when it is needed.
            insist: the guard only says what a model does not read, and lets it judge all the same.
            calibration_of: gives the calibration of a model's name; None where there are none.
            because: of several models: why the first one is preferred, where the trace is to say that.

        Raises:
            InputError: a threshold without a calibration, or one that the calibration does not have.

        """
        scorer = cache(scorer_of)  # the same object for all rankings, so that their pairs share calls
        rule = self._rule()
        first = next((part for part in self.stages if part.name not in STAGES), None)
        if first is None or not self.guard:
            return self._unguarded(rule, scorer, calibration_of)
        if not first.others:
            return LanguageGuard(scorer(first.name), self._unguarded(rule, scorer, calibration_of), insist)
        alternatives = []
        for name in first.names:
            single = replace(first, name=name, others=())
            variant = replace(self, stages=tuple(single if part is first else part for part in self.stages))
            stage = Once(partial(variant._unguarded, rule, scorer, calibration_of))
            alternatives.append(Alternative(name, partial(scorer, name), stage))
        return ByLanguage(alternatives, because)

    def _rule(self) -> WhenRule | None:
        """The rule of when to rerank; None where there is none."""
        if not self.stages or self.stages[0].name != "when":
            return None
        parameters = dict(self.stages[0].parameters)
        rule, depth = WhenRule.read(Path(str(parameters["rule"]))), int(parameters.get("deeper", 0))
        _check(
            depth in (0, rule.deeper),
            f"the rule chooses between {rule.deeper or 'no'} and fewer candidates, not {depth}",
        )
        return rule

    def _unguarded(
        self,
        rule: WhenRule | None,
        scorer_of: Callable[[str], Scorer],
        calibration_of: Callable[[str], Calibrator] | None,
    ) -> Stage:
        """The stages one after the other, skipped where the rule says so, without a guard."""
        parts = [part for part in self.stages if part.name != "when"]
        stage, scorers = _cascade(parts, scorer_of, calibration_of)
        if rule is None:
            return stage
        deeper = None
        if depth := int(dict(self.stages[0].parameters).get("deeper", 0)):
            deeper, _ = _cascade([replace(parts[0], depth=depth), *parts[1:]], scorer_of, calibration_of)
        infos = [scorer.info for scorer in scorers]
        misfit = rule.misfit(resolved(parts, infos), {info.name: info.fingerprint for info in infos})
        return When(rule, stage, deeper, misfit)


def resolved(parts: Sequence[Part], infos: Sequence[ModelInfo]) -> str:
    """Stages as text that says all that their order depends on, but for thresholds.

    Args:
        parts: models and blends.
        infos: of the models, in order.

    """
    texts, models = [], iter(infos)
    info: ModelInfo | None = None
    for part in parts:
        if part.name == "blend":
            assert info is not None
            weight = float(dict(part.parameters).get("weight", info.blend_weight))
            texts.append(f"blend(weight={weight:g})")
        elif part.name not in STAGES:
            info = next(models)
            texts.append(f"{info.name}@{part.depth or 'all'}")
    return " >> ".join(texts)


def _cascade(
    parts: Sequence[Part],
    scorer_of: Callable[[str], Scorer],
    calibration_of: Callable[[str], Calibrator] | None,
) -> tuple[Cascade, list[Scorer]]:
    """Stages one after the other, and the scorers of their models, in order."""
    stages: list[Stage] = []
    scorers: list[Scorer] = []
    for part in parts:
        if part.name == "blend":
            info = scorers[-1].info
            stages.append(Blend(info.name, float(dict(part.parameters).get("weight", info.blend_weight))))
        elif part.name == "relevant":
            _check(calibration_of is not None, "a threshold of relevance needs a calibrated model")
            assert calibration_of is not None
            least = dict(part.parameters).get("least")
            model = [p.name for p in parts if p.name not in STAGES][-1]
            stages.append(Relevance(calibration_of(model), least))
        else:
            scorers.append(scorer_of(part.name))
            stages.append(Pointwise(scorers[-1], part.depth))
    return Cascade(stages), scorers


def _check_parameters(part: Part, names: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse a parameter that the retriever or stage does not have, or whose value does not fit."""
    allowed = names.get(part.name, ())
    for key, value in part.parameters:
        _check(key in allowed, f"{part.name} has no parameter {key!r}; it has {', '.join(allowed) or 'none'}")
        fits, what = _VALUES[key]
        _check(fits(value), f"the {key} of {part.name} is {what}; not {value!r}")


def _is_name(value: Value) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_count(value: Value) -> bool:
    return _is_weight(value) and float(value) >= 1 and float(value).is_integer()


def _is_weight(value: Value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf


def _is_relevance(value: Value) -> bool:
    return value in ("high", "some") or (_is_weight(value) and 0 < float(value) <= 1)


_VALUES: Mapping[str, tuple[Callable[[Value], bool], str]] = {
    "model": (_is_name, "a name in double quotes"),
    "rule": (_is_name, "a file in double quotes"),
    "deeper": (_is_count, "a whole number of 1 or more"),
    "weight": (_is_weight, "a finite number of 0 or more"),
    "least": (_is_relevance, 'a probability above 0 and up to 1, "high" or "some"'),
}


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(message)


def _split(text: str, separator: str) -> list[str]:
    """The pieces of a text between separators that stand outside of quotes, without spaces around them."""
    pieces, at = [], 0
    for match in re.finditer(f"{_QUOTED}|{re.escape(separator)}", text):
        if match.group() == separator:
            pieces.append(text[at : match.start()].strip())
            at = match.end()
    return [*pieces, text[at:].strip()]


def _part(text: str) -> Part:
    *names, text = _split(text, "|")
    match = _PART.fullmatch(text)
    if match is None or not all(_NAME.fullmatch(name) for name in names):
        raise InputError(
            f"{text!r} is no part of a pipeline; write bm25 + dense >> MODEL@DEPTH >> blend >> top 10, "
            "and names with other characters in double quotes"
        )
    depth = None if match["depth"] is None else int(match["depth"])
    name, *others = map(_unquoted, [*names, match["name"]])
    return Part(name, depth, tuple(_parameters(match["parameters"] or "", text)), tuple(others))


def _unquoted(name: str) -> str:
    return str(json.loads(name)) if name.startswith('"') else name


def _parameters(text: str, part: str) -> Iterator[tuple[str, Value]]:
    for piece in _split(text, ",") if text.strip() else []:
        key, _, value = piece.partition("=")
        try:
            yield key.strip(), json.loads(value)
        except ValueError as error:
            raise InputError(f'{piece!r} in {part!r} is no parameter; write name=1.5 or name="text"') from error


def _part_of(table: Any) -> Part:  # noqa: ANN401 - whatever a TOML file holds
    if not isinstance(table, dict) or not isinstance(table.get("name"), str):
        raise InputError("each retriever and stage of a pipeline is a table with a name")
    parameters = {key: value for key, value in table.items() if key not in ("name", "depth", "others")}
    depth = table.get("depth")
    _check(
        depth is None or (isinstance(depth, int) and not isinstance(depth, bool)), f"a depth is a number; not {depth!r}"
    )
    others = table.get("others", [])
    names = isinstance(others, list) and all(isinstance(other, str) for other in others)
    _check(names, f"others is a list of models; not {others!r}")
    return Part(table["name"], depth, tuple(parameters.items()), tuple(others))
