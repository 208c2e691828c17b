"""Resift inside other libraries: one module per library, which is imported only with that module."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from resift.arguments import items
from resift.errors import InputError
from resift.types import Ranking


class Reranks(Protocol):
    """A loaded model (`resift.load`) or a server (`resift.client.http_client.Client`)."""

    def rerank(self, query: str, documents: Sequence[str], top_k: int | None = None) -> Ranking:
        """Order texts; a candidate's id is its text's position from "0"."""


T = TypeVar("T")


def each(values: Iterable[T], kind: type[T]) -> list[T]:
    """The documents or nodes that a library passed, as a list.

    Raises:
        InputError: one of them instead of a list, or something else in the list.

    """
    name = kind.__name__
    if isinstance(values, kind):
        raise InputError(f"documents is one {name}, not a list; put it into a list: [{name}]")
    members = list(items(values, "documents", name))
    for i, value in enumerate(members):
        if not isinstance(value, kind):
            raise InputError(f"document {i} is of type {type(value).__name__}; give a {name}")
    return members
