"""Reads folders of sentence-transformers and PyLate: modules.json, one folder per module, and the prompts.

Formats: sentence-transformers 6.2 (base/modules, multi_vector_encoder, sentence_transformer) and PyLate 1.6; older
saves name the same things a little differently.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resift.engine.graphs.heads import ACTIVATIONS, POOLINGS, HeadStep, Linear, Normalize, Pooling
from resift.engine.weights.checkpoint_files import read_weights, weight_files
from resift.errors import BrokenModel, UnknownFamily
from resift.models.config import read_object

_OLD_POOLING = {"cls_token": "cls", "max_tokens": "max", "mean_tokens": "mean",
                "mean_sqrt_len_tokens": "mean_sqrt_len_tokens", "weightedmean_tokens": "weightedmean",
                "lasttoken": "lasttoken"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Module:
    """One module: the name of its class, its folder, and its config (empty where it has none)."""

    kind: str
    folder: Path
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder with a modules.json.

    Attributes:
        modules: the first is the encoder.
        settings: config_sentence_transformers.json.

    """

    path: Path
    modules: tuple[Module, ...]
    settings: Mapping[str, Any]

    @property
    def encoder(self) -> Module:
        """The Transformer."""
        return self.modules[0]

    @property
    def model_type(self) -> str:
        """What the folder says that it is: "SentenceTransformer", "CrossEncoder", "ColBERT", ... or nothing."""
        return str(self.settings.get("model_type") or "")

    def of(self, kind: str) -> list[Module]:
        """Modules of a class."""
        return [m for m in self.modules if m.kind == kind]

    def prompt(self, *names: str) -> str:
        """The first of these prompts that the folder has; else its default one; else none."""
        prompts = self.settings.get("prompts") or {}
        for name in names:
            if prompts.get(name) is not None:
                return str(prompts[name])
        return str(prompts.get(self.settings.get("default_prompt_name")) or "")


def read_folder(path: Path) -> Folder | None:
    """The folder's modules; None without a modules.json.

    Raises:
        BrokenModel: a file that can't be read.
        UnknownFamily: the first module is no Transformer.

    """
    if not (path / "modules.json").exists():
        return None
    listed = read_json(path / "modules.json")
    try:
        entries = [(str(m["type"]).rsplit(".", 1)[-1], path / m["path"]) for m in listed]
    except (TypeError, KeyError) as error:
        raise BrokenModel(f"{path}/modules.json is malformed ({error!r}); fetch the model again") from error
    modules = tuple(Module(kind, folder, _config(kind, folder)) for kind, folder in entries)
    if not modules or modules[0].kind != "Transformer":
        first = modules[0].kind if modules else "nothing"
        raise UnknownFamily(f"{path} begins with {first}; Resift runs folders whose first module is a Transformer")
    settings = path / "config_sentence_transformers.json"
    return Folder(path, modules, read_object(settings) if settings.exists() else {})


def read_json(path: Path) -> Any:  # noqa: ANN401
    """A JSON file.

    Raises:
        BrokenModel: it can't be read.

    """
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BrokenModel(f"{path} can't be read ({error}); fetch the model again") from error


def _config(kind: str, folder: Path) -> Mapping[str, Any]:
    if kind == "Transformer":
        found = sorted(folder.glob("sentence_*_config.json"))
        return read_object(found[0]) if found else {}
    return read_object(folder / "config.json") if (folder / "config.json").exists() else {}


def pooling(module: Module) -> tuple[str, ...]:
    """The modes of a Pooling module, in the order in which their vectors are put together."""
    modes = module.config.get("pooling_mode")
    if modes is None:
        modes = [new for old, new in _OLD_POOLING.items() if module.config.get(f"pooling_mode_{old}")] or ["mean"]
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    if unknown := set(modes) - set(POOLINGS):
        raise UnknownFamily(f"{module.folder} pools by {', '.join(sorted(unknown))}; known are {', '.join(POOLINGS)}")
    return modes


def steps(folder: Folder, level: str) -> tuple[HeadStep, ...]:
    """What the modules behind the encoder do; reads the weights of projections.

    Args:
        folder: of a model.
        level: "token_embeddings" for late interaction, "sentence_embedding" for one vector.

    Raises:
        UnknownFamily: a module that Resift does not run.
        BrokenModel: its weights are missing.

    """
    found: list[HeadStep] = []
    for module in folder.modules[1:]:
        if module.kind == "Pooling":
            found.append(Pooling(pooling(module)))
        elif module.kind == "Dense":
            found.append(_dense(module, level))
        elif module.kind == "Normalize":
            found.append(Normalize())
        elif module.kind not in ("MultiVectorMask", "Dropout"):
            raise UnknownFamily(f"{folder.path} has a module {module.kind}, which Resift does not run")
    return tuple(found)


def _dense(module: Module, level: str) -> Linear:
    config, weights = module.config, read_weights(weight_files(module.folder))
    name = str(config.get("activation_function", "torch.nn.modules.activation.Tanh")).rsplit(".", 1)[-1]
    if name not in ACTIVATIONS:
        raise UnknownFamily(f"{module.folder} has activation {name}; known are {', '.join(ACTIVATIONS)}")
    if config.get("module_input_name", level) != level or config.get("module_output_name") not in (None, level):
        raise UnknownFamily(f"{module.folder} projects {config.get('module_input_name')}; known is {level} alone")
    residual = weights.get("residual.weight", True) if config.get("use_residual") else False
    try:
        return Linear(weights["linear.weight"], weights.get("linear.bias"), name, residual)
    except KeyError as error:
        raise BrokenModel(f"{module.folder} has no tensor linear.weight; fetch the model again") from error
