"""From a name to a scorer: bundled model, folder or hub id; contract first, then tokenizer, then weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from resift.errors import BrokenModel, NotAModel, UnknownFamily
from resift.protocols import Embedder
from resift.score.contract import Contract, Truncation, read_contract
from resift.score.encoder import CrossEncoder, LongDocuments
from resift.score.late import LateInteraction
from resift.score.tokens import Tokens

Precision = Literal["auto", "f32", "bf16"]

BUNDLED = Path(__file__).parent.parent / "bundled"

_SHORTEST = 32  # tokens of the shortest window that leaves room for a query and a document

# What a hub repository is asked for; weights in other formats stay where they are.
_HUB_FILES = ["*.json", "model.safetensors", "model-*.safetensors", "model.onnx"]


def bundled_models() -> list[Contract]:
    """Contracts of the models that ship with the package, by name."""
    return [read_contract(folder) for folder in sorted(BUNDLED.iterdir()) if (folder / "contract.json").exists()]


def find_model(name: str) -> Path:
    """The folder of a bundled name, of a path, or of a hub id (`owner/name`, fetched once and kept by the hub's cache).

    Raises:
        NotAModel: none of these.

    """
    if (BUNDLED / name / "contract.json").exists():
        return BUNDLED / name
    if Path(name).is_dir():
        return Path(name)
    if Path(name).exists():
        raise NotAModel(f"{name} is a file; give the folder that holds the model")
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return _fetch(name)
    bundled = ", ".join(c.name for c in bundled_models())
    raise NotAModel(
        f"no model {name!r}: not bundled ({bundled}), no folder of that name, and not a hub id (owner/name)"
    )


def _fetch(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=_HUB_FILES))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise NotAModel(f"there is no folder {name!r}, and the model hub gave none ({reason})") from error


def load_scorer(
    name: str,
    precision: Precision = "auto",
    long_documents: LongDocuments = "windows",
    truncation: Truncation | None = None,
    max_tokens: int | None = None,
) -> CrossEncoder | LateInteraction:
    """Load a scorer; its weights are read when the first pair comes.

    Args:
        name: bundled name, folder or hub id.
        precision: "f32"; "bf16" where the CPU has it; "auto" takes the faster.
        long_documents: score documents over the window in "windows" or "strides", or "truncate" them.
        truncation: another rule than the contract's, see `Contract`; used with long_documents="truncate".
        max_tokens: a shorter window than the contract's, special tokens included.

    Raises:
        ModelError: not a model, not a reranker, or damaged.

    """
    from resift.engine.openvino import PRECISIONS, OpenVINOEngine, fastest_precision

    if precision not in (*PRECISIONS, "auto"):
        raise ValueError(f"precision is one of auto, {', '.join(PRECISIONS)}; not {precision!r}")
    if long_documents not in ("windows", "strides", "truncate"):
        raise ValueError(f"long_documents is windows, strides or truncate; not {long_documents!r}")
    folder = find_model(name)
    contract = read_contract(folder)
    if contract.family not in ("encoder", "late"):
        raise UnknownFamily(
            f"{name} is a {contract.family} model: it makes vectors for the first stage, and scores no pairs"
        )
    tokens = Tokens(folder)
    if contract.family == "late" and (truncation or long_documents == "strides"):
        raise ValueError(f"{name} reads query and document apart: truncation and strides are of cross-encoders")
    contract = _narrowed(contract, truncation, max_tokens)
    source = _source(folder, contract)
    engine = OpenVINOEngine(source.read, fastest_precision() if precision == "auto" else precision)
    scorer: CrossEncoder | LateInteraction
    if contract.family == "encoder":
        exact = None if engine.precision == "f32" else OpenVINOEngine(source.read, "f32")
        scorer = CrossEncoder(contract, tokens, engine, source.pad, long_documents, exact)
    else:
        scorer = LateInteraction(contract, tokens, engine, source.pad, long_documents)
    scorer.fingerprint = fingerprint(folder)
    return scorer


def _narrowed(contract: Contract, truncation: Truncation | None, max_tokens: int | None) -> Contract:
    """The contract with what the caller asked for."""
    if truncation not in (None, "only_second", "longest_first"):
        raise ValueError(f"truncation is only_second or longest_first; not {truncation!r}")
    if truncation is not None:
        contract = replace(contract, truncation=truncation)
    if max_tokens is None:
        return contract
    if not _SHORTEST <= max_tokens <= contract.max_tokens:
        raise ValueError(f"max_tokens of {contract.name} is {_SHORTEST} to {contract.max_tokens}; not {max_tokens}")
    return replace(contract, max_tokens=max_tokens, window_tokens=min(max_tokens, contract.window_tokens))


def fingerprint(folder: Path) -> str:
    """A hash of a model's files: all of the small ones; of large ones their size, beginning and end."""
    hashed = sha256()
    for path in sorted(p for p in folder.iterdir() if p.suffix in (".json", ".onnx", ".npy", ".safetensors")):
        size = path.stat().st_size
        hashed.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            hashed.update(file.read(1 << 20))
            file.seek(max(0, size - (1 << 20)))
            hashed.update(file.read())
    return hashed.hexdigest()[:32]


def load_embedder(name: str, precision: Precision = "auto") -> Embedder:
    """Load what turns a text into one vector: a static folder, or a late-interaction model's pooled vector.

    Raises:
        ModelError: not a model, no embedder, or damaged.

    """
    folder = find_model(name)
    contract = read_contract(folder)
    if contract.family == "static":
        from resift.score.static import StaticEmbedder

        return StaticEmbedder(contract.name, folder)
    scorer = load_scorer(name, precision)
    if isinstance(scorer, LateInteraction):
        return scorer
    raise UnknownFamily(f"{name} is a cross-encoder: it scores pairs and has no vector for one text")


@dataclass(frozen=True, slots=True)
class _Source:
    """How the graph is read, and the token id that fills short rows."""

    read: Callable[[], Any]
    pad: int


def _source(folder: Path, contract: Contract) -> _Source:
    """Prefer an ONNX file; else the graph is built from config and safetensors, whose tensors are checked at once."""
    from resift.engine.encoders.graph import classifier_graph, missing_head
    from resift.engine.openvino import read_onnx

    config = json.loads((folder / "config.json").read_text("utf-8")) if (folder / "config.json").exists() else {}
    pad = int(config.get("pad_token_id") or 0)
    if (folder / "model.onnx").exists():
        return _Source(lambda: read_onnx(folder / "model.onnx"), pad)
    if contract.family != "encoder":
        raise BrokenModel(f"{folder} has no model.onnx; copy the folder again")
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise BrokenModel(f"{folder} has no weights (model.safetensors or model.onnx); fetch the model again")
    if absent := missing_head(config, {name for file in files for name in _header(file)}):
        raise BrokenModel(
            f"{folder} says it is a classifier but holds no {', '.join(absent)}: its scores would be random; "
            "use a checkpoint that was trained as a reranker"
        )
    return _Source(lambda: classifier_graph(config, read_weights(files)), pad)


def _header(file: Path) -> Mapping[str, Any]:
    """Names, types and shapes of a safetensors file, without its data."""
    try:
        with file.open("rb") as f:
            header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
    except (OSError, ValueError, MemoryError, OverflowError) as error:
        raise BrokenModel(f"{file} is no safetensors file ({error}); fetch the model again") from error
    header.pop("__metadata__", None)
    return header  # type: ignore[no-any-return]


def read_weights(files: list[Path]) -> dict[str, npt.NDArray[np.float32]]:
    """All tensors of safetensors files as f32; bf16, which NumPy lacks, is widened by its bits.

    Raises:
        BrokenModel: a damaged file.

    """
    import safetensors

    weights: dict[str, npt.NDArray[np.float32]] = {}
    for file in files:
        try:
            tensors = safetensors.deserialize(file.read_bytes())
        except (OSError, safetensors.SafetensorError) as error:
            raise BrokenModel(f"{file} is damaged ({error}); fetch the model again") from error
        for name, tensor in tensors:
            if tensor["dtype"] == "BF16":
                bits = np.frombuffer(tensor["data"], np.uint16).astype(np.uint32) << 16
                weights[name] = bits.view(np.float32).reshape(tensor["shape"])
            elif tensor["dtype"] in ("F32", "F16"):
                kind = np.float32 if tensor["dtype"] == "F32" else np.float16
                weights[name] = (
                    np.frombuffer(tensor["data"], kind).reshape(tensor["shape"]).astype(np.float32, copy=False)
                )
    return weights
