"""From texts to the inputs of a late-interaction model: markers, expansion, windows, and which tokens are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resift.errors import BrokenModel, InputError
from resift.models.contract import Contract
from resift.models.inputs import LateInput
from resift.models.tokenizer import Encoded, Tokens
from resift.text.windows import windows

_NO_TOKEN = "the query has no token that the model can read; ask with at least one word"


@dataclass(frozen=True, slots=True)
class WindowInput:
    """One input.

    Attributes:
        ids: all tokens.
        attended: how many of them the encoder attends to; the others follow.
        compared: positions of those that take part in MaxSim.
        spans: (len(compared), 2) characters that each covers; tokens that are not of the text cover none.

    """

    ids: list[int]
    attended: int
    compared: npt.NDArray[np.int64]
    spans: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class TextInputs:
    """The inputs of one text, how many of its tokens they hold, and whether some of its tokens are in none."""

    windows: tuple[WindowInput, ...]
    tokens: int
    cut: bool


class TokenInputs:
    """Lays texts out as the contract's `LateInput` says.

    Raises:
        BrokenModel: the tokenizer has no such marker or fill.

    """

    def __init__(self, contract: Contract, tokens: Tokens) -> None:
        self.rules, self._tokens, self._contract = contract.input_as(LateInput), tokens, contract
        words = (tokens.id_of(w) for w in self.rules.skip_words)
        skipped = (*self.rules.skip, *(i for i in words if i is not None))
        self._skip = {role: np.array(skipped if role in self.rules.skip_in else (), np.int64) for role in _ROLES}
        self._fill = [self._id(self.rules.fill)] if self.rules.expand else []
        self._head, self._prefix = {}, {}
        around = {"query": (self.rules.query_marker, self.rules.query_prefix),
                  "document": (self.rules.document_marker, self.rules.document_prefix)}  # fmt: skip
        for role, (marker, prefix) in around.items():
            leading, rest = tokens.leading(prefix) if prefix else ([], "")
            self._head[role] = [*tokens.single[0], *([self._id(marker)] if marker else []), *leading]
            self._prefix[role] = rest

    def _id(self, token: str) -> int:
        token_id = self._tokens.id_of(token)
        if token_id is None:
            raise BrokenModel(
                f"the tokenizer of {self._contract.name} has no token {token!r}, which its settings name; "
                "name the right one in a contract.json"
            )
        return token_id

    def queries(self, texts: Sequence[str]) -> list[TextInputs]:
        """One input for each query; one over the model's window is cut.

        Raises:
            InputError: a query without any token to compare.

        """
        limit = self.rules.query_tokens or self._contract.max_tokens
        queries = []
        for prefix, encoded in self._tokens.behind(self._prefix["query"], texts, limit):
            room = self._room("query", limit, len(prefix))
            part = Encoded(encoded.ids[:room], encoded.offsets[:room])
            window = self._input("query", prefix, part)
            if not part.ids or not len(window.compared):
                raise InputError(_NO_TOKEN)
            queries.append(TextInputs((window,), len(part.ids), room < len(encoded.ids)))
        return queries

    def documents(self, texts: Sequence[str], first_only: bool) -> list[TextInputs]:
        """As many overlapping inputs for each document as it needs, or the first of them; none without a token."""
        limit = min(self._contract.window_tokens, self._contract.max_tokens)
        documents = []
        enough = limit if first_only else None
        for prefix, encoded in self._tokens.behind(self._prefix["document"], texts, enough):
            size = self._room("document", limit, len(prefix))
            ranges = windows(len(encoded.ids), size, size // 4) if encoded.ids else []
            ranges = [(0, min(size, len(encoded.ids)))] if first_only and ranges else ranges
            parts = [Encoded(encoded.ids[a:b], encoded.offsets[a:b]) for a, b in ranges]
            inputs = (self._input("document", prefix, part) for part in parts)
            count = sum(len(part.ids) for part in parts)
            end = ranges[-1][1] if ranges else 0
            documents.append(TextInputs(tuple(i for i in inputs if len(i.compared)), count, end < len(encoded.ids)))
        return documents

    def _room(self, role: str, limit: int, prefix: int) -> int:
        room = limit - len(self._head[role]) - prefix - len(self._tokens.single[1])
        if room < 1:
            raise BrokenModel(
                f"{self._contract.name} leaves no room for a {role} in {limit} tokens; its settings are wrong"
            )
        return room

    def _input(self, role: str, prefix: list[int], text: Encoded) -> WindowInput:
        head = [*self._head[role], *prefix]
        ids = [*head, *text.ids, *self._tokens.single[1]]
        first, attended = len(head), len(ids)
        spans = np.zeros((len(ids), 2), np.int32)
        spans[first : first + len(text.ids)] = np.array(text.offsets, np.int32).reshape(-1, 2)
        compares = ~np.isin(np.array(ids, np.int64), self._skip[role])
        if not self.rules.special:
            compares[:first] = compares[first + len(text.ids) :] = False
        if role == "query" and (missing := max(0, self.rules.expand - len(ids))):
            ids += self._fill * missing
            attended = len(ids) if self.rules.attend else attended
            compares = np.concatenate([compares, np.ones(missing, np.bool_)])
            spans = np.concatenate([spans, np.zeros((missing, 2), np.int32)])
        compared = np.flatnonzero(compares)
        return WindowInput(ids, attended, compared, spans[compared])


_ROLES = ("query", "document")
