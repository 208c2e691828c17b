"""A model's folder: each of its small files is read at most once, when somebody first asks for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from resift.engine.graphs.bert import OFFSET_TYPES
from resift.errors import BrokenModel, UnknownFamily
from resift.models.config_entries import check_config, first_position, whole, wrong
from resift.models.tokenizers.names import VOCABULARY_FILES

CONTRACT = "contract.json"
CALIBRATION = "calibration.json"  # of scores, not of the model: no part of its fingerprint
SETTINGS = "config_sentence_transformers.json"
_LEARNED = ("model.txt", "features.toml")  # of a learned stage
_HASHED = (".json", ".onnx", ".npy", ".safetensors", ".xml", ".bin", ".pt", ".metadata")
_MOST_POSITIONS = 8192  # a config may name more positions than any encoder was trained on
_MEBIBYTE = 1 << 20


class ModelFolder:
    """Answers what a model's files say; a file that several questions need is read for the first of them alone.

    A folder of sentence-transformers may keep its encoder in a folder of its own (`encoder`); both share what was read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._contents: dict[Path, bytes] = {}

    def __str__(self) -> str:
        return str(self.path)

    def _within(self, name: str) -> ModelFolder:
        if name in ("", "."):
            return self
        inner = ModelFolder(self.path / name)
        inner._contents = self._contents
        return inner

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        path = self.path / name
        return path in self._contents or path.exists()

    def content(self, name: str) -> bytes:
        """The bytes of a small file.

        Raises:
            OSError: it can't be read.

        """
        path = self.path / name
        if path not in self._contents:
            self._contents[path] = path.read_bytes()
        return self._contents[path]

    def json(self, name: str) -> Any:  # noqa: ANN401
        """The value of a JSON file.

        Raises:
            BrokenModel: it can't be read.

        """
        try:
            return json.loads(self.content(name).decode("utf-8"))
        except (OSError, ValueError) as error:
            raise BrokenModel(f"{self.path / name} can't be read ({error}); fetch the model again") from error

    def object(self, name: str) -> dict[str, Any]:
        """The object in a JSON file; empty where there is no such file.

        Raises:
            BrokenModel: it can't be read, or holds something else.

        """
        value = self.json(name) if self.has(name) else {}
        if not isinstance(value, dict):
            raise BrokenModel(f"{self.path / name} holds no object; fetch the model again")
        return value

    @cached_property
    def has_contract(self) -> bool:
        """Whether the folder states its own contract, as those do that Resift writes."""
        return self.has(CONTRACT)

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """config.json, its entries of the kinds that Transformers writes; empty without one.

        Raises:
            BrokenModel: it can't be read, or an entry is of another kind.

        """
        config = self.object("config.json")
        check_config(config, self.path / "config.json")
        return config

    @property
    def model_type(self) -> str:
        """The architecture that config.json names; empty without one."""
        return str(self.config.get("model_type") or "")

    @cached_property
    def tokenizer_config(self) -> Mapping[str, Any]:
        """tokenizer_config.json; empty without one.

        Raises:
            BrokenModel: it can't be read.

        """
        return self.object("tokenizer_config.json")

    def special_token(self, role: str, default: str) -> str:
        """A special token by its role, such as "mask_token"; the files have it as text or as an object."""
        for file in ("tokenizer_config.json", "special_tokens_map.json"):
            if value := self.object(file).get(role):
                return str(value["content"] if isinstance(value, dict) else value)
        return default

    @cached_property
    def modules(self) -> Modules | None:
        """What modules.json lists; None without one.

        Raises:
            BrokenModel: a file can't be read.
            UnknownFamily: the first module is no Transformer.

        """
        if not self.has("modules.json"):
            return None
        entries = self.json("modules.json")
        try:
            kinds = [(str(entry["type"]).rsplit(".", 1)[-1], self._within(str(entry["path"]))) for entry in entries]
        except (TypeError, KeyError) as error:
            raise BrokenModel(f"{self}/modules.json is malformed ({error!r}); fetch the model again") from error
        if not kinds or kinds[0][0] != "Transformer":
            first = kinds[0][0] if kinds else "nothing"
            raise UnknownFamily(f"{self} begins with {first}; Resift runs folders whose first module is a Transformer")
        modules = tuple(
            Module(kind, folder, folder.transformer_settings if kind == "Transformer" else folder.object("config.json"))
            for kind, folder in kinds
        )
        settings = self.object(SETTINGS)
        if not isinstance(settings.get("prompts") or {}, dict):
            raise wrong(self.path / SETTINGS, "prompts", settings["prompts"], "an object")
        return Modules(self, modules, settings)

    @cached_property
    def transformer_settings(self) -> Mapping[str, Any]:
        """What sentence-transformers keeps beside an encoder: sentence_bert_config.json, or one named after another."""
        files = sorted(path.name for path in self.path.glob("sentence_*_config.json"))
        return self.object(files[0]) if files else {}

    @cached_property
    def encoder(self) -> ModelFolder:
        """The folder that holds config and tokenizer: this one, or that of its first module."""
        return self.modules.encoder.folder if self.modules else self

    @property
    def has_modular_head(self) -> bool:
        """Whether modules of their own stand behind the encoder, so that no file of the encoder holds the head."""
        return self.modules is not None and bool(self.modules.head)

    @property
    def lower_case(self) -> bool:
        """Whether sentence-transformers puts texts in lower case before its tokenizer reads them."""
        return self.modules is not None and bool(self.modules.encoder.settings.get("do_lower_case"))

    @property
    def positions(self) -> int:
        """The most tokens for which the encoder has positions, 8,192 at most."""
        path = self.path / "config.json"
        positions = whole(self.config, "max_position_embeddings", path) or 512
        absolute = self.config.get("position_embedding_type", "absolute") == "absolute"
        if self.model_type in OFFSET_TYPES and absolute:
            positions -= first_position(self.config, path)  # the rows of the table before it are never used
        return min(positions, _MOST_POSITIONS)

    @property
    def stated_limits(self) -> tuple[int, int]:
        """The longest input that sentence-transformers' settings name, and the tokenizer's; 0 where one names none."""
        return (
            whole(self.transformer_settings, "max_seq_length", self.path / "sentence_bert_config.json"),
            whole(self.tokenizer_config, "model_max_length", self.path / "tokenizer_config.json"),
        )

    @property
    def least_limit(self) -> int:
        """The least of the limits that config, tokenizer and sentence-transformers' settings state."""
        return min([self.positions, *(limit for limit in self.stated_limits if limit)])

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the model's files: all of the small ones; of large ones size, beginning, end, 4 KiB of each MiB.

        Training changes matrices as wholes, so that a change escapes only where all of it is smaller than 1 MiB.
        """
        hashed = sha256()
        files = (p for p in self.path.rglob("*") if p.suffix in _HASHED or p.name in (*VOCABULARY_FILES, *_LEARNED))
        for path in sorted(p for p in files if p.is_file() and p.name != CALIBRATION):
            size, name = path.stat().st_size, path.relative_to(self.path).as_posix()
            hashed.update(f"{name} {size}\n".encode())
            if path.suffix == ".json" and size <= _MEBIBYTE:
                hashed.update(self.content(name) * 2)  # beginning and end are the same
                continue
            with path.open("rb") as file:
                hashed.update(file.read(_MEBIBYTE))
                for at in range(_MEBIBYTE, size - _MEBIBYTE, _MEBIBYTE):
                    file.seek(at)
                    hashed.update(file.read(1 << 12))
                file.seek(max(0, size - _MEBIBYTE))
                hashed.update(file.read())
        return hashed.hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Module:
    """One module of sentence-transformers or PyLate: the name of its class, its folder, and its settings."""

    kind: str
    folder: ModelFolder
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Modules:
    """What modules.json lists.

    Formats: sentence-transformers 6.2 (base/modules, multi_vector_encoder, sentence_transformer) and PyLate 1.6; older
    saves name the same things a little differently.

    Attributes:
        folder: the one that has modules.json.
        modules: the first is the encoder.
        settings: config_sentence_transformers.json.

    """

    folder: ModelFolder
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

    @property
    def scores_pairs(self) -> bool:
        """Whether the folder says that it is neither an embedder nor a late-interaction model."""
        return self.model_type in ("CrossEncoder", "SparseEncoder")

    @property
    def head(self) -> tuple[Module, ...]:
        """The modules behind the Transformer."""
        return self.modules[1:]

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
