"""What a model's numbers mean and how its input is built: the contract of a folder, and its form in contract.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from resift.errors import BrokenModel
from resift.models.families import Family, loadable
from resift.models.folder import CONTRACT, ModelFolder
from resift.models.inputs import Input, check_types
from resift.types import ModelInfo, ScoreKind

InputType = TypeVar("InputType")
_TYPES = {"name": str, "max_tokens": int, "window_tokens": int, "int8": bool, "blend_weight": float,
          "blend_weight_indexed": float, "fusion_weight": float, "languages": list, "license": str, "parameters": int,
          "description": str, "golden": list}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Golden:
    """A pair and the score that the model gives it at f32; recomputed by the tests."""

    query: str
    document: str
    score: float


@dataclass(frozen=True, slots=True)
class Contract:
    """How a model is fed and read: facts that all families have, and the input record of its own.

    Attributes:
        family: one of `models.families`.
        kind: what a score is.
        max_tokens: the longest input, special tokens included; 0: any length.
        window_tokens: longer documents are scored in windows of this many tokens; never more than fits max_tokens.
        input: how its inputs are built, in the record of its family (`models.inputs`).
        int8: whether the order was measured to stay when activations are rounded to int8 (tau of 0.99 and 98 % of the
            ten best per query, on real queries; where bf16 has less than 0.995, a tau 0.005 below bf16's); where a CPU
            gains by it, the model then runs so.
        blend_weight: weight of the standardised score beside the standardised first-stage rank; tuned, see the card.
        blend_weight_indexed: the same where the first stage has searched with the model's own vectors, whose cosine is
            then in the first opinion already; 0: as elsewhere.
        fusion_weight: an embedder's part of the fusion with BM25 by reciprocal ranks; 0: both have the same.
        languages: ISO 639-1 codes of those that the model was made for; empty where nothing is known.
        parameters: how many numbers its weights hold; 0 where nothing is known.
        golden: pairs with their scores at f32.

    """

    name: str
    family: str
    kind: ScoreKind
    max_tokens: int
    window_tokens: int
    input: Input
    int8: bool = False
    blend_weight: float = 1.0
    blend_weight_indexed: float = 0.0
    fusion_weight: float = 0.0
    languages: tuple[str, ...] = ()
    license: str = ""
    parameters: int = 0
    description: str = ""
    golden: tuple[Golden, ...] = ()

    def input_as(self, record: type[InputType]) -> InputType:
        """The input record, by the code of the family whose record it is."""
        assert isinstance(self.input, record), f"a contract of family {self.family} has {type(self.input).__name__}"
        return self.input

    @property
    def row(self) -> Family:
        """The family's row.

        Raises:
            UnknownFamily: Resift does not load the family.

        """
        return loadable(self.family, self.name)

    def entries(self) -> dict[str, Any]:
        """The contract as contract.json has it: the common facts and the input's entries side by side."""
        common = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("input", "golden")}
        return common | {"golden": [asdict(pair) for pair in self.golden]} | self.input.entries()

    def info(self, fingerprint: str, runs_on: str, long_documents: str) -> ModelInfo:
        """What the rest of Resift needs to know of a model that is fed and read so."""
        return ModelInfo(
            self.name, self.kind, self.family, fingerprint, runs_on, self.max_tokens, long_documents, self.languages,
            self.blend_weight, self.blend_weight_indexed or self.blend_weight, self.license,
            sha256(json.dumps(self.entries(), sort_keys=True).encode()).hexdigest(),
        )  # fmt: skip

    def write(self, folder: Path) -> None:
        """Write contract.json."""
        text = json.dumps(self.entries(), indent=1, ensure_ascii=False)
        (folder / CONTRACT).write_text(text + "\n", "utf-8")


def parse_contract(folder: ModelFolder) -> Contract:
    """The contract that a folder states itself.

    Raises:
        UnknownFamily: its family is none that Resift loads.
        BrokenModel: an entry is missing, unknown or malformed.

    """
    entries = folder.object(CONTRACT)
    try:
        family = loadable(str(entries["family"]), f"{folder}/{CONTRACT}")
    except KeyError as error:
        raise BrokenModel(f"{folder}/{CONTRACT} is incomplete or malformed: {error}") from error
    assert family.input is not None  # a family without it is not loadable
    common = {f.name for f in fields(Contract)} - {"input"}
    if unknown := set(entries) - common - family.input.keys:
        raise BrokenModel(f"{folder}/{CONTRACT} has unknown entries {sorted(unknown)}; update Resift")
    try:
        check_types(entries, _TYPES)
        return Contract(**_common(entries, common), input=family.input.parse(_without(entries, common)))
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenModel(f"{folder}/{CONTRACT} is incomplete or malformed: {error}") from error


def _common(entries: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    """The facts of all families, in the types of their fields."""
    return {name: value for name, value in entries.items() if name in names} | {
        "kind": ScoreKind(entries["kind"]),
        "languages": tuple(entries.get("languages", ())),
        "golden": tuple(Golden(**pair) for pair in entries.get("golden", ())),
    }


def _without(entries: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in entries.items() if name not in names}
