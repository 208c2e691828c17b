"""Tiny vector models in the layouts of their authors' libraries; NumPy's seed gives the same weights everywhere."""

import json
import string
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from tokenizers import AddedToken
from transformers import AutoModel, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from tests.checkpoints import OWN
from tests.tiny_tokenizers import wordpiece

WIDTH, OUT, LIMIT = 48, 16, 64
QUERIES = ["what is the capital of norway?", "lamp", "how is it in the north, where the water is 1871!", "water " * 40]
DOCUMENTS = [
    "oslo is the capital",
    "bread, water and a lamp.",
    "north",
    "it is in the north of the city: 1871! what, how? - ferry to oslo",
]


def seeded(shape: tuple[int, ...], seed: int, scale: float = 0.4) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def encoder(
    folder: Path, model_type: str = "bert", markers: tuple[str, ...] = (), punctuation: str = string.punctuation
) -> Path:
    """Save a small encoder without a head, and its tokenizer with [MASK], [unused0], [unused1] and `markers`."""
    double = "roberta" in model_type
    names = ("<s>", "</s>", "<pad>", "<unk>") if double else ("[CLS]", "[SEP]", "[PAD]", "[UNK]")
    mask = "<mask>" if double else "[MASK]"
    tokenizer = wordpiece(*names, double=double, extra=punctuation)
    tokenizer.add_special_tokens([mask])
    tokenizer.add_tokens([AddedToken(m, normalized=False) for m in ("[unused0]", "[unused1]")])
    tokenizer.add_tokens([AddedToken(m, normalized=False) for m in markers])
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=LIMIT, mask_token=mask,
        cls_token=names[0], sep_token=names[1], pad_token=names[2], unk_token=names[3],
        model_input_names=["input_ids", "attention_mask"] + ([] if double else ["token_type_ids"]),
    )  # fmt: skip
    sizes = {
        "vocab_size": len(wrapped), "hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 2 * WIDTH, "max_position_embeddings": LIMIT + double, "pad_token_id": 0,
    }  # fmt: skip
    if model_type != "modernbert":
        sizes["type_vocab_size"] = 1 if double else 2
    own = {k: v for k, v in OWN.get(model_type, {}).items() if k != "embedding_size"}
    model = AutoModel.from_config(CONFIG_MAPPING[model_type](**(sizes | own))).eval()
    with torch.no_grad():
        for seed, (name, tensor) in enumerate(sorted(model.named_parameters())):
            base = 1.0 if tensor.ndim == 1 and name.endswith("weight") else 0.0  # of a norm
            tensor.copy_(torch.from_numpy(seeded(tuple(tensor.shape), seed, 0.1 if base else 0.4) + np.float32(base)))
    model.save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return folder


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def stanford(folder: Path, **metadata: object) -> Path:
    """The layout of colbert-ai: one file of weights, architecture HF_ColBERT, artifact.metadata."""
    encoder(folder)
    tensors = {f"bert.{name}": t for name, t in load_file(folder / "model.safetensors").items()}
    save_file(tensors | {"linear.weight": seeded((OUT, WIDTH), 99)}, folder / "model.safetensors")
    write(folder / "config.json", json.loads((folder / "config.json").read_text()) | {"architectures": ["HF_ColBERT"]})
    known = {"query_maxlen": 16, "doc_maxlen": 24, "mask_punctuation": True, "attend_to_mask_tokens": False, "dim": OUT}
    write(folder / "artifact.metadata", known | metadata)
    return folder


def pylate(folder: Path, model_type: str = "bert", **settings: object) -> Path:
    """The layout that PyLate 1.6 saves: Transformer and Dense, settings in config_sentence_transformers.json."""
    encoder(folder, model_type, ("[Q] ", "[D] "))
    write(folder / "modules.json", [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"},
    ])  # fmt: skip
    write(folder / "sentence_bert_config.json", {"max_seq_length": 23, "do_lower_case": False})
    write(folder / "1_Dense" / "config.json", {
        "in_features": WIDTH, "out_features": OUT, "bias": False, "use_residual": False,
        "activation_function": "torch.nn.modules.linear.Identity",
    })  # fmt: skip
    save_file({"linear.weight": seeded((OUT, WIDTH), 99)}, folder / "1_Dense" / "model.safetensors")
    known = {
        "__version__": {"sentence_transformers": "5.3.0"}, "model_type": "ColBERT", "prompts": {},
        "default_prompt_name": None, "similarity_fn_name": "MaxSim", "query_prefix": "[Q] ", "document_prefix": "[D] ",
        "query_length": 16, "document_length": 24, "attend_to_expansion_tokens": False, "do_query_expansion": True,
        "skiplist_words": list(string.punctuation),
    }  # fmt: skip
    write(folder / "config_sentence_transformers.json", known | settings)
    return folder


def embedder_modules(folder: Path, pooling: str) -> Path:
    """Beside an encoder, what sentence-transformers writes of an embedder that pools so and gives length 1."""
    write(folder / "modules.json", [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ])  # fmt: skip
    write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": WIDTH, f"pooling_mode_{pooling}": True})
    write(folder / "sentence_bert_config.json", {"max_seq_length": LIMIT, "do_lower_case": False})
    return folder


def sentence_transformer(folder: Path) -> Path:
    """The layout that sentence-transformers saves an embedder in: an encoder, the mean of its tokens, length 1."""
    encoder(folder)
    return embedder_modules(folder, "mean_tokens")


# Settings that golden values were made with (tests/golden/make_late.py).
PYLATE: dict[str, dict[str, object]] = {
    "default": {},
    "attended": {"attend_to_expansion_tokens": True},
    "no-expansion": {"do_query_expansion": False},
    "no-prefix": {"query_prefix": "", "document_prefix": "", "skiplist_words": []},
}
STANFORD: dict[str, dict[str, object]] = {
    "default": {},
    "attended": {"attend_to_mask_tokens": True},  # without mask_punctuation colbert-ai 0.2.22 fails: no skiplist
}


def bge_m3(folder: Path, dtype: torch.dtype = torch.float32) -> Path:
    """The layout of bge-m3: an XLM-R in pytorch_model.bin, two heads as torch.save writes them, modules.json."""
    encoder(folder, "xlm-roberta")
    torch.save(AutoModel.from_pretrained(folder).state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    head = torch.nn.Linear(WIDTH, WIDTH)  # square, as FlagEmbedding wants it
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(seeded((WIDTH, WIDTH), 98)))
        head.bias.copy_(torch.from_numpy(seeded((WIDTH,), 99)))
    torch.save(head.to(dtype).state_dict(), folder / "colbert_linear.pt")
    torch.save(torch.nn.Linear(WIDTH, 1).state_dict(), folder / "sparse_linear.pt")
    return embedder_modules(folder, "cls_token")


def nested(folder: Path) -> Path:
    """The layout of older saves: the encoder, its tokenizer and its settings in a folder of their own."""
    inner = folder / "0_Transformer"
    inner.mkdir()
    names = ("config.json", "model.safetensors", "sentence_bert_config.json")
    for path in [*(folder / n for n in names), *folder.glob("*token*.json")]:
        path.rename(inner / path.name)
    modules = json.loads((folder / "modules.json").read_text())
    write(folder / "modules.json", [modules[0] | {"path": inner.name}, *modules[1:]])
    return folder
