"""Keeps a model from judging texts that it was not made for."""

from __future__ import annotations

from resift.protocols import Flow, KnowsLanguages, Scorer, Stage
from resift.types import Note, NoteCode, Ranking

_PASSAGES = 20  # candidates that are looked at


class LanguageGuard:
    """Runs a stage only where its scorer reads the language at hand; else the order stays, and the trace says why.

    A scorer that can't tell (see `KnowsLanguages`) reads everything.

    Args:
        scorer: whose languages count.
        stage: what is guarded.
        insist: run the stage all the same, and say so: the user named this model on purpose.

    """

    def __init__(self, scorer: Scorer, stage: Stage, insist: bool = False) -> None:
        self.scorer, self.stage, self.insist = scorer, stage, insist

    @property
    def name(self) -> str:
        """The name of the stage that is guarded."""
        return self.stage.name

    def order(self, ranking: Ranking) -> Flow:
        """Run the stage, or keep the order."""
        reason = misfit(self.scorer, ranking)
        if not reason:
            return (yield from self.stage.order(ranking))
        name = self.scorer.info.name
        if not self.insist:
            return ranking.noting(Note(NoteCode.LANGUAGE, f"{reason}, or {name} to rerank all the same"))
        note = Note(NoteCode.LANGUAGE, f"{reason}; reranked all the same, since {name} was named")
        return (yield from self.stage.order(ranking.noting(note)))


def misfit(scorer: Scorer, ranking: Ranking) -> str:
    """Why a scorer should not judge a ranking, in one sentence; empty when it should."""
    if not isinstance(scorer, KnowsLanguages):
        return ""
    passages = [f"{c.document.title} {c.document.text}" for c in ranking.candidates[:_PASSAGES]]
    return scorer.misfit(ranking.query.text, passages)
