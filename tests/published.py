"""Tiny checkpoints laid out as published models are: one row a model, with the files that its repository has.

Code, read-me files, evaluations and copies of the weights for other engines are left out. Where a repository has no
tokenizer.json but only vocabulary files, the tiny checkpoint has one in their place.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling
from transformers import AutoModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from tests.checkpoints import OWN, cross_encoder, edited, save_tokenizer
from tests.references import jinabert
from tests.vector_checkpoints import WIDTH, write

Activation = Literal["Identity", "Sigmoid", "Softmax"]
_SOURCES = ("vocab.txt", "bpe.codes", "sentencepiece.bpe.model", "merges.txt", "vocab.json", "spm.model",
            "added_tokens.json", "special_tokens_map.json")  # fmt: skip
# A RoBERTa's ids of special tokens and the positions that they take from its table, as real ones have them.
_ROBERTA = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
_XLMR = ("config.json", "model.safetensors", "sentencepiece.bpe.model", "special_tokens_map.json", "tokenizer.json",
         "tokenizer_config.json")  # fmt: skip
_PHOBERT = ("added_tokens.json", "bpe.codes", "config.json", "pytorch_model.bin", "special_tokens_map.json",
            "tokenizer_config.json", "vocab.txt")  # fmt: skip
_MODERNBERT = ("config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json")
_POOLED = ("1_Pooling/config.json", "config_sentence_transformers.json", "modules.json", "sentence_bert_config.json")


@dataclass(frozen=True)
class Published:
    """How one published checkpoint is laid out.

    Attributes:
        make: builds it in a folder.
        files: of the repository.
        limit: its window.
        activation: what sentence-transformers does to its logits: what its config says, else what labels imply.
        segmenter: the language whose words are joined beforehand.
        prefixes: before a query and before a document.

    """

    make: Callable[[Path, "Published"], Path]
    files: Sequence[str]
    limit: int
    model_type: str = "xlm-roberta"
    tokenizer: str = "roberta"
    tokenizer_config: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    activation: Activation = "Sigmoid"
    pooling: Literal["", "cls", "mean"] = ""
    normalize: bool = False
    segmenter: str = ""
    prefixes: tuple[str, str] = ("", "")

    @property
    def tiny_files(self) -> set[str]:
        """The files that the tiny checkpoint has: those of the repository, with tokenizer.json for its sources."""
        return {f for f in self.files if f not in _SOURCES} | {"tokenizer.json"}


def save(folder: Path, name: str) -> Path:
    """The tiny checkpoint of a model, in the place where the hub's cache would have it."""
    published = PUBLISHED[name]
    snapshot = folder / f"models--{name.replace('/', '--')}" / "snapshots" / "0123abc"
    snapshot.mkdir(parents=True)
    return published.make(snapshot, published)


def _double(published: Published) -> bool:
    return published.tokenizer == "roberta"


def _settings(published: Published) -> dict[str, Any]:
    """The config's entries beside the sizes."""
    roberta = "roberta" in published.model_type
    positions = {"max_position_embeddings": published.limit + 2 * roberta}
    return {**positions, **(_ROBERTA if roberta else {}), **published.config}


def _describe_tokenizer(folder: Path, published: Published) -> Path:
    """Write tokenizer_config.json with the class, the limit and the special tokens that the repository's has."""
    names = ("<s>", "</s>", "<pad>", "<unk>") if _double(published) else ("[CLS]", "[SEP]", "[PAD]", "[UNK]")
    roles = dict(zip(("cls_token", "sep_token", "pad_token", "unk_token"), names, strict=True))
    described = {**roles, **published.tokenizer_config} if published.tokenizer_config else {}
    write(folder / "tokenizer_config.json", described or {"special_tokens_map_file": None, "full_tokenizer_file": None})
    return folder


def _weights_as_published(folder: Path, published: Published, prefix: str = "") -> None:
    """Put the weights into the file that the repository has, under names with this prefix."""
    tensors = {f"{prefix}{n}": t.clone() for n, t in load_file(folder / "model.safetensors").items()}
    if "pytorch_model.bin" in published.files:
        if prefix:  # counters that were saved with older libraries
            tensors[f"{prefix}embeddings.position_ids"] = torch.arange(published.limit + 2)[None]
        torch.save(tensors, folder / "pytorch_model.bin")
    if "model.safetensors" not in published.files:
        (folder / "model.safetensors").unlink()
    elif prefix:
        save_file(tensors, folder / "model.safetensors")


def classifier(folder: Path, published: Published) -> Path:
    """One folder with a *ForSequenceClassification, and the activation where the config names it."""
    cross_encoder(
        folder, published.model_type, limit=published.limit, tokenizer=published.tokenizer, **_settings(published)
    )
    _weights_as_published(folder, published)
    if published.activation == "Identity":
        path = "torch.nn.modules.linear.Identity"
        edited(folder, sentence_transformers={"activation_fn": path, "version": "4.0.1"})
    return _describe_tokenizer(folder, published)


