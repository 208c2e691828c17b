"""Transformers: config.json and weights; a cross-encoder when the architecture is a classifier of one or two labels."""

from __future__ import annotations

from resift.engine.graphs.graph import ARCHITECTURES, architecture, missing_head, unsupported
from resift.engine.weights.checkpoint_files import header, rows, weight_files
from resift.errors import BrokenModel, UnknownFamily
from resift.models.config_entries import whole
from resift.models.contract import Contract
from resift.models.folder import ModelFolder
from resift.models.inputs import EncoderInput
from resift.models.layouts.layout import Layout
from resift.types import ScoreKind


def _contract(folder: ModelFolder) -> Contract:
    """As AutoModelForSequenceClassification; with a modules.json beside, as sentence_transformers.CrossEncoder."""
    config = folder.config
    architectures = config.get("architectures") or ["none"]
    _check_modules(folder)
    if architecture(config) is None:
        raise UnknownFamily(
            f"{folder} is of type {config.get('model_type', 'unknown')!r}; Resift scores with "
            f"{', '.join(ARCHITECTURES)} cross-encoders and with late-interaction folders that carry a contract.json"
        )
    unnamed = _rows_of_head(folder) if architectures[0].endswith("Model") else 0
    if not (unnamed or architectures[0].endswith("ForSequenceClassification")):
        raise UnknownFamily(
            f"{folder} is a {architectures[0]}, not a reranker: it has no classification head "
            "(an embedding model or a bare encoder?); give a *ForSequenceClassification checkpoint, or for an embedder "
            "a folder with modules.json, or a contract.json that says how to pool (docs/vector-models.md)"
        )
    if entry := unsupported(config):
        raise UnknownFamily(f"{folder} has {entry}; its graph can't be built exactly, give another checkpoint")
    limit = folder.least_limit
    return Contract(
        folder.name, "encoder", ScoreKind.LOGIT, limit, limit, EncoderInput(labels=_labels(folder, unnamed))
    )


def _rows_of_head(folder: ModelFolder) -> int:
    """The outputs of a classification head among the tensors; 0 where there is none.

    The config of jina-reranker-v1-tiny-en names the bare encoder and no labels, and its weights hold the head.
    """
    try:
        files = weight_files(folder.path)
    except BrokenModel:
        return 0  # a graph alone
    if missing_head(folder.config, {name for file in files for name in header(file)}):
        return 0
    return rows(files, ARCHITECTURES[architecture(folder.config) or ""].head[-1])


def _labels(folder: ModelFolder, rows_of_head: int) -> int:
    """How many outputs the classifier has: what the config says, else the tensors of an unnamed head."""
    config = folder.config
    names = config.get("id2label")
    stated = len(names) if names else whole(config, "num_labels", folder.path / "config.json")
    labels = stated or rows_of_head or 2
    if labels not in (1, 2):
        raise UnknownFamily(
            f"{folder} has {labels} labels; a reranker has one, or two (irrelevant, relevant): "
            "set num_labels=1 when training"
        )
    return labels


def _check_modules(folder: ModelFolder) -> None:
    """Refuse Sentence Transformers stacks whose score is not the classifier's."""
    modules = folder.modules
    if modules is None:
        return
    kinds = [module.kind for module in modules.modules]
    if "LogitScore" in kinds:
        raise UnknownFamily(
            f"{folder} is a causal language model whose next-token logits are the score (LogitScore); "
            "Resift does not score with that family yet: run it with sentence-transformers, "
            "CrossEncoder(folder).predict(pairs), or give an encoder cross-encoder"
        )
    if "Pooling" in kinds:
        raise UnknownFamily(
            f"{folder} is an embedding model ({', '.join(kinds)}), not a reranker: it gives vectors; "
            "give a *ForSequenceClassification checkpoint"
        )
    if kinds != ["Transformer"]:
        raise UnknownFamily(f"{folder} has the modules {', '.join(kinds)}; Resift scores with a Transformer alone")
    if modules.settings.get("default_prompt_name"):
        raise UnknownFamily(f"{folder} puts a prompt before its texts, which Resift does not do yet; give another")


LAYOUT = Layout("Transformers", lambda folder: folder.has("config.json"), _contract)
