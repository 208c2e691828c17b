"""A family that is made up for tests: a score is the share of pieces that query and document have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from resift.models.contract import Contract
from resift.models.folder import ModelFolder
from resift.score.options import LoadOptions
from resift.types import Pair, Scores


@dataclass(frozen=True, slots=True)
class OverlapInput:
    keys: ClassVar[frozenset[str]] = frozenset({"size"})
    size: int = 3

    @classmethod
    def parse(cls, entries: Mapping[str, Any]) -> Self:
        return cls(**entries)

    def entries(self) -> dict[str, Any]:
        return {"size": self.size}


class Overlap:
    def __init__(self, contract: Contract, fingerprint: str) -> None:
        self.info = contract.info(fingerprint, "words", "windows")
        self._size = contract.input_as(OverlapInput).size

    def _pieces(self, text: str) -> set[str]:
        return {text[i : i + self._size].lower() for i in range(len(text) - self._size + 1)}

    def score(self, pairs: Sequence[Pair]) -> Scores:
        rows = [(self._pieces(query.text), self._pieces(candidate.document.text)) for query, candidate in pairs]
        return Scores.of([_share(q, d) if d else None for q, d in rows], self.info)


def open_scorer(folder: ModelFolder, contract: Contract, options: LoadOptions) -> Overlap:
    return Overlap(contract, folder.fingerprint)


def _share(query: set[str], document: set[str]) -> float:
    """The share, and a little for the lengths, so that pairs that have nothing in common differ."""
    return len(query & document) / len(query | document) + 1 / (1000 + 37 * len(query) + len(document))