def jina(folder: Path, published: Published) -> Path:
    """JinaBERT's classifier under a config that names the bare encoder and no labels."""
    jinabert.save(folder, heads=6, later=False, limit=published.limit)
    edited(folder, architectures=["JinaBertModel"], emb_pooler="mean", auto_map={
        "AutoModelForSequenceClassification": "modeling_bert.JinaBertForSequenceClassification",
    })  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    del config["id2label"]
    write(folder / "config.json", config)
    _weights_as_published(folder, published)
    return folder


def bare(folder: Path, published: Published, prefix: str = "") -> Path:
    """An encoder without a head."""
    torch.manual_seed(5)
    vocabulary = save_tokenizer(folder, _double(published), published.limit, published.tokenizer)
    sizes = {
        "vocab_size": vocabulary, "hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 2 * WIDTH, "initializer_range": 0.4, "pad_token_id": 0,
    }  # fmt: skip
    if published.model_type != "modernbert":
        sizes["type_vocab_size"] = 1 if "roberta" in published.model_type else 2
    settings = {**sizes, **OWN.get(published.model_type, {}), **_settings(published)}
    AutoModel.from_config(CONFIG_MAPPING[published.model_type](**settings)).eval().save_pretrained(folder)
    _weights_as_published(folder, published, prefix)
    return _describe_tokenizer(folder, published)


def simcse(folder: Path, published: Published) -> Path:
    """An encoder saved by its training class, without modules.json."""
    return edited(bare(folder, published, "roberta."), architectures=["RobertaForCL"])


def embedder(folder: Path, published: Published) -> Path:
    """The layout of sentence-transformers since 2.0: Transformer, Pooling, and Normalize where the files have it."""
    bare(folder, published)
    kinds = {"": "Transformer", "1_Pooling": "Pooling"}
    if published.normalize:
        kinds["2_Normalize"] = "Normalize"
    write(folder / "modules.json", [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds.items())
    ])  # fmt: skip
    modes = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    flags = {f"pooling_mode_{mode}": mode.startswith(published.pooling) for mode in modes[:2]}
    flags |= dict.fromkeys((f"pooling_mode_{mode}" for mode in modes[2:]), False)
    write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": WIDTH, **flags})
    write(folder / "sentence_bert_config.json", {"max_seq_length": published.limit, "do_lower_case": False})
    if "config_sentence_transformers.json" in published.files:
        versions = {"sentence_transformers": "2.2.2", "transformers": "4.33.1", "pytorch": "2.0.0"}
        write(folder / "config_sentence_transformers.json", {"__version__": versions})
    if "colbert_linear.pt" in published.files:
        torch.save(torch.nn.Linear(WIDTH, WIDTH).state_dict(), folder / "colbert_linear.pt")
        torch.save(torch.nn.Linear(WIDTH, 1).state_dict(), folder / "sparse_linear.pt")
    return folder


def modular(folder: Path, published: Published) -> Path:
    """A cross-encoder of five modules, as sentence-transformers itself saves it."""
    base = bare(folder.parent.parent / "base", published)
    torch.manual_seed(6)
    norm = LayerNorm(WIDTH)
    with torch.no_grad():
        norm.norm.weight.add_(torch.randn(WIDTH) * 0.2)
        norm.norm.bias.add_(torch.randn(WIDTH) * 0.2)
    head = [
        Pooling(WIDTH, "cls"),
        Dense(WIDTH, WIDTH, bias=False, activation_function=torch.nn.GELU()),
        norm,
        Dense(WIDTH, 1, activation_function=torch.nn.Identity(), module_output_name="scores"),
    ]
    model = CrossEncoder(modules=[Transformer(str(base)), *head], activation_fn=torch.nn.Identity(), device="cpu")
    model.save_pretrained(str(folder))
    (folder / "README.md").unlink()
    return folder


def _encoder(limit: int, files: Sequence[str] = _XLMR, **more: Any) -> Published:
    described = {"model_max_length": limit, "tokenizer_class": "XLMRobertaTokenizer"}
    return Published(classifier, files, limit, **{"tokenizer_config": described, **more})


def _modernbert(limit: int, **more: Any) -> Published:
    described = {
        "model_max_length": limit, "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "attention_mask"],
    }  # fmt: skip
    settings = {"model_type": "modernbert", "tokenizer": "byte_level", "tokenizer_config": described}
    return Published(**{"make": classifier, "files": _MODERNBERT, "limit": limit, **settings, **more})


def _deberta() -> Published:
    described = {"model_max_length": 512, "tokenizer_class": "DebertaV2Tokenizer"}
    files = (*_MODERNBERT, "added_tokens.json", "spm.model")
    return Published(classifier, files, 512, "deberta-v2", "unigram", described)


