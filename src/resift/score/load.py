"""From a name to a scorer: bundled model, folder or hub id; contract first, then tokenizer, then weights.

A model is recognised by its own contract.json, else by its row in the registry, else by its config and tensor names.
"""

from __future__ import annotations

import os
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resift import arguments
from resift.errors import InputError, NotAModel, UnknownFamily
from resift.models.contract import Contract
from resift.models.folder import ModelFolder
from resift.models.hub import fetch
from resift.models.inner_heads import at_layer
from resift.models.integrity import check_export, check_files
from resift.models.layer_names import split_layer, with_layer
from resift.models.layouts.bge_m3 import to_rerank
from resift.models.recognition import contract_of, read_contract
from resift.models.registry import pooled_by_row, refuse_unsupported, row_of, with_row
from resift.protocols import Scorer
from resift.score.embedder import ModelEmbedder
from resift.score.options import EngineOption, LoadOptions, LongDocuments, Precision

if TYPE_CHECKING:
    from resift.models.inputs import Truncation

BUNDLED = Path(__file__).parent.parent / "bundled"

_SHORTEST = 32  # tokens of the shortest window that leaves room for a query and a document


def bundled_models() -> list[Contract]:
    """Contracts of the models that ship with the package, by name."""
    return [read_contract(folder) for folder in sorted(BUNDLED.iterdir()) if (folder / "contract.json").exists()]


def find_model(name: str) -> Path:
    """The folder of a bundled name, of a path, or of a hub id (`owner/name`, fetched once and kept by the hub's cache).

    A layer in the name (`my-model(layer=4)`) changes nothing: it is in the same folder.

    Raises:
        NotAModel: none of these.
        InputError: an empty name, which would be the working folder.

    """
    arguments.path(name, "the model's name")
    name, _ = split_layer(name)
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


def located(name: str) -> str:
    """The name of the same model by the path of its folder, so that a hub is asked once; raises as `find_model`."""
    return with_layer(str(find_model(name)), split_layer(name)[1])


def _bundled() -> str:
    return ", ".join(c.name for c in bundled_models())


def recognise(name: str) -> tuple[ModelFolder, Contract]:
    """A model's folder and the contract by which it is used as what it is; of its weights nothing is read.

    A model that the registry knows to be of a family that can't be loaded is not even fetched.

    Args:
        name: bundled name, folder or hub id; `(layer=4)` behind it: the model stops at its head at this layer.

    Raises:
        ModelError: not a model, of no family that Resift loads, or damaged.
        InputError: it has no head at the layer.

    """
    name, layer = split_layer(name)
    if row := row_of(name):
        refuse_unsupported(row)
    folder = ModelFolder(find_model(name))
    contract = with_row(pooled_by_row(row_of(name, folder), folder) or contract_of(folder), name, folder)
    return folder, contract if layer is None else at_layer(contract, layer)


def recognise_reranker(name: str) -> tuple[ModelFolder, Contract]:
    """A model's folder and the contract by which it scores pairs.

    Raises:
        ModelError: see `recognise`; UnknownFamily too where its family scores no pairs.

    """
    folder, contract = recognise(name)
    contract = to_rerank(folder, contract)
    if not contract.row.reranks:
        raise UnknownFamily(
            f"{name} is {contract.row.noun} and not a reranker: it makes vectors to find with, and scores no pairs"
        )
    return folder, contract


def load_scorer(
    name: str,
    precision: Precision = "auto",
    long_documents: LongDocuments = "windows",
    truncation: Truncation | None = None,
    max_tokens: int | None = None,
    engine: EngineOption = "auto",
) -> Scorer:
    """Load a scorer; its weights are read when the first pair comes.

    Args:
        name: bundled name, folder or hub id.
        precision: "f32"; "bf16" and "int8" where the CPU has them; "fp16" with torch; "auto" takes the fastest that is
            known to keep the order, see `resift.score.precision`.
        long_documents: score documents over the window in "windows" or "strides", or "truncate" them.
        truncation: another rule than the contract's, see `EncoderInput`; used with long_documents="truncate".
        max_tokens: a shorter window than the contract's, special tokens included.
        engine: "native", "openvino", "onnx" or "torch"; "auto" is torch where a CUDA device is and the model runs
            there, else native where the processor and the model are made for it, else openvino.

    Raises:
        InputError: a precision, engine or rule that there is not, or that this model, engine or CPU does not have.
        ModelError: not a model, not a reranker, or damaged.
        MissingExtra: the engine is not installed.

    """
    options = LoadOptions(precision, long_documents, truncation, engine)
    folder, contract = recognise_reranker(name)
    check_files(folder)
    check_export(folder)
    scorer: Scorer = _module(contract).open_scorer(folder, _narrowed(contract, max_tokens), options)
    return scorer


def load_embedder(name: str, precision: Precision = "auto") -> ModelEmbedder:
    """Load what turns a text into one vector.

    That is a static folder (Resift's or Model2Vec's), an embedder (a folder of sentence-transformers, or an encoder
    whose contract.json says how to pool), or a late-interaction model that has pooled vectors.

    Raises:
        ModelError: not a model, no embedder, or damaged.

    """
    folder, contract = recognise(name)
    check_files(folder)
    if not contract.row.embeds:
        raise UnknownFamily(f"{name} is {contract.row.noun}: it scores pairs and has no vector for one text")
    check_export(folder)
    embedder: ModelEmbedder = _module(contract).open_embedder(folder, contract, LoadOptions(precision))
    return embedder


def _module(contract: Contract) -> Any:  # noqa: ANN401 - a module, by the name in its family's row
    return import_module(contract.row.module)


def _narrowed(contract: Contract, max_tokens: int | None) -> Contract:
    """The contract with the window that the caller asked for."""
    if max_tokens is None:
        return contract
    if not _SHORTEST <= max_tokens <= contract.max_tokens:
        raise InputError(f"max_tokens of {contract.name} is {_SHORTEST} to {contract.max_tokens}; not {max_tokens}")
    return replace(contract, max_tokens=max_tokens, window_tokens=min(max_tokens, contract.window_tokens))


def fingerprint(folder: Path) -> str:
    """A hash of a model's files; see `ModelFolder.fingerprint`."""
    return ModelFolder(folder).fingerprint
