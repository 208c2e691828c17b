"""Reranks a query only where that is expected to gain something, by a rule that `resift when` learned."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from resift.errors import InputError
from resift.protocols import Flow, Stage
from resift.rerank.cascade import NOTHING
from resift.rerank.query_signals import query_signals, retrievers_of, weighted
from resift.types import Note, NoteCode, Ranking

SCHEMA, KIND = 1, "when"


@dataclass(frozen=True, slots=True)
class Expectation:
    """An expected gain as a line: constant + sum of weight x signal (see `query_signals`)."""

    constant: float
    weights: Mapping[str, float]

    def of(self, signals: Mapping[str, float]) -> float:
        """The expected gain."""
        return self.constant + weighted(signals, self.weights)


@dataclass(frozen=True, slots=True)
class WhenRule:
    """When to rerank, learned for one pipeline and its models.

    Attributes:
        stages: the stages that it was learned for, with the weight of the blend, as text.
        fingerprints: of the models, by name.
        retrievers: the sources of the first stage's scores.
        measure: what the gains are of.
        least: a query is reranked where the expected gain is this or more.
        gain: of reranking.
        deeper: depth of the second choice; 0 where there is none.
        extra: gain of that depth over the usual one; None where there is none.
        report: what the rule did on queries that it was not learned from.

    """

    stages: str
    fingerprints: Mapping[str, str]
    retrievers: tuple[str, ...]
    measure: str
    least: float
    gain: Expectation
    deeper: int = 0
    extra: Expectation | None = None
    report: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """The rule as a JSON object."""
        return {"schema": SCHEMA, "kind": KIND, **asdict(self)}

    @classmethod
    def read(cls, path: Path) -> WhenRule:
        """Read the file that `resift when` wrote.

        Raises:
            InputError: it can't be read, is no rule, or of another version.

        """
        try:
            value = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise InputError(f"can't read the rule {path} ({error}); `resift when DATA -o FILE` writes one") from error
        if not isinstance(value, dict) or value.get("kind") != KIND:
            raise InputError(f"{path} is no rule of when to rerank; `resift when DATA -o FILE` writes one")
        if value.get("schema") != SCHEMA:
            raise InputError(f"{path} has schema {value.get('schema')!r}, and this Resift reads {SCHEMA}; learn again")
        try:
            return cls(
                str(value["stages"]), dict(value["fingerprints"]), tuple(value["retrievers"]), str(value["measure"]),
                _finite(value["least"]), _expectation(value["gain"]), int(value["deeper"]),
                value["extra"] and _expectation(value["extra"]), value["report"],
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{path} is a damaged rule ({type(error).__name__}: {error}); learn again") from error

    def misfit(self, stages: str, fingerprints: Mapping[str, str]) -> str:
        """Why the rule is not for these stages and models; empty where it is."""
        if stages != self.stages:
            return f"it was learned for {self.stages}, and this is {stages}"
        changed = [name for name, value in self.fingerprints.items() if fingerprints.get(name) != value]
        return f"it was learned for another version of {changed[0]}" if changed else ""


def _expectation(value: Any) -> Expectation:  # noqa: ANN401 - whatever the file holds
    return Expectation(_finite(value["constant"]), {str(k): _finite(v) for k, v in value["weights"].items()})


def _finite(value: Any) -> float:  # noqa: ANN401
    if not math.isfinite(number := float(value)):
        raise ValueError(f"{value} is not finite")
    return number


class When:
    """Skips a stage, runs it, or runs it deeper, by the expected gain; the trace has a note that says which and why.

    A rule that is for other stages, models or retrievers is not applied: the stage runs, and the note says so.

    Args:
        rule: what is expected.
        stage: runs by default.
        deeper: runs where more candidates are expected to gain as much again; None where there is no such choice.
        misfit: why the rule is not for this stage; empty where it is.
        otherwise: runs where the stage is skipped, without a model; by default nothing.

    """

    def __init__(
        self, rule: WhenRule, stage: Stage, deeper: Stage | None = None, misfit: str = "", otherwise: Stage = NOTHING
    ) -> None:
        self.rule, self.stage, self.deeper, self._misfit = rule, stage, deeper, misfit
        self.otherwise = otherwise

    @property
    def name(self) -> str:
        """The name of the stage that it skips."""
        return self.stage.name

    def order(self, ranking: Ranking) -> Flow:
        """Decide, and run the stage or what runs instead."""
        reason = self._misfit or self._other_retrievers(ranking)
        if reason:
            note = Note(NoteCode.WHEN, f"the rule of when to rerank is not applied: {reason}; learn it again")
            return (yield from self.stage.order(ranking.noting(note)))
        signals = query_signals(ranking)
        expected = self.rule.gain.of(signals)
        words = f"the expected gain is {expected:+.3f} {self.rule.measure}"
        if expected < self.rule.least:
            note = Note(NoteCode.WHEN, f"not reranked: {words}, below {self.rule.least:g}")
            return (yield from self.otherwise.order(ranking.noting(note)))
        if self.deeper is not None and self.rule.extra is not None:
            extra = self.rule.extra.of(signals)
            if extra >= self.rule.least:
                message = (
                    f"reranked to depth {self.rule.deeper}: it is expected to add {extra:+.3f} {self.rule.measure}"
                )
                return (yield from self.deeper.order(ranking.noting(Note(NoteCode.WHEN, message))))
        return (yield from self.stage.order(ranking))

    def _other_retrievers(self, ranking: Ranking) -> str:
        present = retrievers_of(ranking)
        if present == self.rule.retrievers:
            return ""
        learned, these = (", ".join(names) or "no scores" for names in (self.rule.retrievers, present))
        return f"it was learned over {learned}, and these candidates have {these}"
