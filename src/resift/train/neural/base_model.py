"""The model that is trained further: opened from its folder, with a head in f32, and adapters where they are asked for.

Whether its head is new decides what its scores mean: those of a new head are chance.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from resift import machine
from resift.errors import BrokenModel, InputError, MissingExtra, UnknownFamily
from resift.models.folder import ModelFolder
from resift.score.load import find_model
from resift.train.neural.grouped import CPU_BUDGET, GPU_BUDGET, GroupedCrossEncoder

MOST_TOKENS = 512  # of a pair, where the caller names no limit
_SHORTEST = 16


@dataclass(frozen=True, slots=True)
class BaseModel:
    """An opened model.

    Attributes:
        model: in f32, with raw logits.
        folder: where it came from.
        fresh_head: whether the head is new, with random weights.
        adapted: the same encoder as peft wraps it; None without adapters.

    """

    model: GroupedCrossEncoder
    folder: ModelFolder
    fresh_head: bool
    adapted: Any = None


def open_base(name: str, outputs: int, max_tokens: int | None, precision: str, lora: int = 0) -> BaseModel:
    """Open a model to train it.

    Args:
        name: folder or hub id.
        outputs: of the head, 1 or 2.
        max_tokens: the longest pair; None: the model's limit, 512 at most.
        precision: "bf16" makes attention eager on a CPU, which is faster there.
        lora: the rank of adapters; 0: none.

    Raises:
        NotAModel: no such model.
        BrokenModel: it has no weights that torch reads.
        UnknownFamily: it is no encoder, or puts a prompt before its texts.
        InputError: its head has another number of outputs, or max_tokens is out of range.

    """
    folder = ModelFolder(find_model(name))
    _check(folder)
    fresh = _outputs(folder) == 0
    if not fresh and _outputs(folder) != outputs:
        raise InputError(
            f"{folder} has a head of {_outputs(folder)} outputs, and the loss needs {outputs}; choose another loss "
            "(`ce` needs 2, all others 1), or begin with a bare encoder"
        )
    limit = folder.encoder.least_limit
    tokens = min(limit, MOST_TOKENS) if max_tokens is None else max_tokens
    if not _SHORTEST <= tokens <= limit:
        raise InputError(f"max_tokens of {folder} is {_SHORTEST} to {limit}; not {tokens}")
    model = _opened(folder, outputs, tokens, precision)
    adapted = _with_adapters(model, lora) if lora else None
    model.set_keep_in_fp32_modules(_head_linears(model))
    return BaseModel(model, folder, fresh, adapted)


def _check(folder: ModelFolder) -> None:
    if not folder.encoder.has("config.json"):
        raise BrokenModel(
            f"{folder} has no config.json; give the folder of a Transformers or sentence-transformers model"
        )
    files = [*folder.encoder.path.glob("*.safetensors"), *folder.encoder.path.glob("pytorch_model*.bin")]
    if not files:
        raise BrokenModel(
            f"{folder} has no weights that torch can train (*.safetensors); give the checkpoint that it was made from"
        )
    if folder.modules is not None and folder.modules.settings.get("default_prompt_name"):
        raise UnknownFamily(f"{folder} puts a prompt before its texts, which Resift does not do yet; give another")


def _outputs(folder: ModelFolder) -> int:
    """The outputs of the head that a folder has; 0 where it has none."""
    if folder.has_modular_head and folder.modules is not None and folder.modules.scores_pairs:
        return int(folder.modules.modules[-1].settings.get("out_features") or 1)
    config = folder.encoder.config
    if not any(name.endswith("ForSequenceClassification") for name in config.get("architectures") or ()):
        return 0
    return len(config.get("id2label") or ()) or int(config.get("num_labels") or 2)


def _opened(folder: ModelFolder, outputs: int, tokens: int, precision: str) -> GroupedCrossEncoder:
    eager = {"attn_implementation": "eager"} if precision == "bf16" and not torch.cuda.is_available() else {}
    with quiet():
        try:
            model = GroupedCrossEncoder(
                str(folder.path), num_labels=outputs, max_length=tokens, local_files_only=True, trust_remote_code=False,
                activation_fn=nn.Identity(), model_kwargs={"dtype": torch.float32, **eager},
            )  # fmt: skip
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise BrokenModel(f"{folder} can't be read by sentence-transformers ({error})") from error
    model.token_budget = GPU_BUDGET if model.device.type == "cuda" else CPU_BUDGET
    return model


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


def head_names(model: GroupedCrossEncoder) -> list[str]:
    """Names, within the encoder, of the modules behind its base: the head of a sequence classifier."""
    encoder: Any = model[0].model
    prefix = getattr(encoder, "base_model_prefix", "")
    return [name for name, module in encoder.named_children() if name != prefix and list(module.parameters())]


def _head_linears(model: GroupedCrossEncoder) -> list[str]:
    """Paths of the linear layers behind the encoder's base, which stay in f32 under autocast."""
    starts = tuple(f"0.model.{name}" for name in head_names(model))
    return [
        path
        for path, module in model.named_modules()
        if type(module) is nn.Linear
        and (not path.startswith("0.") or any(path == start or path.startswith(f"{start}.") for start in starts))
    ]


def _with_adapters(model: GroupedCrossEncoder, rank: int) -> Any:  # noqa: ANN401 - peft's model
    """Put LoRA adapters into the encoder; they and the head are trained, and nothing else.

    Raises:
        UnknownFamily: the head is not inside of the encoder, so an adapter's folder could not hold it.
        MissingExtra: peft is not installed.

    """
    try:
        from peft import LoraConfig, TaskType, get_peft_model
    except ImportError as error:
        raise MissingExtra("training with LoRA", "train") from error
    heads = head_names(model)
    if not heads or len(list(model.children())) > 1:
        raise UnknownFamily(
            "LoRA takes a sequence classifier whose head is in the same file; train all weights instead"
        )
    inner: Any = model[0].model
    base = getattr(inner, inner.base_model_prefix)
    targets = sorted({name.rsplit(".", 1)[-1] for name, m in base.named_modules() if isinstance(m, nn.Linear)})
    config = LoraConfig(
        task_type=TaskType.SEQ_CLS, r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=targets,
        exclude_modules=rf"(.*\.)?({'|'.join(heads)})(\..*)?", modules_to_save=heads,
    )  # fmt: skip
    with quiet():
        adapted = get_peft_model(inner, config)
    for name, parameter in inner.named_parameters():
        is_head = any(name.startswith(f"{head}.modules_to_save") for head in heads)
        parameter.requires_grad_(is_head or "lora_" in name)
    return adapted


def size_of(path: Path) -> int:
    """Bytes of all files of a folder."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
