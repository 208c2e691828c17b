"""From judgements to a ranking: the second half of every stage that scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from resift.types import UNREACHED, Candidate, Flag, Judgement, Note, NoteCode, Ranking, Score, Scores, Signal, Step

_SHORTFALLS = {flag: NoteCode(flag) for flag in (Flag.DEADLINE, Flag.MEMORY, Flag.OVERLOAD, Flag.FAILED)}


def judged(ranking: Ranking, head: Sequence[Candidate], scores: Scores) -> Ranking:
    """Order the candidates of `head`, the first ones of the ranking, by the scores that they were given.

    Behind the scored candidates come those that were not reached and those behind the head, in their present order,
    then those that can't be scored. When every score is the same, or there is none, the order is kept. The trace gets a
    step, and a note where not all were scored.
    """
    stage = 1 + max((c.score.stage for c in ranking if c.score), default=0)
    candidates = [_scored(c, j, scores, stage) for c, j in zip(head, scores.judgements, strict=True)]
    unreached = [c for c, j in zip(candidates, scores.judgements, strict=True) if j.flags & UNREACHED]
    reached = [c for c, j in zip(candidates, scores.judgements, strict=True) if not j.flags & UNREACHED]
    values = [c.score.value for c in reached if c.score]
    notes = _shortfalls(scores, sum(not j.flags & UNREACHED and Flag.FAILED not in j.flags for j in scores.judgements))
    step = Step(
        scores.source, scores.ms, len(reached), scores.tokens, len(values), len(ranking),
        sum(Flag.TRUNCATED in c.flags for c in reached),
    )  # fmt: skip
    rest = ranking.candidates[len(head) :]
    if not values or (len(values) > 1 and min(values) == max(values)):
        constant = Note(NoteCode.CONSTANT, "constant scores") if values else Note(NoteCode.NOTHING, "nothing to score")
        flagged = (replace(c, flags=new.flags) for c, new in zip(head, candidates, strict=True))
        return Ranking(ranking.query, (*flagged, *rest), ranking.trace.then(step, *(notes or [constant])))
    order = Ranking.from_scores(ranking.query, (c for c in reached if c.score))
    signed = (replace(c, signals=(*c.signals, Signal(scores.source, c.rank, c.score))) for c in order)
    unscored = (c for c in reached if not c.score)
    trace = ranking.trace.then(step, *notes, reranked=True)
    return Ranking(ranking.query, (*signed, *unreached, *rest, *unscored), trace)


def _scored(candidate: Candidate, judgement: Judgement, scores: Scores, stage: int) -> Candidate:
    """The candidate with its judgement; one that nobody tried to judge keeps the score of the stage before."""
    if judgement.flags & UNREACHED:
        return replace(candidate, flags=candidate.flags | judgement.flags)
    score = None if judgement.value is None else Score(judgement.value, scores.kind, scores.source, stage)
    flags = candidate.flags | judgement.flags
    return replace(candidate, score=score, span=judgement.span or candidate.span, flags=flags)


def _shortfalls(scores: Scores, judged_: int) -> list[Note]:
    """Why candidates were not judged, where time, room or the model was the reason."""
    flags = {flag for judgement in scores.judgements for flag in judgement.flags if judgement.value is None}
    return [
        Note(code, f"{code}: {scores.source} scored {judged_}/{len(scores)}")
        for flag, code in _SHORTFALLS.items()
        if flag in flags
    ]