def _phobert(make: Callable[[Path, Published], Path], files: Sequence[str], **more: Any) -> Published:
    described = {"model_max_length": 256, "tokenizer_class": "PhobertTokenizer"}
    return Published(make, files, 256, "roberta", **{"tokenizer_config": described, **more})


def _embedder(limit: int = 512, files: Sequence[str] = _XLMR, **more: Any) -> Published:
    described = {"model_max_length": limit, "tokenizer_class": "XLMRobertaTokenizer"}
    settings = {"tokenizer_config": described, "pooling": "mean", "normalize": True}
    return Published(embedder, (*files, *_POOLED), limit, **{**settings, **more})


def _e5(model_type: str = "xlm-roberta") -> Published:
    published = _embedder(model_type=model_type, prefixes=("query: ", "passage: "))
    return replace(published, files=[f for f in published.files if f != "config_sentence_transformers.json"])


_BIN = tuple("pytorch_model.bin" if f == "model.safetensors" else f for f in _XLMR)
_BOTH = (*_XLMR, "pytorch_model.bin")
_ETTIN = (
    *(f for f in _MODERNBERT if f != "special_tokens_map.json"), *_POOLED, "2_Dense/config.json",
    "2_Dense/model.safetensors", "3_LayerNorm/config.json", "3_LayerNorm/model.safetensors", "4_Dense/config.json",
    "4_Dense/model.safetensors",
)  # fmt: skip

# The files of jina-reranker-v1-tiny-en, amberoad, PhoRanker, ViRanker, vietnamese-sbert, vietnamese-bi-encoder and
# sup-SimCSE were read in archived listings of their repositories; the others have those that their library writes.
PUBLISHED: dict[str, Published] = {
    "BAAI/bge-reranker-base": _encoder(512, _BOTH),
    "BAAI/bge-reranker-large": _encoder(512, _BOTH),
    "BAAI/bge-reranker-v2-m3": _encoder(8192),
    "maidalun1020/bce-reranker-base_v1": _encoder(512, _BIN),
    "jinaai/jina-reranker-v1-tiny-en": Published(
        jina, (*_MODERNBERT, "merges.txt", "pytorch_model.bin", "vocab.json"), 8192, "bert", "wordpiece"
    ),
    **{f"mixedbread-ai/mxbai-rerank-{size}-v1": _deberta() for size in ("xsmall", "base", "large")},
    "amberoad/bert-multilingual-passage-reranking-msmarco": Published(
        classifier,
        ("config.json", "pytorch_model.bin", "special_tokens_map.json", "tokenizer_config.json", "vocab.txt"),
        512, "bert", "wordpiece", config={"num_labels": 2}, activation="Softmax",
    ),
    "hotchpotch/japanese-reranker-cross-encoder-xsmall-v1": _encoder(512),
    **{f"hotchpotch/japanese-reranker-{size}-v2": _modernbert(8192) for size in ("tiny", "xsmall", "small", "base")},
    "itdainb/PhoRanker": _phobert(
        classifier, ("bpe.codes", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
                     "vocab.txt"), tokenizer_config={"model_max_length": 256}, segmenter="vi",
    ),
    "namdp-ptit/ViRanker": _encoder(8192),
    "AITeamVN/Vietnamese_Reranker": _encoder(8192),
    "cross-encoder/mmarco-mMiniLMv2-L12-H384-v1": _encoder(512, _BOTH, activation="Identity"),
    **{
        f"cross-encoder/ettin-reranker-{size}-v1": _modernbert(7999, make=modular, files=_ETTIN, activation="Identity")
        for size in ("17m", "32m", "68m", "150m", "400m", "1b")
    },
    "Alibaba-NLP/gte-reranker-modernbert-base": _modernbert(8192),
    "ibm-granite/granite-embedding-reranker-english-r2": _modernbert(8192),
    "intfloat/multilingual-e5-small": _e5("bert"),
    "intfloat/multilingual-e5-base": _e5(),
    "intfloat/multilingual-e5-large": _e5(),
    "hiieu/halong_embedding": _embedder(),
    "BAAI/bge-m3": _embedder(8192, (*_BIN, "colbert_linear.pt", "sparse_linear.pt"), pooling="cls"),
    "keepitreal/vietnamese-sbert": _phobert(embedder, (*_PHOBERT, "model.safetensors", *_POOLED), pooling="mean"),
    "bkai-foundation-models/vietnamese-bi-encoder": _phobert(
        embedder, (*_PHOBERT, "model.safetensors", *_POOLED), pooling="mean", segmenter="vi"
    ),
    "VoVanPhuc/sup-SimCSE-VietNamese-phobert-base": _phobert(
        simcse, (*_PHOBERT, "model.safetensors"), pooling="mean", segmenter="vi"
    ),
}  # fmt: skip
