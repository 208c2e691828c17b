"""Resift inside other libraries: one module per library, which is imported only with that module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from resift.types import Ranking


class Reranks(Protocol):
    """A loaded model (`resift.load`) or a server (`resift.serve.client.Client`)."""

    def rerank(self, query: str, documents: Sequence[str], top_k: int | None = None) -> Ranking:
        """Order texts; a candidate's id is its text's position from "0"."""
