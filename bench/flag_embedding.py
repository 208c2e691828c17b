"""What FlagEmbedding does with a pair: its token ids, and its scores of a checkpoint.

    flag_embedding.py golden                     writes tests/data/golden_inputs.json
    flag_embedding.py scores FOLDER single|double  reads JSON pairs from stdin, prints JSON scores
    flag_embedding.py colbert FOLDER             the same, of bge-m3's second head

Needs an environment of its own, since FlagEmbedding 1.4.0 wants Transformers 4: `make parity` builds it. The tokenizers
are the tests' own, as BERT's and XLM-R's classes: FlagEmbedding builds pairs in those classes' Python.
"""

import json
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import torch
from FlagEmbedding.inference.reranker.encoder_only.base import BaseReranker
from tokenizers import Tokenizer
from transformers import (
    AutoModelForSequenceClassification,
    BertTokenizerFast,
    PreTrainedTokenizerFast,
    XLMRobertaTokenizerFast,
)

sys.path.insert(0, str(Path(__file__).parents[1]))
LIMIT = 64
OUT = Path(__file__).parents[1] / "tests" / "data" / "golden_inputs.json"
PAIRS = {
    "short": ("what is the capital?", "oslo"),
    "over-long document": ("where is the lamp", "water bread lamp oslo " * 40),
    "over-long query": ("where is the lamp and the bread " * 30, "oslo is north"),
    "both over-long": ("north south city " * 40, "bread and water in oslo " * 40),
    "query over three quarters, pair fits": ("lamp " * 50, "oslo"),
    "nearly full": ("lamp " * 20, "bread " * 41),
    "punctuation": ("how? what! 1871.", "it's in oslo, the city - north."),
}


class Recorded(Exception):
    """Carries the inputs out of the library before it runs a model."""


def like_a_reranker(tokenizer: PreTrainedTokenizerFast, model: object) -> SimpleNamespace:
    """What FlagEmbedding's scoring reads from `self`, with its defaults but for the length."""
    return SimpleNamespace(
        tokenizer=tokenizer, model=model, batch_size=8, max_length=LIMIT, query_max_length=None, normalize=False,
        target_devices=["cpu"], use_fp16=False,
    )  # fmt: skip


def golden_ids(tokenizer: PreTrainedTokenizerFast, query: str, document: str) -> tuple[list[int], list[int]]:
    """What FlagEmbedding's reranker gives its model for a pair."""

    def model(**inputs: torch.Tensor) -> None:
        raise Recorded(inputs)

    model.to = lambda device: None
    model.eval = lambda: None
    reranker = like_a_reranker(tokenizer, model)
    try:
        BaseReranker.compute_score_single_gpu(reranker, [(query, document)])
    except Recorded as recorded:
        return read(recorded.args[0])
    raise AssertionError("the model was not called")


def read(inputs: dict) -> tuple[list[int], list[int]]:
    ids = torch.as_tensor(inputs["input_ids"]).flatten().tolist()
    segments = inputs.get("token_type_ids")
    return ids, [0] * len(ids) if segments is None else torch.as_tensor(segments).flatten().tolist()


def tokenizer(kind: str, double: bool) -> PreTrainedTokenizerFast:
    from tests.tiny_tokenizers import TOKENIZERS

    names = ("<s>", "</s>", "<pad>", "<unk>") if double else ("[CLS]", "[SEP]", "[PAD]", "[UNK]")
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/tokenizer.json"
        TOKENIZERS[kind](*names, double=double).save(path)
        shared = {
            "tokenizer_file": path, "model_max_length": LIMIT, "pad_token": names[2], "unk_token": names[3],
            "cls_token": names[0], "sep_token": names[1], "bos_token": names[0], "eos_token": names[1],
        }  # fmt: skip
        if kind == "unigram" and double:
            made = XLMRobertaTokenizerFast(**shared, mask_token="<unk>")
        elif kind == "wordpiece" and not double:
            made = BertTokenizerFast(**shared, mask_token="[UNK]", do_lower_case=True)
        else:
            names_given = ["input_ids", "attention_mask"] + ([] if double else ["token_type_ids"])
            made = PreTrainedTokenizerFast(**shared, model_input_names=names_given)
        made._tokenizer = Tokenizer.from_file(path)  # the classes put their own normaliser and template in
    return made


def golden() -> None:
    golden: dict = {"max_tokens": LIMIT, "only_second": {}, "longest_first": {}}
    for kind in ("wordpiece", "unigram", "byte_level"):
        for double in (False, True):
            own, case = tokenizer(kind, double), f"{kind} {'double' if double else 'single'}"
            first, second = [], []
            for name, (query, document) in PAIRS.items():
                pair = {"name": name, "query": query, "document": document}
                ids, segments = read(own(query, document, truncation=True, max_length=LIMIT))
                first.append({**pair, "ids": ids, "segments": segments})
                ids, segments = golden_ids(own, query, document)
                second.append({**pair, "ids": ids, "segments": segments})
            golden["longest_first"][case] = first
            if case in ("wordpiece single", "unigram double"):
                golden["only_second"][case] = second
    OUT.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(f"{OUT}: {len(OUT.read_text())} characters")


def scores(folder: str, double: bool) -> None:
    own = tokenizer("unigram" if double else "wordpiece", double)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    pairs = [tuple(pair) for pair in json.load(sys.stdin)]
    found = BaseReranker.compute_score_single_gpu(like_a_reranker(own, model), pairs)
    print(json.dumps(found))


def colbert(folder: str) -> None:
    from FlagEmbedding.inference.embedder.encoder_only.m3 import M3Embedder

    model = M3Embedder(folder, use_fp16=False, devices="cpu")
    asked = {"max_length": LIMIT, "return_dense": False, "return_sparse": False, "return_colbert_vecs": True}
    queries, documents = (
        model.encode_single_device(list(texts), device="cpu", **asked)["colbert_vecs"]
        for texts in zip(*json.load(sys.stdin), strict=True)
    )
    print(json.dumps([model.colbert_score(q, d).item() for q, d in zip(queries, documents, strict=True)]))


if __name__ == "__main__":
    if sys.argv[1] == "golden":
        golden()
    elif sys.argv[1] == "colbert":
        colbert(sys.argv[2])
    else:
        scores(sys.argv[2], sys.argv[3] == "double")
