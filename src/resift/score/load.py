"""From a name to a scorer: bundled model, folder or hub id; contract first, then tokenizer, then weights.

A model is recognised by its own contract.json, else by its row in the registry, else by its config and tensor names.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resift.errors import BrokenModel, NotAModel, UnknownFamily
from resift.protocols import Embedder
from resift.score.checks import check_files, check_tokens
from resift.score.contract import Contract, read_contract
from resift.score.encoder import CrossEncoder, LongDocuments
from resift.score.engines import EngineName, Precision, open_engine
from resift.score.late import LateInteraction
from resift.score.registry import refuse_unsupported, row_of, with_row
from resift.score.tokens import Tokens

BUNDLED = Path(__file__).parent.parent / "bundled"

# What a hub repository is asked for; weights in other formats stay where they are.
_HUB_FILES = ["*.json", "model.safetensors", "model-*.safetensors", "model.onnx", "openvino_model.*", "SHA256SUMS"]


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
    engine: EngineName = "auto",
) -> CrossEncoder | LateInteraction:
    """Load a scorer; its weights are read when the first pair comes.

    Args:
        name: bundled name, folder or hub id.
        precision: "f32"; "bf16" where the CPU has it; "fp16" with torch; "auto" takes the fastest that is safe.
        long_documents: score documents over the window in "windows", or "truncate" them.
        engine: "openvino", "onnx" or "torch"; "auto" is torch where a CUDA device is and the model runs there, else
            openvino.

    Raises:
        ModelError: not a model, not a reranker, or damaged.
        MissingExtra: the engine is not installed.

    """
    if long_documents not in ("windows", "truncate"):
        raise ValueError(f"long_documents is windows or truncate; not {long_documents!r}")
    if row := row_of(name):
        refuse_unsupported(row)
    folder = find_model(name)
    contract = with_row(read_contract(folder), name, folder)
    if contract.family not in ("encoder", "late"):
        raise UnknownFamily(
            f"{name} is a {contract.family} model: it makes vectors for the first stage, and scores no pairs"
        )
    check_files(folder)
    tokens = Tokens(folder)
    check_tokens(folder, tokens)
    source = _source(folder, contract)
    runner = open_engine(engine, folder, contract, source.read, precision)
    family = CrossEncoder if contract.family == "encoder" else LateInteraction
    scorer = family(contract, tokens, runner, source.pad, long_documents)
    scorer.fingerprint = fingerprint(folder)
    scorer.runs_on = f"{runner.name} {runner.precision}"
    return scorer


def fingerprint(folder: Path) -> str:
    """A hash of a model's files: all of the small ones; of large ones size, beginning, end, and 4 KiB of each MiB.

    Training changes matrices as wholes, and none that matters is smaller than 1 MiB, so none escapes.
    """
    hashed = sha256()
    for path in sorted(p for p in folder.iterdir() if p.suffix in _HASHED):
        size = path.stat().st_size
        hashed.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            hashed.update(file.read(1 << 20))
            for at in range(1 << 20, size - (1 << 20), 1 << 20):
                file.seek(at)
                hashed.update(file.read(1 << 12))
            file.seek(max(0, size - (1 << 20)))
            hashed.update(file.read())
    return hashed.hexdigest()[:32]


_HASHED = (".json", ".onnx", ".npy", ".safetensors", ".xml", ".bin")


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


def read_graph(folder: Path, contract: Contract) -> Any:  # noqa: ANN401 - openvino ships no types
    """The graph that OpenVINO compiles, with all weights in f32.

    Raises:
        BrokenModel: missing or damaged weights.

    """
    return _source(folder, contract).read()


def _source(folder: Path, contract: Contract) -> _Source:
    """Prefer an OpenVINO or ONNX file; else the graph is built from config and safetensors, whose names are checked."""
    from resift.engine.bert import classifier_graph
    from resift.engine.openvino import read_model

    config = json.loads((folder / "config.json").read_text("utf-8")) if (folder / "config.json").exists() else {}
    pad = int(config.get("pad_token_id") or 0)
    for name in ("openvino_model.xml", "model.onnx"):
        if (folder / name).exists():
            return _Source(partial(read_model, folder / name), pad)
    if contract.family != "encoder":
        raise BrokenModel(f"{folder} has no model.onnx; copy the folder again")
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise BrokenModel(f"{folder} has no weights (model.safetensors or model.onnx); fetch the model again")
    names = [name for file in files for name in _header(file)]
    if not any(name.startswith("classifier") for name in names):
        raise BrokenModel(
            f"{folder} says it is a classifier but holds no classifier weights: its scores would be random; "
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
