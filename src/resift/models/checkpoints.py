"""Contracts of vector models that others made, derived from their own files, never from their name.

Late interaction: Stanford ColBERT (architecture HF_ColBERT, artifact.metadata, linear.weight), PyLate (modules.json,
model_type ColBERT) and sentence-transformers' MultiVectorEncoder. One vector for a text: sentence-transformers folders
(Transformer, Pooling, Dense, Normalize) and Model2Vec. Where PyLate and sentence-transformers fill a gap differently,
the filling of the library that wrote the folder counts. Both kinds in one: bge-m3, an embedder with a second head in
colbert_linear.pt; to rerank is to use that head, see `to_rerank`.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from resift.engine.graphs.bert import OFFSET_TYPES
from resift.engine.graphs.heads import HeadStep, Linear, Normalize, Pooling
from resift.engine.weights.torch_archive import read_archive
from resift.errors import BrokenModel, UnknownFamily
from resift.models.config import first_position, read_config, read_object, whole
from resift.models.contract import Contract
from resift.models.input_rules import TokenRules, VectorRules
from resift.models.modules import Folder, pooling, read_folder, steps
from resift.types import ScoreKind

SECOND_HEAD = "colbert_linear.pt"  # of bge-m3, beside the encoder
_STANFORD = "HF_ColBERT"
_PUNCTUATION = tuple(string.punctuation)


def derive(path: Path) -> Contract | None:
    """The contract of a vector model's folder; None where the folder is of no such kind.

    Raises:
        UnknownFamily: one of these kinds, with a setting that Resift does not have.
        BrokenModel: a file can't be read.

    """
    config = read_config(path)
    if config.get("model_type") == "model2vec":
        return Contract(path.resolve().name, "static", ScoreKind.COSINE, 0, 0)
    if _STANFORD in (config.get("architectures") or ()):
        return _stanford(path, config)
    folder = read_folder(path)
    if folder is None and (path / SECOND_HEAD).exists():
        limit = _positions(path, config)
        rules = VectorRules(pooling=("cls",))  # as FlagEmbedding's M3Embedder, which saves no modules.json
        return Contract(path.resolve().name, "embedder", ScoreKind.COSINE, limit, limit, vectors=rules)
    if folder is None or folder.model_type in ("CrossEncoder", "SparseEncoder"):
        return None
    if folder.model_type == "ColBERT" or "query_prefix" in folder.settings:
        return _pylate(folder)
    if folder.model_type == "MultiVectorEncoder":
        return _multi_vector(folder)
    return _embedder(folder) if folder.of("Pooling") else None


def head(path: Path, contract: Contract) -> tuple[Path, tuple[HeadStep, ...] | None]:
    """Where a model's encoder lies, and what stands behind it; None for Stanford's projection, which lies beside it.

    Raises:
        UnknownFamily: a module that Resift does not run.
        BrokenModel: weights of a projection are missing.

    """
    folder = read_folder(path)
    if contract.family == "late" and (path / SECOND_HEAD).exists():
        return folder.encoder.folder if folder else path, _second_head(path / SECOND_HEAD)
    if folder is None:
        return path, (Pooling(contract.vectors.pooling),) if contract.family == "embedder" else None
    if contract.family == "embedder":
        return folder.encoder.folder, steps(folder, "sentence_embedding")
    found = steps(folder, "token_embeddings")
    return folder.encoder.folder, found if folder.of("MultiVectorMask") else (*found, Normalize())


def to_rerank(path: Path, contract: Contract) -> Contract:
    """The contract by which a folder scores pairs: an embedder with bge-m3's second head has another than its own.

    As FlagEmbedding's M3Embedder: the vectors of all tokens but the first special one, and the mean over the query's.
    """
    if contract.family != "embedder" or not (path / SECOND_HEAD).exists():
        return contract
    first = _special(encoder_folder(path), "cls_token", "<s>")
    rules = TokenRules(special=True, skip_words=(first,), reduce="mean", pooled=False, rounded=False)
    return replace(contract, family="late", kind=ScoreKind.MAXSIM, tokens=rules, vectors=VectorRules())


def _second_head(file: Path) -> tuple[HeadStep, ...]:
    tensors = read_archive(file)
    try:
        return Linear(tensors["weight"], tensors["bias"]), Normalize()
    except KeyError as error:
        raise BrokenModel(f"{file} has no tensor {error}; fetch the model again") from error


def _stanford(path: Path, config: Mapping[str, Any]) -> Contract:
    """As colbert-ai's QueryTokenizer, DocTokenizer and ColBERT.mask, with its defaults where metadata is silent."""
    metadata = read_object(path / "artifact.metadata") if (path / "artifact.metadata").exists() else {}
    if metadata.get("similarity", "cosine") != "cosine":
        raise UnknownFamily(f"{path} compares by {metadata['similarity']}; Resift has cosine MaxSim")
    length = metadata.get("query_maxlen") or 32
    rules = TokenRules(
        query_marker=metadata.get("query_token_id") or "[unused0]",
        document_marker=metadata.get("doc_token_id") or "[unused1]",
        query_tokens=length,
        expand=length,
        fill=_special(path, "mask_token", "[MASK]"),
        attend=bool(metadata.get("attend_to_mask_tokens")),
        skip_words=_PUNCTUATION if metadata.get("mask_punctuation", True) else (),
        skip_in=("document",),
        reduce="sum",
    )
    return _late(path, config, rules, metadata.get("doc_maxlen") or 220)


