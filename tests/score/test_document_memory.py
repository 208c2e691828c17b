"""A document that was encoded is not encoded again, and its scores stay what they were."""

from collections.abc import Sequence
from dataclasses import dataclass

from resift import Reranker
from resift.protocols import RemembersDocuments
from resift.score.document_memory import DocumentMemory
from resift.types import Candidate, Document, Query


@dataclass(frozen=True)
class Length:
    tokens: int
    nbytes: int = 10


class Encoder:
    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(self, texts: Sequence[str]) -> list[Length]:
        self.calls.append(list(texts))
        return [Length(len(text)) for text in texts]


def test_each_text_is_encoded_once() -> None:
    memory, encode = DocumentMemory[Length](1000), Encoder()
    assert [e.tokens for e in memory.encode(["aa", "b", "aa"], encode)] == [2, 1, 2]
    assert memory.spared_ms == 0
    assert [e.tokens for e in memory.encode(["ccc", "b"], encode)] == [3, 1]
    assert encode.calls == [["aa", "b"], ["ccc"]] and memory.spared_ms > 0


def test_the_least_recently_used_ones_leave_first() -> None:
    memory, encode = DocumentMemory[Length](25), Encoder()
    for texts in (["a", "b"], ["a"], ["c"], ["a", "c"], ["b"]):
        memory.encode(texts, encode)
    assert encode.calls == [["a", "b"], ["c"], ["b"]]
    nothing = DocumentMemory[Length](5)
    assert nothing.encode(["a"], encode) == nothing.encode(["a"], encode) and encode.calls[-2:] == [["a"], ["a"]]


def test_scores_and_flags_are_the_same(mini: Reranker) -> None:
    assert isinstance(mini.scorer, RemembersDocuments) and mini.scorer.memory is None
    scorer = mini.scorer.remembering(1 << 20)
    texts = ["A red lamp.", "", "ferry " * 900, "Bread is baked \x00 daily."]
    for question in ("lamp", "who bakes bread?"):
        pairs = [(Query(question), Candidate(Document(str(i), text))) for i, text in enumerate(texts)]
        assert scorer.score(pairs) == mini.scorer.score(pairs)
    assert scorer.info == mini.scorer.info
    assert isinstance(scorer, RemembersDocuments) and scorer.memory is not None and scorer.memory.spared_ms > 0
