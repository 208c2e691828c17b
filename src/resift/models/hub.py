"""Fetches a model from the model hub; where that fails, the error says what to do."""

from __future__ import annotations

import os
from pathlib import Path

from resift.errors import BrokenModel, ModelError, NotAModel
from resift.models.graph_files import BELOW
from resift.models.layouts.peft_adapter import ADAPTER
from resift.models.tokenizers.names import VOCABULARY_FILES

# The files that are fetched of a hub repository; weights in other formats stay where they are.
_FILES = [
    "*.json",
    "model.safetensors",
    "model-*.safetensors",
    "*Dense/model.safetensors",
    "*LayerNorm/model.safetensors",
    "model.onnx",
    "openvino_model.*",
    "colbert_linear.pt",
    "SHA256SUMS",
    "*.metadata",
    *(f"*{name}" for name in VOCABULARY_FILES),
]
_WEIGHTS = (".safetensors", ".onnx", ".xml", ".bin")
# Those that are fetched where it has none of these.
_OLDER = ["pytorch_model.bin", "pytorch_model-*.bin", "*Dense/pytorch_model.bin", "*LayerNorm/pytorch_model.bin"]
_MODULES = ("Dense", "LayerNorm")  # ends of the names of their folders, whose weights are not those of the encoder
_GRAPHS = [*BELOW, "openvino/openvino_model.bin", "onnx/model.onnx_data"]


def fetch(name: str) -> Path:
    """The folder in which the hub's cache keeps a model (`owner/name`); fetched once.

    Raises:
        NotAModel: the hub has none of that name, gives it to others only, or can't be reached.
        BrokenModel: it has no weights of a kind that Resift reads.
        ModelError: there is no place to keep the files.

    """
    import httpx
    from huggingface_hub import list_repo_files, snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.errors import HFValidationError

    if HF_HUB_CACHE.startswith("~"):
        raise ModelError(f"there is no home folder to keep {name} in; set HF_HOME to a folder")
    try:
        for patterns in (_FILES, _OLDER, _GRAPHS):
            folder = Path(snapshot_download(name, allow_patterns=patterns))
            weights = (p for p in folder.rglob("*") if p.suffix in _WEIGHTS)
            if any(not p.parent.name.endswith(_MODULES) for p in weights) or (folder / ADAPTER).exists():
                return folder
        there = [f for f in list_repo_files(name) if Path(f).suffix in (*_WEIGHTS, ".gguf")]
    except (OSError, HFValidationError, httpx.HTTPError) as error:
        raise _refusal(name, error, HF_HUB_CACHE) from error
    raise BrokenModel(
        f"{name} has no weights that Resift knows by name, but {', '.join(sorted(there)[:20]) or 'none at all'}; fetch "
        "the one you want into a folder beside its config.json and tokenizer files, as model.onnx or model.safetensors"
    )


def cached(name: str) -> Path | None:
    """The folder in which the hub's cache keeps what was fetched of a model, maybe a tokenizer alone; None: nothing.

    Nothing is fetched.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _refusal(name: str, error: Exception, cache: str) -> ModelError:
    """The error of a failed fetch: what failed, and the way around it."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    missing = f"there is no folder {name!r}, and the model hub"
    if isinstance(error, HFValidationError):
        return NotAModel(f"{missing} has no names of this form (owner/name)")
    if isinstance(error, GatedRepoError):
        return NotAModel(
            f"the model hub gives {name} only to those who accepted its terms: accept them at "
            f"https://huggingface.co/{name}, then type: hf auth login"
        )
    if isinstance(error, RepositoryNotFoundError):
        return NotAModel(f"{missing} has no {name}, or none for everybody; if it is yours, type: hf auth login")
    local = isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError)
    if isinstance(error, OSError) and local and not isinstance(error, HfHubHTTPError):
        return ModelError(
            f"{name} can't be kept in {cache} ({error.strerror or error}); set HF_HOME to a folder that can be written"
        )
    lines = str(error).strip().removeprefix("Got: ").splitlines()
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    reason = "HF_HUB_OFFLINE is set" if offline else lines[0] if lines else repr(error)
    target = name.rpartition("/")[2]
    return NotAModel(
        f"{missing} can't be reached ({reason}). To bring the model by hand, type where the hub can be reached: "
        f"hf download {name} --local-dir {target}; then copy that folder to {Path.cwd() / target} and name it: "
        f"./{target}"
    )
