"""Small scorers and stages, as a user of the library writes them, for tests of what drives them."""

from collections.abc import Sequence
from dataclasses import replace

from resift.protocols import Ask, Flow, Scorer
from resift.rerank.judged import judged
from resift.types import UNREACHED, ModelInfo, Note, NoteCode, Pair, Ranking, ScoreKind, Scores


class FakeScorer:
    """The score is the length of the text."""

    info = ModelInfo("fake", ScoreKind.LOGIT)

    def score(self, pairs: Sequence[Pair]) -> Scores:
        return Scores.of([len(candidate.document.text) for _, candidate in pairs], self.info)


class FakeListwise:
    """Has a judge score the whole list in one call."""

    name = "listwise"

    def __init__(self, judge: Scorer) -> None:
        self.judge = judge

    def order(self, ranking: Ranking) -> Flow:
        scores = yield Ask(self.judge, tuple((ranking.query, candidate) for candidate in ranking), whole=True)
        return judged(ranking, ranking.candidates, scores)


class FakeProgressive:
    """Scores each document by its first words, then the better half of them by more words, and so on.

    Where a round is not scored to its end, the order of the rounds before stays.
    """

    name = "progressive"

    def __init__(self, scorer: Scorer, words: Sequence[int] = (1, 2, 4)) -> None:
        self.scorer, self.words = scorer, words

    def order(self, ranking: Ranking) -> Flow:
        left = len(ranking)
        for words in self.words:
            rows = ranking.candidates[:left]
            texts = (" ".join(row.document.text.split()[:words]) for row in rows)
            heads = [
                replace(row, document=replace(row.document, text=text)) for row, text in zip(rows, texts, strict=True)
            ]
            scores = yield Ask(self.scorer, tuple((ranking.query, head) for head in heads))
            reached = sum(not judgement.flags & UNREACHED for judgement in scores.judgements)
            if reached < left and ranking.trace.reranked:
                return ranking.noting(Note(NoteCode.DEADLINE, f"{words} words: scored {reached}/{left}"))
            ranking = judged(ranking, rows, scores)
            left = max(1, left // 2)
        return ranking
