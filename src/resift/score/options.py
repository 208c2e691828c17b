"""What a caller may choose when a model is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from resift.engine.batching import Backend
from resift.errors import InputError
from resift.models.inputs import Truncation

Precision = Literal["auto", "f32", "bf16", "int8", "fp16"]
EngineOption = Literal["auto", Backend]
LongDocuments = Literal["windows", "strides", "truncate"]


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How a model is to run; `score.load.load_scorer` says what each option means.

    Raises:
        InputError: an option that there is not.

    """

    precision: Precision = "auto"
    long_documents: LongDocuments = "windows"
    truncation: Truncation | None = None
    engine: EngineOption = "auto"

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("precision", self.precision, get_args(Precision)),
            ("engine", self.engine, get_args(EngineOption)),
        ):
            if value not in choices:
                raise InputError(f"{name} is one of {', '.join(choices)}; not {value!r}")
        if self.long_documents not in get_args(LongDocuments):
            raise InputError(f"long_documents is windows, strides or truncate; not {self.long_documents!r}")
        if self.truncation not in (None, *get_args(Truncation)):
            raise InputError(f"truncation is only_second or longest_first; not {self.truncation!r}")
