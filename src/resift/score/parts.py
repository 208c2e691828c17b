"""Tokenizer, engine and padding id of a model that runs on an engine; models of one folder share them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from resift.models.contract import Contract
from resift.models.folder import ModelFolder
from resift.models.graph_source import graph_source
from resift.models.inner_heads import inner_head
from resift.models.inputs import LateInput
from resift.models.integrity import check_tokens
from resift.models.tokenizer import Tokens
from resift.score.engine_choice import open_engine
from resift.score.options import EngineOption, LoadOptions
from resift.score.precision import default_precision

if TYPE_CHECKING:
    from resift.engine.batching import Engine

T = TypeVar("T")
_shared: WeakValueDictionary[tuple[str, ...], Any] = WeakValueDictionary()
_lock = Lock()


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one model.

    Attributes:
        tokens: its tokenizer.
        engine: runs it.
        pad: the token id that fills short rows.
        exact: the same model at f32, for what is not finite at the engine's precision; None where that is f32.

    """

    tokens: Tokens
    engine: Engine
    pad: int
    exact: Engine | None = None


def open_parts(folder: ModelFolder, contract: Contract, options: LoadOptions) -> Parts:
    """Open a model's parts; its weights are read when the first batch comes.

    Raises:
        InputError: see `open_engine`.
        ModelError: files are missing, damaged or contradict each other.
        MissingExtra: the engine is not installed.

    """
    source = graph_source(folder, contract)
    key = (str(folder.encoder.path.resolve()), contract.family, folder.fingerprint)
    record = contract.input
    markers = [m for m in (record.query_marker, record.document_marker) if m] if isinstance(record, LateInput) else []
    tokens = shared(("tokens", *key), lambda: Tokens(folder.encoder, folder.lower_case, markers))
    check_tokens(folder.encoder, tokens, source.rows, record)
    default = default_precision(contract, folder.fingerprint)

    stops_at = str(inner_head(contract))

    def opened(choice: LoadOptions) -> Engine:
        return shared(
            ("engine", *key, stops_at, choice.engine, choice.precision, default),
            lambda: open_engine(choice, folder, contract, source, default),
        )

    engine = opened(options)
    if engine.precision == "f32":
        return Parts(tokens, engine, source.pad)
    at_f32: EngineOption = "openvino" if engine.name == "native" else engine.name
    return Parts(tokens, engine, source.pad, opened(replace(options, precision="f32", engine=at_f32)))


def shared(key: tuple[str, ...], make: Callable[[], T]) -> T:
    """The object that was made for this key and is still in use, else a new one; safe to call from many threads."""
    with _lock:
        value: T | None = _shared.get(key)
        if value is None:
            value = make()
            _shared[key] = value
        return value
