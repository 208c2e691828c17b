"""What a checkpoint's numbers mean and how its input is built: read from `contract.json`, or derived from the files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from resift.engine.graphs.bert import OFFSET_TYPES
from resift.engine.graphs.graph import ARCHITECTURES, architecture, unsupported
from resift.errors import BrokenModel, NotAModel, UnknownFamily
from resift.models.adapter import refuse_adapter
from resift.models.config import first_position, read_config, read_object, whole
from resift.models.input_rules import TokenRules, VectorRules
from resift.types import ModelInfo, ScoreKind

Truncation = Literal["only_second", "longest_first"]

_NAMED = 10  # subfolders, the last ones
_LONGEST = 8192  # a config may name more positions than any encoder was trained on


@dataclass(frozen=True, slots=True)
class Golden:
    """A pair and the score that the model gives it at f32; recomputed by the tests."""

    query: str
    document: str
    score: float


@dataclass(frozen=True, slots=True)
class Contract:
    """How a model is fed and read.

    Attributes:
        family: "encoder" (query and document in one input), "late" (each alone, compared token by token), "embedder"
            (one vector for a text) or "static" (one vector by table look-up).
        kind: what a score is.
        max_tokens: the longest input, special tokens included.
        window_tokens: longer documents are scored in windows of this many tokens; never more than fits max_tokens.
        truncation: what is cut when a pair is too long and windows are off. "only_second": the query to three quarters
            of max_tokens, then the document (FlagEmbedding); "longest_first": the longer of the two, token by token
            (sentence-transformers).
        labels: outputs of a cross-encoder's head. Of one, it is the logit; of two, the second minus the first, whose
            logistic function is the softmax's share of the second.
        skip: token ids that take no part in MaxSim.
        int8: whether the order was measured to stay when activations are rounded to int8 (tau of .99 and 98 % of the
            ten best per query, on real queries); where a CPU gains by it, the model then runs so.
        blend_weight: weight of the standardised score against the standardised first-stage rank; tuned, see the card.
        fusion_weight: an embedder's part of the fusion with BM25 by reciprocal ranks; 0: both have the same.
        golden: pairs with their scores at f32.
        tokens: of a late-interaction model, how its inputs are laid out and compared.
        vectors: of an embedder, how a text becomes a vector; its `segmenter` counts for a cross-encoder too.

    """

    name: str
    family: str
    kind: ScoreKind
    max_tokens: int
    window_tokens: int
    truncation: Truncation = "only_second"
    labels: int = 1
    skip: tuple[int, ...] = ()
    int8: bool = False
    blend_weight: float = 1.0
    fusion_weight: float = 0.0
    languages: tuple[str, ...] = ()
    license: str = ""
    parameters: int = 0
    description: str = ""
    golden: tuple[Golden, ...] = ()
    tokens: TokenRules = TokenRules()
    vectors: VectorRules = VectorRules()

    def info(self, fingerprint: str, runs_on: str, long_documents: str) -> ModelInfo:
        """What the rest of Resift needs to know of a model that is fed and read so."""
        return ModelInfo(
            self.name, self.kind, self.family, fingerprint, runs_on, self.max_tokens, long_documents, self.languages,
            self.blend_weight, self.license, sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest(),
        )  # fmt: skip

    def write(self, folder: Path) -> None:
        """Write `contract.json`."""
        (folder / "contract.json").write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", "utf-8")


def read_contract(folder: Path) -> Contract:
    """The folder's own contract, else one derived from its config and tensor names; never from its name.

    Raises:
        NotAModel: no contract and no config.
        UnknownFamily: a model, but none that Resift scores with, or an adapter beside one.
        BrokenModel: the contract or the config can't be read.

    """
    from resift.models.checkpoints import derive  # it makes contracts, so it imports this module

    refuse_adapter(folder)
    if (folder / "contract.json").exists():
        return _parse(read_object(folder / "contract.json"), folder)

    if found := derive(folder):
        return found
    if (folder / "config.json").exists():
        return _derive(read_config(folder), folder)
    raise NotAModel(f"{folder} is not a model folder: it has neither contract.json nor config.json{_below(folder)}")


def _below(folder: Path) -> str:
    """The models in its subfolders, such as a Trainer's checkpoints or the snapshots of the hub's cache."""
    within = [p.parent for depth in ("*", "*/*") for p in folder.glob(f"{depth}/config.json")]
    if not within:
        return ""
    names = sorted((p.relative_to(folder).as_posix() for p in within), key=lambda n: (len(n), n))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"; name one of its subfolders, which have one: {', '.join(names[-_NAMED:])}{more}"


def _parse(value: Mapping[str, Any], folder: Path) -> Contract:
    known = {f.name for f in fields(Contract)}
    if unknown := set(value) - known:
        raise BrokenModel(f"{folder}/contract.json has unknown entries {sorted(unknown)}; update Resift")
    try:
        return Contract(
            **{
                **value,
                "kind": ScoreKind(value["kind"]),
                "skip": tuple(value.get("skip", ())),
                "languages": tuple(value.get("languages", ())),
                "golden": tuple(Golden(**g) for g in value.get("golden", ())),
                "tokens": TokenRules.parse(value.get("tokens", {})),
                "vectors": VectorRules.parse(value.get("vectors", {})),
            }
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenModel(f"{folder}/contract.json is incomplete or malformed: {error}") from error


def _derive(config: Mapping[str, Any], folder: Path) -> Contract:
    """A Transformers folder is a cross-encoder when its architecture is a sequence classifier with one or two labels.

    Sentence Transformers' `modules.json` is read too: one module, the classifier, is a cross-encoder like any other.
    """
    architectures = config.get("architectures") or ["none"]
    _check_modules(folder)
    if architecture(config) is None:
        raise UnknownFamily(
            f"{folder} is of type {config.get('model_type', 'unknown')!r}; Resift scores with "
            f"{', '.join(ARCHITECTURES)} cross-encoders and with late-interaction folders that carry a contract.json"
        )
    if not architectures[0].endswith("ForSequenceClassification"):
        raise UnknownFamily(
            f"{folder} is a {architectures[0]}, not a reranker: it has no classification head "
            "(an embedding model or a bare encoder?); give a *ForSequenceClassification checkpoint, or for an embedder "
            "a folder with modules.json, or a contract.json that says how to pool (docs/vector-models.md)"
        )
    if entry := unsupported(config):
        raise UnknownFamily(f"{folder} has {entry}; its graph can't be built exactly, give another checkpoint")
    labels = (
        len(config["id2label"]) if config.get("id2label") else whole(config, "num_labels", folder / "config.json") or 2
    )
    if labels not in (1, 2):
        raise UnknownFamily(
            f"{folder} has {labels} labels; a reranker has one, or two (irrelevant, relevant): "
            "set num_labels=1 when training"
        )
    limit = _window(config, folder)
    return Contract(folder.resolve().name, "encoder", ScoreKind.LOGIT, limit, limit, labels=labels)


def _window(config: Mapping[str, Any], folder: Path) -> int:
    """The longest input, special tokens included: the least of what config and tokenizer say, 8,192 at most."""
    path = folder / "config.json"
    positions = whole(config, "max_position_embeddings", path) or 512
    if config["model_type"] in OFFSET_TYPES and config.get("position_embedding_type", "absolute") == "absolute":
        positions -= first_position(config, path)
    entries = (("tokenizer_config.json", "model_max_length"), ("sentence_bert_config.json", "max_seq_length"))
    there = [(folder / file, entry) for file, entry in entries if (folder / file).exists()]
    stated = [whole(read_object(file), entry, file) for file, entry in there]
    return int(min([positions, _LONGEST, *(n for n in stated if n)]))


def _check_modules(folder: Path) -> None:
    """Refuse Sentence Transformers stacks whose score is not the classifier's."""
    if not (folder / "modules.json").exists():
        return
    try:
        types = [str(m["type"]).rsplit(".", 1)[-1] for m in json.loads((folder / "modules.json").read_text("utf-8"))]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokenModel(f"{folder}/modules.json can't be read ({error}); fetch the model again") from error
    if "LogitScore" in types:
        raise UnknownFamily(
            f"{folder} is a causal language model whose next-token logits are the score (LogitScore); "
            "Resift does not score with that family yet, give an encoder cross-encoder"
        )
    if "Pooling" in types:
        raise UnknownFamily(
            f"{folder} is an embedding model ({', '.join(types)}), not a reranker: it gives vectors; "
            "give a *ForSequenceClassification checkpoint"
        )
    if types != ["Transformer"]:
        raise UnknownFamily(f"{folder} has the modules {', '.join(types)}; Resift scores with a Transformer alone")
    options = folder / "config_sentence_transformers.json"
    if options.exists() and read_object(options).get("default_prompt_name"):
        raise UnknownFamily(f"{folder} puts a prompt before its texts, which Resift does not do yet; give another")
