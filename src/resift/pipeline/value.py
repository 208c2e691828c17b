"""The pipeline itself, which says what may stand where.

    bm25 + dense >> resift-mini-en@100 >> blend(weight=1.25) >> top 10

In front stand the retrievers, joined by "+"; without them the caller brings the candidates. `bm25(k1=1.2, b=0.6)` sets
BM25, `dense(model="NAME")` names the embedder of the vectors, and `weight` and `rank_constant` of `dense` say how the
two are fused. Then come the stages: a model's name with its depth, or one of `STAGES`. The first model
may be one of several, joined by "|": each ranking gets the first of them that reads its language. A name with other
characters than letters, digits and "/._:-" stands in double quotes. "no guard" lets a model judge texts of a language
that it does not read. `when(rule="FILE")` in front of the models leaves them out by a rule that `resift when` learned;
with "deeper=100" the rule may choose so many candidates. `ltr(model="FOLDER")@200` is a stage of learning to rank,
which stands where it likes, as often as it likes. "relevant(least=0.5)" at the end leaves out what its calibrated model
thinks less likely to be relevant. "top K" says how many come back. "boost(field="date", half_life="90d")" and
"boost(field="popularity")" let metadata count; one in front of a model decides what it sees.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from resift.errors import InputError
from resift.pipeline.parts import (
    DEFAULT_DEPTH,
    LEARNED,
    RETRIEVERS,
    STAGES,
    Part,
    check,
    check_retriever,
    check_stage,
)
from resift.pipeline.retrieval import Retrieval
from resift.pipeline.stages import stage_of
from resift.pipeline.text import part_of_table, part_of_text, split, table_of_part
from resift.protocols import Calibrator, Scorer, Stage
from resift.types import Ranking


def _check_fronts(names: list[str], first: int) -> None:
    """Refuse a blend or threshold without a model in front of it; the first model stands at `first`."""
    for i, name in enumerate(names):
        check(name not in ("blend", "relevant") or first < i, f"a {name} needs a model in front of it")
        check(name != "blend" or names[i - 1] != LEARNED, "a blend needs a model just in front of it, not ltr")


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
            check_retriever(part)
        for part in self.stages:
            check_stage(part)
        names = [part.name for part in self.stages]
        check("when" not in names[1:], "when stands in front of the models")
        chosen = [i for i, part in enumerate(self.stages) if part.others]
        first = next((i for i, name in enumerate(names) if name not in STAGES), len(names))
        check(chosen in ([], [first]), "one of several models, joined by |, can only be the first model")
        check(self.guard or not chosen, "no guard leaves nothing to choose by; name one model")
        check(self.top_k is None or self.top_k >= 1, f"top is 1 or more; not {self.top_k}")
        check(names != ["when"], "when needs a model behind it")
        check(names[:1] != ["when"] or names[1:2] != ["boost"], "a boost stands behind the models that when skips")
        check(("boost", "blend") not in pairwise(names), "a boost stands behind a blend, not in front of it")
        _check_fronts(names, first)
        check(names[:1] != ["when"] or "rule" in dict(self.stages[0].parameters), "when needs the file of a rule")
        check("relevant" not in names[:-1], "relevant is the last stage: a threshold is for the final score")
        self._check_pairs_of_retrievers()

    def _check_pairs_of_retrievers(self) -> None:
        """Refuse weights of vectors beside BM25 where the pipeline has only one of the two."""
        names = {part.name for part in self.retrievers}
        check(
            len(names) == len(self.retrievers),
            "a first stage has each retriever once; write bm25, dense or bm25 + dense, and compare two pipelines",
        )
        weighs = next((part for part in self.retrievers if {"weight", "rank_constant"} & part.keys), None)
        check(
            weighs is None or len(names) == len(RETRIEVERS),
            f"{weighs} weighs vectors against BM25; write bm25 + {weighs}",
        )
        shares = any(part.name == "blend" and "dense" in part.keys for part in self.stages)
        check(
            not (shares and names and len(names) < len(RETRIEVERS)),
            "the dense of a blend weighs vectors against BM25; write bm25 + dense in front, or leave it out",
        )

    @property
    def depth(self) -> int:
        """How many candidates are to be retrieved."""
        depths = [part.depth for part in self.stages if part.depth is not None]
        depths += [int(value) for part in self.stages for key, value in part.parameters if key == "deeper"]
        return max([*(depths or [DEFAULT_DEPTH]), self.top_k or 0])

    @property
    def embedder(self) -> str:
        """The model that a retriever names for its vectors; empty where none is named."""
        return self.retrieval.embedder

    @property
    def retrieval(self) -> Retrieval:
        """What the retrievers say of BM25, vectors and their fusion."""
        return Retrieval.of(self.retrievers)

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
        for i, piece in enumerate(split(text, ">>")):
            if re.fullmatch(r"top\s+\d+", piece):
                top_k = int(piece.split()[1])
            elif re.fullmatch(r"no\s+guard", piece):
                guard = False
            elif i == 0 and re.split(r"[@(]", split(piece, "+")[0])[0] in RETRIEVERS:
                retrievers = tuple(map(part_of_text, split(piece, "+")))
            else:
                stages.append(part_of_text(piece))
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
        retrievers, stages = (tuple(map(part_of_table, table.pop(key, []))) for key in ("retrievers", "stages"))
        top_k, guard = table.pop("top_k", None), table.pop("guard", True)
        check(not table, f"a pipeline has no entry {next(iter(table), '')!r}")
        return cls(retrievers, stages, top_k, guard)

    def to_toml(self) -> str:
        """The pipeline as a TOML file, one table for each retriever and stage."""
        lines = [] if self.top_k is None else [f"top_k = {self.top_k}"]
        lines += [] if self.guard else ["guard = false"]
        for kind, parts in (("retrievers", self.retrievers), ("stages", self.stages)):
            for part in parts:
                lines += ["", f"[[{kind}]]"]
                lines += [f"{key} = {json.dumps(value)}" for key, value in table_of_part(part).items()]
        return "\n".join(lines).lstrip("\n") + "\n"

    def stage(
        self,
        scorer_of: Callable[[str], Scorer],
        insist: bool = False,
        calibration_of: Callable[[str], Calibrator] | None = None,
        because: str = "",
        watch: Callable[[Part, Ranking], None] | None = None,
    ) -> Stage:
        """The stages as one Stage.

        Args:
            scorer_of: gives the scorer of a model's name; of several models each is asked for when it is needed.
            insist: the guard only says what a model does not read, and lets it judge all the same.
            calibration_of: gives the calibration of a model's name; None where there are none.
            because: of several models: why the first one is preferred, where the trace is to say that.
            watch: is shown each part of `stages` that was run, and the ranking that it left.

        Raises:
            InputError: a threshold without a calibration, or one that the calibration does not have.

        """
        return stage_of(self.stages, self.guard, scorer_of, insist, calibration_of, because, watch)


def boosts(text: str) -> tuple[Part, ...]:
    """The boosts of a text that has nothing else, joined by ">>"; an empty text has none.

    Raises:
        InputError: something else, or a boost that is wrong.

    """
    pieces = split(text, ">>") if text.strip() else []
    for piece in pieces:
        check(re.match(r"boost\b", piece) is not None, f'{piece!r} is no boost; write boost("date", half_life="90d")')
    return Pipeline(stages=tuple(map(part_of_text, pieces))).stages
