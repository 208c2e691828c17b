"""From a name to a scorer: bundled model, folder or hub id; contract first, then tokenizer, then weights.

A model is recognised by its own contract.json, else by its row in the registry, else by its config and tensor names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from resift import arguments
from resift.engine.native.encoder_library import unsupported
from resift.engine.native.native_engine import Checkpoint, obstacle
from resift.engine.native.native_heads import classifier, token_vectors
from resift.engine.weights.checkpoint_files import header, read_weights
from resift.engine.weights.onnx_weights import names_matrices, read_onnx_weights
from resift.errors import BrokenModel, InputError, NotAModel, UnknownFamily
from resift.models.checkpoints import lowered, to_rerank
from resift.models.config import read_config
from resift.models.contract import Contract, Truncation, read_contract
from resift.models.exported import OWN, exported, weights_or_graph
from resift.models.hub import fetch
from resift.models.integrity import check_export, check_files, check_tokens
from resift.models.registry import refuse_unsupported, row_of, with_row
from resift.models.tokenizer import Tokens
from resift.models.vector_sources import Source, vector_source, vocabulary_rows
from resift.score.cross_encoder import CrossEncoder, LongDocuments
from resift.score.embedder import ModelEmbedder, TextEmbedder
from resift.score.engine_choice import EngineName, Precision, open_engine
from resift.score.late_interaction import LateInteraction
from resift.score.precision import default_precision

if TYPE_CHECKING:
    from resift.engine.batching import Engine

BUNDLED = Path(__file__).parent.parent / "bundled"

_SHORTEST = 32  # tokens of the shortest window that leaves room for a query and a document

T = TypeVar("T")
_shared: WeakValueDictionary[tuple[str, ...], Any] = WeakValueDictionary()
_lock = Lock()


def bundled_models() -> list[Contract]:
    """Contracts of the models that ship with the package, by name."""
    return [read_contract(folder) for folder in sorted(BUNDLED.iterdir()) if (folder / "contract.json").exists()]


def find_model(name: str) -> Path:
    """The folder of a bundled name, of a path, or of a hub id (`owner/name`, fetched once and kept by the hub's cache).

    Raises:
        NotAModel: none of these.
        InputError: an empty name, which would be the working folder.

    """
    arguments.path(name, "the model's name")
    if (BUNDLED / name / "contract.json").exists():
        return BUNDLED / name
    path = Path(os.path.expanduser(name))  # a unit or env file does not expand "~"
    if path.is_dir():
        return path
    if path.exists():
        raise NotAModel(f"{name} is a file; give the folder that holds the model")
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return fetch(name)
    raise NotAModel(
        f"no model {name!r}: not bundled ({_bundled()}), no folder of that name, and not a hub id (owner/name)"
    )


def _bundled() -> str:
    return ", ".join(c.name for c in bundled_models())


def load_scorer(
    name: str,
    precision: Precision = "auto",
    long_documents: LongDocuments = "windows",
    truncation: Truncation | None = None,
    max_tokens: int | None = None,
    engine: EngineName = "auto",
) -> CrossEncoder | LateInteraction:
    """Load a scorer; its weights are read when the first pair comes.

    Args:
        name: bundled name, folder or hub id.
        precision: "f32"; "bf16" and "int8" where the CPU has them; "fp16" with torch; "auto" takes the fastest that is
            known to keep the order, see `resift.score.precision`.
        long_documents: score documents over the window in "windows" or "strides", or "truncate" them.
        truncation: another rule than the contract's, see `Contract`; used with long_documents="truncate".
        max_tokens: a shorter window than the contract's, special tokens included.
        engine: "native", "openvino", "onnx" or "torch"; "auto" is torch where a CUDA device is and the model runs
            there, else native where the processor and the model are made for it, else openvino.

    Raises:
        InputError: a precision, engine or rule that there is not, or that this model, engine or CPU does not have.
        ModelError: not a model, not a reranker, or damaged.
        MissingExtra: the engine is not installed.

    """
    if long_documents not in ("windows", "strides", "truncate"):
        raise InputError(f"long_documents is windows, strides or truncate; not {long_documents!r}")
    folder, contract = _recognised(name)
    contract = to_rerank(folder, contract)
    if contract.family not in ("encoder", "late"):
        raise UnknownFamily(
            f"{name} is an embedding model and not a reranker: it makes vectors to find with, and scores no pairs"
        )
    if contract.family == "late" and (truncation or long_documents == "strides"):
        raise InputError(f"{name} reads query and document apart: truncation and strides are of cross-encoders")
    check_export(folder)
    contract = _narrowed(contract, truncation, max_tokens)
    made_by = fingerprint(folder)
    tokens, runner, pad = _parts(folder, contract, precision, engine, made_by)
    at_f32: EngineName = "openvino" if runner.name == "native" else runner.name
    exact = None if runner.precision == "f32" else _parts(folder, contract, "f32", at_f32, made_by)[1]
    made = CrossEncoder if contract.family == "encoder" else LateInteraction
    return made(contract, tokens, runner, pad, long_documents, exact, made_by)


def _recognised(name: str) -> tuple[Path, Contract]:
    """A model's folder and contract; what the table knows to be of no supported family is not even fetched."""
    if row := row_of(name):
        refuse_unsupported(row)
    folder = find_model(name)
    contract = with_row(read_contract(folder), name, folder)
    check_files(folder)
    return folder, contract


def _parts(
    folder: Path, contract: Contract, precision: Precision, engine: EngineName, made_by: str
) -> tuple[Tokens, Engine, int]:
    """Tokenizer, engine and padding id; models of the same files share the first two, for as long as one is in use."""
    source = _source(folder, contract)
    key = (str(source.folder.resolve()), contract.family, made_by)
    rules = contract.tokens
    markers = [m for m in (rules.query_marker, rules.document_marker) if m]
    tokens = shared(("tokens", *key), lambda: Tokens(source.folder, lowered(folder), markers))
    check_tokens(source.folder, tokens, source.rows, rules)
    default = default_precision(contract, made_by)
    runner = shared(
        ("engine", *key, engine, precision, default),
        lambda: open_engine(engine, folder, contract, source, precision, default),
    )
    return tokens, runner, source.pad


def shared(key: tuple[str, ...], make: Callable[[], T]) -> T:
    """What was made for this key and is still in use, else a new one; safe to call from many threads."""
    with _lock:
        found: T | None = _shared.get(key)
        if found is None:
            found = make()
            _shared[key] = found
        return found


def _narrowed(contract: Contract, truncation: Truncation | None, max_tokens: int | None) -> Contract:
    """The contract with what the caller asked for."""
    if truncation not in (None, "only_second", "longest_first"):
        raise InputError(f"truncation is only_second or longest_first; not {truncation!r}")
    if truncation is not None:
        contract = replace(contract, truncation=truncation)
    if max_tokens is None:
        return contract
    if not _SHORTEST <= max_tokens <= contract.max_tokens:
        raise InputError(f"max_tokens of {contract.name} is {_SHORTEST} to {contract.max_tokens}; not {max_tokens}")
    return replace(contract, max_tokens=max_tokens, window_tokens=min(max_tokens, contract.window_tokens))


def fingerprint(folder: Path) -> str:
    """A hash of a model's files: all of the small ones; of large ones size, beginning, end, and 4 KiB of each MiB.

    Training changes matrices as wholes, so that a change escapes only where all of it is smaller than 1 MiB.
    """
    hashed = sha256()
    for path in sorted(p for p in folder.rglob("*") if p.suffix in _HASHED and p.is_file()):
        size = path.stat().st_size
        hashed.update(f"{path.relative_to(folder).as_posix()} {size}\n".encode())
        with path.open("rb") as file:
            hashed.update(file.read(1 << 20))
            for at in range(1 << 20, size - (1 << 20), 1 << 20):
                file.seek(at)
                hashed.update(file.read(1 << 12))
            file.seek(max(0, size - (1 << 20)))
            hashed.update(file.read())
    return hashed.hexdigest()[:32]


_HASHED = (".json", ".onnx", ".npy", ".safetensors", ".xml", ".bin", ".pt", ".metadata")


def load_embedder(name: str, precision: Precision = "auto") -> ModelEmbedder:
    """Load what turns a text into one vector.

    That is a static folder (Resift's or Model2Vec's), an embedder (a folder of sentence-transformers, or an encoder
    whose contract.json says how to pool), or a late-interaction model that has pooled vectors.

    Raises:
        ModelError: not a model, no embedder, or damaged.

    """
    folder, contract = _recognised(name)
    if contract.family == "static":
        from resift.score.static import StaticEmbedder

        return StaticEmbedder(contract, folder, fingerprint(folder))
    if contract.family == "embedder":
        made_by = fingerprint(folder)
        return TextEmbedder(contract, *_parts(folder, contract, precision, "auto", made_by), made_by)
    if contract.family == "late" and not contract.tokens.pooled:
        raise UnknownFamily(
            f"{name} has vectors of tokens and none of whole texts; use it to rerank, and an embedder to find"
        )
    scorer = load_scorer(name, precision)
    if isinstance(scorer, LateInteraction):
        return scorer
    raise UnknownFamily(f"{name} is a cross-encoder: it scores pairs and has no vector for one text")


def read_graph(folder: Path, contract: Contract) -> Any:  # noqa: ANN401 - openvino ships no types
    """The graph that OpenVINO compiles, with all weights in f32.

    Raises:
        BrokenModel: missing or damaged weights.

    """
    return _source(folder, contract).read()


def runs_natively(folder: Path, contract: Contract) -> bool:
    """Whether the native engine has all that the model takes, at bf16."""
    return not obstacle(_source(folder, contract).checkpoint, "bf16")


def _source(folder: Path, contract: Contract) -> Source:
    """Prefer an OpenVINO or ONNX file beside the config; else the graph is built from weights, whose names are checked.

    A graph in a subfolder is read where there are no weights.
    """
    from resift.engine.graphs.graph import classifier_graph, missing_head
    from resift.engine.openvino import read_model

    config = read_config(folder)
    pad = int(config.get("pad_token_id") or 0)
    whole = contract.family == "encoder" or (contract.family == "late" and (folder / "contract.json").exists())
    if whole and (graph := exported(folder, OWN)):
        return Source(partial(read_model, graph), pad, folder, _named(graph, config, contract))
    if contract.family != "encoder":
        return vector_source(folder, contract)
    files = weights_or_graph(folder)
    if isinstance(files, Path):
        return Source(partial(read_model, files), pad, folder)
    if absent := missing_head(config, {name for file in files for name in header(file)}):
        raise BrokenModel(
            f"{folder} says it is a classifier but holds no {', '.join(absent)}: its scores would be random; "
            "use a checkpoint that was trained as a reranker"
        )
    unpadded = Checkpoint(config, lambda: read_weights(files), classifier, first_only=True)
    return Source(
        lambda: classifier_graph(config, read_weights(files)), pad, folder, unpadded, vocabulary_rows(config, files)
    )


def _named(graph: Path, config: Mapping[str, Any], contract: Contract) -> Checkpoint | None:
    """A late-interaction model of Resift's own whose ONNX file names its matrices, as weights."""
    own = contract.family == "late" and contract.tokens.pooled and graph.suffix == ".onnx"
    if not own or unsupported(config) or not names_matrices(graph):
        return None
    return Checkpoint(config, lambda: read_onnx_weights(graph), token_vectors)
