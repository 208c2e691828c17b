"""Opens what is trained further: a folder whose weights torch reads, the longest input, the precision."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from resift import machine
from resift.errors import BrokenModel, InputError
from resift.models.folder import ModelFolder
from resift.models.layer_names import split_layer
from resift.score.load import find_model

MOST_TOKENS = 512  # of an input, where the caller names no limit
_SHORTEST = 16


def torch_folder(name: str) -> ModelFolder:
    """The folder of a model whose weights torch can train.

    Raises:
        NotAModel: no such model.
        BrokenModel: it has no weights that torch reads.
        InputError: the name has a layer to stop at.

    """
    if split_layer(name)[1] is not None:
        raise InputError(f"a whole model is trained; give {split_layer(name)[0]} without a layer")
    folder = ModelFolder(find_model(name))
    if not folder.encoder.has("config.json"):
        raise BrokenModel(
            f"{folder} has no config.json; give the folder of a Transformers or sentence-transformers model"
        )
    files = [*folder.encoder.path.glob("*.safetensors"), *folder.encoder.path.glob("pytorch_model*.bin")]
    if not files:
        raise BrokenModel(
            f"{folder} has no weights that torch can train (*.safetensors); give the checkpoint that it was made from"
        )
    return folder


def tokens_of(folder: ModelFolder, max_tokens: int | None, most: int = MOST_TOKENS) -> int:
    """The longest input: what the caller named, else the model's limit, `most` at most.

    Raises:
        InputError: it is out of range.

    """
    limit = folder.encoder.least_limit
    tokens = min(limit, most) if max_tokens is None else max_tokens
    if not _SHORTEST <= tokens <= limit:
        raise InputError(f"max_tokens of {folder} is {_SHORTEST} to {limit}; not {tokens}")
    return tokens


def loading_of(precision: str) -> dict[str, Any]:
    """How Transformers loads weights: in f32, and with eager attention where bf16 on a CPU is faster so."""
    eager = {"attn_implementation": "eager"} if precision == "bf16" and not torch.cuda.is_available() else {}
    return {"dtype": torch.float32, **eager}


@contextlib.contextmanager
def readable(folder: ModelFolder) -> Iterator[None]:
    """Quietly, and what sentence-transformers can't read is the folder's fault."""
    with quiet():
        try:
            yield
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise BrokenModel(f"{folder} can't be read by sentence-transformers ({error})") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the messages and bars of Transformers; what matters is checked and said by Resift."""
    import transformers

    logging: Any = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def precision_of(choice: str) -> str:
    """The precision that "auto" means on this machine: bf16 where the GPU or the CPU multiplies it."""
    if choice != "auto":
        return choice
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "f32"
    return "bf16" if machine.has_bf16() else "f32"
