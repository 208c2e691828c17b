"""Adapters: small weights that change a base model's (LoRA and its kind, as the library peft saves them)."""

from __future__ import annotations

import json
from pathlib import Path

from resift.errors import BrokenModel, UnknownFamily

ADAPTER = "adapter_config.json"
_FILES = (ADAPTER, "adapter_model.safetensors", "adapter_model.bin")


def refuse_adapter(folder: Path) -> None:
    """Refuse a folder whose scores would be those of the base model, without the adapter in it or in a module of it.

    Raises:
        UnknownFamily: there is an adapter.
        BrokenModel: the adapter's settings can't be read.

    """
    for path in (folder, *_modules(folder)):
        if file := next((path / name for name in _FILES if (path / name).exists()), None):
            kind, base = _settings(path / ADAPTER)
            raise UnknownFamily(
                f"{file} is {kind} adapter{f' for {base}' if base else ''}, which Resift does not apply; merge it into "
                "its base model and use what that saves: from peft import AutoPeftModelForSequenceClassification as A; "
                f"A.from_pretrained({str(path)!r}).merge_and_unload().save_pretrained('merged'), and copy the "
                "tokenizer's files into merged too"
            )


def _modules(folder: Path) -> list[Path]:
    """The folders of modules.json; a file of another form is for its reader to refuse."""
    try:
        return [folder / str(module["path"]) for module in json.loads((folder / "modules.json").read_text("utf-8"))]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _settings(path: Path) -> tuple[str, str]:
    """The kind of adapter, with its article, and the name of its base model."""
    try:
        value = json.loads(path.read_text("utf-8")) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise BrokenModel(f"{path} can't be read ({error}); fetch the model again") from error
    settings = value if isinstance(value, dict) else {}
    kind = str(settings.get("peft_type") or "")
    return f"a {'LoRA' if kind == 'LORA' else kind}" if kind else "an", str(
        settings.get("base_model_name_or_path") or ""
    )
