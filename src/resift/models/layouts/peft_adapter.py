"""Adapters: small weights that change a base model's (LoRA and its kind, as the library peft saves them)."""

from __future__ import annotations

from pathlib import Path

from resift.errors import BrokenModel, UnknownFamily
from resift.models.contract import Contract
from resift.models.folder import ModelFolder
from resift.models.layouts.layout import Layout

ADAPTER = "adapter_config.json"
_FILES = (ADAPTER, "adapter_model.safetensors", "adapter_model.bin")


def _file(folder: ModelFolder) -> Path | None:
    """The first file of an adapter in a folder or in a folder of its modules.json."""
    paths = (folder.path / name / file for name in ("", *_module_names(folder)) for file in _FILES)
    return next((path for path in paths if path.exists()), None)


def _module_names(folder: ModelFolder) -> list[str]:
    """The folders of modules.json; a file of another form is for its reader to refuse."""
    try:
        return [str(module["path"]) for module in folder.json("modules.json")] if folder.has("modules.json") else []
    except (BrokenModel, TypeError, KeyError):
        return []


def _refuse(folder: ModelFolder) -> Contract:
    """Refuse a folder whose scores would be those of the base model, without the adapter in it."""
    file = _file(folder)
    assert file is not None  # it was recognised by this file
    kind, base = _settings(file.parent)
    raise UnknownFamily(
        f"{file} is {kind} adapter{f' for {base}' if base else ''}, which Resift does not apply; merge it into "
        "its base model and use what that saves: from peft import AutoPeftModelForSequenceClassification as A; "
        f"A.from_pretrained({str(file.parent)!r}).merge_and_unload().save_pretrained('merged'), and copy the "
        "tokenizer's files into merged too"
    )


def _settings(path: Path) -> tuple[str, str]:
    """The kind of adapter, with its article, and the name of its base model."""
    folder = ModelFolder(path)
    value = folder.json(ADAPTER) if folder.has(ADAPTER) else {}
    settings = value if isinstance(value, dict) else {}
    kind = str(settings.get("peft_type") or "")
    article = f"a {'LoRA' if kind == 'LORA' else kind}" if kind else "an"
    return article, str(settings.get("base_model_name_or_path") or "")


LAYOUT = Layout("PEFT adapter", lambda folder: _file(folder) is not None, _refuse)
