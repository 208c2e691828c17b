"""A small judged collection, and scorers that count what they are asked."""

import random
from collections.abc import Sequence

from resift import Reranker
from resift.evaluate.dataset import Dataset
from resift.files import RunLine
from resift.types import Document, ModelInfo, Pair, Query, ScoreKind, Scores

WORDS = "lamp ferry bread harbour stone letter garden winter signal copper window river".split()


def collection(seed: int = 1, documents: int = 40, queries: int = 12, run: bool = False, prefix: str = "d") -> Dataset:
    """Documents of random words, queries of two words, grades by how many of them a document has."""
    rng = random.Random(seed)
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(4, 9))) + f" number {i}" for i in range(documents)]
    questions = [" ".join(rng.sample(WORDS, 2)) for _ in range(queries)]
    grades: dict[str, dict[str, int]] = {}
    for q, question in enumerate(questions):
        shared = [len(set(question.split()) & set(text.split())) for text in texts]
        judged = {f"{prefix}{i}": n for i, n in enumerate(shared) if n and rng.random() < 0.8}
        grades[f"q{q}"] = judged | {f"{prefix}0": shared[0]} | ({} if any(judged.values()) else {f"{prefix}1": 1})
    lines = None
    if run:
        lines = {}
        for q in range(queries):
            sample = enumerate(rng.sample(range(documents), 20), 1)
            lines[f"q{q}"] = [RunLine(f"q{q}", f"{prefix}{i}", rank, -float(rank)) for rank, i in sample]
    return Dataset.of(
        [Query(question, f"q{q}") for q, question in enumerate(questions)],
        [Document(f"{prefix}{i}", text) for i, text in enumerate(texts)],
        grades,
        lines,
        "small",
    )


class CountingScorer:
    """A word that query and document share is worth one, and each letter of the document costs a little."""

    def __init__(self, name: str = "overlap", stop_after: int = 0) -> None:
        self.info = ModelInfo(name, ScoreKind.LOGIT)
        self.pairs: list[tuple[str, str]] = []
        self.stop_after = stop_after

    def score(self, pairs: Sequence[Pair]) -> Scores:
        if self.stop_after and len(self.pairs) >= self.stop_after:
            raise KeyboardInterrupt
        asked = [(query.text, candidate.document.text) for query, candidate in pairs]
        self.pairs += [pair for pair in asked if pair != ("a", "a")]  # the pair that warms up
        return Scores.of((len(set(q.split()) & set(d.split())) - len(d) / 1000 for q, d in asked), self.info)


class ConstantScorer:
    info = ModelInfo("constant", ScoreKind.LOGIT)

    def score(self, pairs: Sequence[Pair]) -> Scores:
        return Scores.of([0.5] * len(pairs), self.info)


def models(*scorers: CountingScorer | ConstantScorer) -> dict[str, Reranker]:
    return {scorer.info.name: Reranker(scorer) for scorer in scorers}
