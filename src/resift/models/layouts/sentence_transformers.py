"""Sentence Transformers: cross-encoders and embedders of several modules, and MultiVectorEncoder.

Formats of sentence-transformers 6.2. Cross-encoders of a Transformer alone are folders of Transformers with a
modules.json beside.
"""

from __future__ import annotations

from resift.errors import UnknownFamily
from resift.models.config_entries import whole
from resift.models.contract import Contract
from resift.models.folder import ModelFolder, Modules
from resift.models.heads import SCORES, pooling
from resift.models.inputs import EmbedderInput, EncoderInput, LateInput
from resift.models.layouts.late import fill_token, late_contract
from resift.models.layouts.layout import Layout
from resift.types import ScoreKind


def _vector_modules(folder: ModelFolder) -> Modules | None:
    modules = folder.modules
    return None if modules is None or modules.scores_pairs else modules


def _is_cross_encoder(folder: ModelFolder) -> bool:
    """Whether the last of several modules says that it makes scores, as in the ettin rerankers."""
    modules = folder.modules
    return (
        modules is not None and bool(modules.head) and modules.modules[-1].settings.get("module_output_name") == SCORES
    )


def _cross_encoder(folder: ModelFolder) -> Contract:
    """As sentence_transformers.CrossEncoder with Pooling, Dense and LayerNorm behind a bare encoder."""
    modules = folder.modules
    assert modules is not None  # it was recognised by them
    first, *others = modules.head
    kinds = [module.kind for module in modules.modules]
    if first.kind != "Pooling" or not {m.kind for m in others} <= {"Dense", "LayerNorm", "Dropout"}:
        raise UnknownFamily(
            f"{folder} has the modules {', '.join(kinds)}; Resift scores with Transformer, Pooling, and then Dense and "
            "LayerNorm alone"
        )
    if modules.settings.get("default_prompt_name"):
        raise UnknownFamily(f"{folder} puts a prompt before its texts, which Resift does not do yet; give another")
    settings, path = modules.modules[-1].settings, modules.modules[-1].folder.path / "config.json"
    if (labels := whole(settings, "out_features", path)) not in (1, 2):
        raise UnknownFamily(f"{folder} has {labels} labels; a reranker has one, or two (irrelevant, relevant)")
    limit = folder.encoder.least_limit
    return Contract(folder.name, "encoder", ScoreKind.LOGIT, limit, limit, EncoderInput(labels=labels))


def _is_multi_vector(folder: ModelFolder) -> bool:
    modules = _vector_modules(folder)
    return modules is not None and modules.model_type == "MultiVectorEncoder"


def _multi_vector(folder: ModelFolder) -> Contract:
    """As sentence_transformers.MultiVectorEncoder."""
    modules = folder.modules
    assert modules is not None  # it was recognised by them
    settings, path = modules.encoder.settings, folder.encoder.path / "sentence_bert_config.json"
    (mask,) = modules.of("MultiVectorMask") or (None,)
    if mask is None:
        raise UnknownFamily(f"{folder} has no MultiVectorMask; save it with sentence-transformers 6 or newer")
    if mask.settings.get("keep_only_token_ids"):
        raise UnknownFamily(f"{folder} keeps image tokens only; Resift reads texts")
    expansion = settings.get("query_expansion") or {}
    widest = whole(settings, "query_length", path)
    floor = whole(expansion, "length", path)
    record = LateInput(
        query_prefix=modules.prompt("query"),
        document_prefix=modules.prompt("document", "passage", "corpus"),
        query_tokens=floor if expansion.get("strategy") == "fixed" else max(widest, floor) if widest else 0,
        expand=floor,
        fill=expansion.get("token") or fill_token(folder),
        attend=bool(expansion.get("attend")),
        skip_words=tuple(mask.settings.get("skiplist_words") or ()),
        skip_in=tuple(t for t in mask.settings.get("skiplist_tasks", ["document"]) if t in ("query", "document")),
        reduce="mean" if modules.settings.get("similarity_fn_name") == "meanmaxsim" else "sum",
    )
    return late_contract(folder, record, whole(settings, "document_length", path) or _window(folder.encoder))


def _is_embedder(folder: ModelFolder) -> bool:
    modules = _vector_modules(folder)
    return modules is not None and bool(modules.of("Pooling"))


def _embedder(folder: ModelFolder) -> Contract:
    """As sentence_transformers.SentenceTransformer; vectors are brought to length 1, which no cosine notices."""
    modules = folder.modules
    assert modules is not None  # it was recognised by them
    similarity = modules.settings.get("similarity_fn_name") or "cosine"
    if similarity != "cosine" and modules.modules[-1].kind != "Normalize":
        raise UnknownFamily(
            f"{folder} compares vectors by {similarity}, whose lengths matter; Resift compares by cosine"
        )
    pool, *more = modules.of("Pooling")
    record = EmbedderInput(
        pooling=pooling(pool),
        query_prefix=modules.prompt("query"),
        document_prefix=modules.prompt("document", "passage", "corpus"),
    )
    prompted = record.query_prefix or record.document_prefix
    if more or (prompted and pool.settings.get("include_prompt") is False):
        raise UnknownFamily(f"{folder} pools twice, or leaves its prompts out of the pooling; Resift does neither")
    limit = _window(folder.encoder)
    return Contract(folder.name, "embedder", ScoreKind.COSINE, limit, limit, record)


def _window(encoder: ModelFolder) -> int:
    """max_seq_length, else the tokenizer's own limit, else 512, as this library has it; never over the positions."""
    by_library, by_tokenizer = encoder.stated_limits
    return min(by_library or by_tokenizer or 512, encoder.positions)


CROSS_ENCODER = Layout("Sentence Transformers, cross-encoder of modules", _is_cross_encoder, _cross_encoder)
MULTI_VECTOR = Layout("Sentence Transformers, MultiVectorEncoder", _is_multi_vector, _multi_vector)
EMBEDDER = Layout("Sentence Transformers, embedder", _is_embedder, _embedder)
