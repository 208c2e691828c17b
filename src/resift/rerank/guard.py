"""Keeps a model from judging texts that it was not made for."""

from __future__ import annotations

from resift.protocols import Flow, KnowsLanguages, Scorer, Stage
from resift.types import Note, NoteCode, Ranking

_PASSAGES = 20  # candidates that are looked at


class LanguageGuard:
    """Runs a stage only where its scorer reads the language at hand; else the order stays, and the trace says why.

    A scorer that can't tell (see `KnowsLanguages`) reads everything.
    """

    def __init__(self, scorer: Scorer, stage: Stage) -> None:
        self.scorer, self.stage = scorer, stage

    @property
    def name(self) -> str:
        """The name of the stage that is guarded."""
        return self.stage.name

    def order(self, ranking: Ranking) -> Flow:
        """Run the stage, or keep the order."""
        if notes := misfits(self.scorer, ranking):
            return ranking.noting(*notes)
        return (yield from self.stage.order(ranking))


def misfits(scorer: Scorer, ranking: Ranking) -> list[Note]:
    """Why a scorer should not judge a ranking; empty when it should."""
    if not isinstance(scorer, KnowsLanguages):
        return []
    passages = [f"{c.document.title} {c.document.text}" for c in ranking.candidates[:_PASSAGES]]
    message = scorer.misfit(ranking.query.text, passages)
    return [Note(NoteCode.LANGUAGE, message)] if message else []
