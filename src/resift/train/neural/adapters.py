"""LoRA adapters of a cross-encoder: put in, and written as peft writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import nn

from resift.errors import MissingExtra, UnknownFamily
from resift.train.neural.base_model import quiet
from resift.train.neural.grouped import GroupedCrossEncoder
from resift.train.neural.trainable import BaseModel, Floats, Pairs


def head_names(model: GroupedCrossEncoder) -> list[str]:
    """Names, within the encoder, of the modules behind its base: the head of a sequence classifier."""
    encoder: Any = model[0].model
    prefix = getattr(encoder, "base_model_prefix", "")
    return [name for name, module in encoder.named_children() if name != prefix and list(module.parameters())]


def with_adapters(model: GroupedCrossEncoder, rank: int) -> Any:  # noqa: ANN401 - peft's model
    """Put LoRA adapters into the encoder; they and the head are trained, and nothing else.

    Raises:
        UnknownFamily: the head is not inside of the encoder, so an adapter's folder could not hold it.
        MissingExtra: peft is not installed.

    """
    _check_installed()
    from peft import LoraConfig, TaskType, get_peft_model

    heads = head_names(model)
    if not heads or len(list(model.children())) > 1:
        raise UnknownFamily(
            "LoRA takes a sequence classifier whose head is in the same file; train all weights instead"
        )
    inner: Any = model[0].model
    targets = _linear_names(inner)
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


def with_decoder_adapters(model: GroupedCrossEncoder, rank: int) -> Any:  # noqa: ANN401 - peft's model
    """Put LoRA adapters into a decoder; its embeddings and its output layer stay as they are.

    Raises:
        MissingExtra: peft is not installed.

    """
    _check_installed()
    from peft import LoraConfig, TaskType, get_peft_model

    inner: Any = model[0].model
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM, r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=_linear_names(inner)
    )
    with quiet():
        return get_peft_model(inner, config)


def _check_installed() -> None:
    try:
        import peft  # noqa: F401
    except ImportError as error:
        raise MissingExtra("training with LoRA", "train") from error


def _linear_names(inner: Any) -> list[str]:  # noqa: ANN401
    """The last names of the linear layers of a model without its head."""
    base = getattr(inner, inner.base_model_prefix)
    return sorted({name.rsplit(".", 1)[-1] for name, m in base.named_modules() if isinstance(m, nn.Linear)})


def write_adapter(base: BaseModel, folder: Path, probes: Pairs) -> Floats:
    """Adapters and head by peft, and the scores after peft has loaded them onto the base."""
    from peft import PeftModel

    with quiet():
        base.adapted.save_pretrained(str(folder))
    settings = folder / "adapter_config.json"
    entries = json.loads(settings.read_text("utf-8")) | {"base_model_name_or_path": str(base.folder)}
    settings.write_text(json.dumps(entries, indent=2, default=list), "utf-8")
    assert base.reopen is not None  # whoever puts adapters in says how
    with quiet():
        fresh = base.reopen()
        PeftModel.from_pretrained(fresh[0].model, str(folder))
    return base.kind.score(fresh, probes)