def _pylate(folder: Folder) -> Contract:
    """As pylate.models.ColBERT, with its defaults where the folder is silent."""
    settings, path = folder.settings, folder.encoder.folder
    length = settings.get("query_length") or 32
    markers = [settings.get(f"{role}_prefix") for role in ("query", "document")]
    query, document = ("[Q] " if markers[0] is None else markers[0], "[D] " if markers[1] is None else markers[1])
    expand = settings.get("do_query_expansion") is not False
    words = settings.get("skiplist_words")
    rules = TokenRules(
        query_marker=query,
        document_marker=document,
        query_prefix=folder.prompt("query").removeprefix(query),
        document_prefix=folder.prompt("document").removeprefix(document),
        query_tokens=length,
        expand=length if expand else 0,
        fill=_fill(path),
        attend=bool(settings.get("attend_to_expansion_tokens")) and expand,
        skip_words=_PUNCTUATION if words is None else tuple(words),
        skip_in=("document",),
        reduce="sum",
    )
    contract = _late(path, read_config(path), rules, settings.get("document_length") or 180)
    return replace(contract, name=folder.path.resolve().name)


def _multi_vector(folder: Folder) -> Contract:
    """As sentence_transformers.MultiVectorEncoder."""
    path, settings = folder.encoder.folder, folder.encoder.config
    (mask,) = folder.of("MultiVectorMask") or (None,)
    if mask is None:
        raise UnknownFamily(f"{folder.path} has no MultiVectorMask; save it with sentence-transformers 6 or newer")
    if mask.config.get("keep_only_token_ids"):
        raise UnknownFamily(f"{folder.path} keeps image tokens only; Resift reads texts")
    expansion = settings.get("query_expansion") or {}
    widest = settings.get("query_length") or 0
    floor = int(expansion.get("length") or 0)
    rules = TokenRules(
        query_prefix=folder.prompt("query"),
        document_prefix=folder.prompt("document", "passage", "corpus"),
        query_tokens=floor if expansion.get("strategy") == "fixed" else max(widest, floor) if widest else 0,
        expand=floor,
        fill=expansion.get("token") or _fill(path),
        attend=bool(expansion.get("attend")),
        skip_words=tuple(mask.config.get("skiplist_words") or ()),
        skip_in=tuple(t for t in mask.config.get("skiplist_tasks", ["document"]) if t in ("query", "document")),
        reduce="mean" if folder.settings.get("similarity_fn_name") == "meanmaxsim" else "sum",
    )
    config = read_config(path)
    contract = _late(path, config, rules, settings.get("document_length") or _window(folder, config))
    return replace(contract, name=folder.path.resolve().name)


def _late(path: Path, config: Mapping[str, Any], rules: TokenRules, window: int) -> Contract:
    """What all ColBERT-like checkpoints share: special tokens are compared, vectors are of tokens, unrounded."""
    rules = replace(rules, special=True, pooled=False, rounded=False)
    limit = _positions(path, config)
    kind = ScoreKind.MAXSIM if rules.reduce == "mean" else ScoreKind.MAXSIM_SUM
    return Contract(path.resolve().name, "late", kind, limit, min(window, limit), tokens=rules)


def _embedder(folder: Folder) -> Contract:
    """As sentence_transformers.SentenceTransformer; vectors are brought to length 1, which no cosine notices."""
    by = folder.settings.get("similarity_fn_name") or "cosine"
    if by != "cosine" and folder.modules[-1].kind != "Normalize":
        raise UnknownFamily(f"{folder.path} compares vectors by {by}, whose lengths matter; Resift compares by cosine")
    pool, *more = folder.of("Pooling")
    rules = VectorRules(
        pooling=pooling(pool),
        query_prefix=folder.prompt("query"),
        document_prefix=folder.prompt("document", "passage", "corpus"),
    )
    prompted = rules.query_prefix or rules.document_prefix
    if more or (prompted and pool.config.get("include_prompt") is False):
        raise UnknownFamily(f"{folder.path} pools twice, or leaves its prompts out of the pooling; Resift does neither")
    limit = _window(folder, read_config(folder.encoder.folder))
    return Contract(folder.path.resolve().name, "embedder", ScoreKind.COSINE, limit, limit, vectors=rules)


def _positions(path: Path, config: Mapping[str, Any]) -> int:
    """The most tokens for which an encoder has positions."""
    positions = whole(config, "max_position_embeddings", path / "config.json") or 512
    if config.get("model_type") not in OFFSET_TYPES:
        return positions
    return positions - first_position(config, path / "config.json")  # the entries before it are never used


def _window(folder: Folder, config: Mapping[str, Any]) -> int:
    """max_seq_length, else the tokenizer's own limit; never over the positions."""
    encoder, path = folder.encoder, folder.encoder.folder / "tokenizer_config.json"
    stated = whole(encoder.config, "max_seq_length", encoder.folder / "sentence_bert_config.json")
    limit = stated or (whole(read_object(path), "model_max_length", path) if path.exists() else 0) or 512
    return min(limit, _positions(encoder.folder, config))


def _fill(path: Path) -> str:
    """[MASK], or the end of text for tokenizers without one."""
    return _special(path, "mask_token", "") or _special(path, "eos_token", "[MASK]")


def _special(path: Path, name: str, default: str) -> str:
    """A special token by its role; tokenizer_config.json has it as text or as an object."""
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        value = read_object(path / file).get(name) if (path / file).exists() else None
        if value:
            return str(value["content"] if isinstance(value, dict) else value)
    return default


def encoder_folder(path: Path) -> Path:
    """Where a model's config and tokenizer lie: the folder itself, or that of its first module."""
    folder = read_folder(path)
    return folder.encoder.folder if folder else path


def lowered(path: Path) -> bool:
    """Whether a folder of sentence-transformers says that texts are put in lower case."""
    folder = read_folder(path)
    return folder is not None and bool(folder.encoder.config.get("do_lower_case"))
