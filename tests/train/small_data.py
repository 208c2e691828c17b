"""A small data set with metadata, for tests of learning to rank."""

import random

from resift.evaluate import Dataset
from resift.types import Document, Query

WORDS = "amber bridge copper delta ember falcon garnet harbour island jasper kernel lantern".split()


def small_data(queries: int = 24, seed: int = 0) -> Dataset:
    """Each query is two words; documents have one or both; those with both are relevant, the popular ones more."""
    draw = random.Random(seed)
    documents, asked, qrels = [], [], {}
    for i in range(160):
        words = draw.choices(WORDS, k=8)
        documents.append(Document(f"d{i}", " ".join(words), words[0], {"likes": draw.randrange(100)}))
    pairs = [(a, b) for a in WORDS for b in WORDS if a < b]
    draw.shuffle(pairs)
    for i, (a, b) in enumerate(pairs[:queries]):
        asked.append(Query(f"{a} {b}", f"q{i}"))
        both = [d for d in documents if {a, b} <= set(d.text.split())]
        qrels[f"q{i}"] = {d.id: 2 if d.metadata["likes"] > 50 else 1 for d in both} | {"d0": 0}
    return Dataset.of([q for q in asked if len(qrels[q.id]) > 1], documents, qrels, name="small")
