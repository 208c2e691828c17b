"""Texts stay on disk: memory does not grow with them."""

import subprocess
import sys

CODE = """
import tracemalloc
from resift import Reranker
from resift.evaluate import Dataset, EvaluationOptions, evaluate
from resift.files import RunLine
from resift.types import Document, ModelInfo, Query, ScoreKind, Scores

class Lengths:
    info = ModelInfo("lengths", ScoreKind.LOGIT)
    def score(self, pairs):
        return Scores.of([len(c.document.text) for _, c in pairs], self.info)

def documents():
    for i in range(1500):
        yield Document(str(i), f"{i} " * (4000 + i % 7))

queries = [Query(f"query {i}", str(i)) for i in range(20)]
run = {q.id: [RunLine(q.id, str(i * 13 % 1500), i + 1, 0.0) for i in range(50)] for q in queries}
tracemalloc.start()
data = Dataset.of(queries, documents(), {q.id: {"13": 1} for q in queries}, run)
stored = tracemalloc.get_traced_memory()[1]
evaluation = evaluate(data, ["lengths"], EvaluationOptions(cache=False, models={"lengths": Reranker(Lengths())}))
print(sum(len(d.text) for d in data.documents), stored, tracemalloc.get_traced_memory()[1])
"""


def test_memory_does_not_grow_with_the_texts() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    texts, stored, peak = map(int, done.stdout.split())
    assert texts > 25e6  # of which the candidates of one query are 1 MB
    assert stored < 5e6 and peak < 15e6
