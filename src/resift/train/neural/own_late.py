"""Late interaction of Resift's own layout in training: restored from its rounded weights, with its pooled vector.

Such a folder compares the tokens of the text alone, without special tokens and prefixes, and gives the cosine of pooled
vectors a share of the score. sentence-transformers has no name for either, so both are modules of this training, and
contract.json says them in what is written.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from sentence_transformers.sentence_transformer.modules import Pooling
from torch import Tensor, nn

from resift.engine.weights.checkpoint_files import read_weights, weight_files
from resift.engine.weights.onnx_weights import names_matrices, read_onnx_weights
from resift.errors import BrokenModel, UnknownFamily
from resift.models.contract import Contract, Golden
from resift.models.folder import ModelFolder
from resift.models.inputs import LateInput
from resift.train.neural.base_model import loading_of, quiet
from resift.train.neural.reading_again import resift_scores
from resift.train.neural.trainable import Floats, Pairs
from resift.train.neural.vector_scores import score_by_maxsim, score_with_pooled

_GOLDEN = 3
_QUERY_WEIGHTS = "query_weights"
TOKENS = "token_embeddings"


class TextMask(MultiVectorMask):
    """Compares the tokens between the prefix and the last special token, without those to be skipped."""

    def __init__(self, prefixes: dict[str, int], skip: tuple[int, ...]) -> None:
        super().__init__()
        self._prefixes, self._skip = prefixes, torch.tensor(skip, dtype=torch.long)

    def forward(self, features: dict[str, Tensor], task: str | None = None) -> dict[str, Tensor]:
        """Put the tokens that are compared in the place of those that are no padding."""
        mask = features["attention_mask"].bool().clone()
        last = mask.sum(dim=1) - 1
        mask[torch.arange(len(mask)), last] = False
        mask[:, : 1 + self._prefixes["query" if task == "query" else "document"]] = False
        mask &= ~torch.isin(features["input_ids"], self._skip.to(mask.device))
        return {**features, "attention_mask": mask}


def restored(folder: ModelFolder, contract: Contract, precision: str) -> MultiVectorEncoder:
    """The model of a folder, with the weights that its rounded ones stand for.

    Raises:
        UnknownFamily: it is no BERT, or has weights of query tokens.
        BrokenModel: its weights are not all there.

    """
    record = contract.input_as(LateInput)
    weights = _weights(folder)
    if folder.config.get("model_type") != "bert" or record.expand or record.query_marker or record.document_marker:
        raise UnknownFamily(f"{folder} is trained further only where it is a BERT without markers and expansion")
    if not np.all(weights.pop(_QUERY_WEIGHTS, np.ones(1)) == 1):
        raise UnknownFamily(f"{folder} weighs the tokens of queries, which training does not do; give another base")
    projection = np.array(weights.pop("linear.weight"))
    with tempfile.TemporaryDirectory() as place, quiet():
        _write_encoder(folder, weights, Path(place))
        encoder = Transformer(place, model_kwargs=loading_of(precision) | {"local_files_only": True})
    prefixes = {"query": record.query_prefix, "document": record.document_prefix}
    sizes = {role: len(encoder.tokenizer.tokenize(prefix.strip())) for role, prefix in prefixes.items()}
    dense = _dense(torch.from_numpy(projection))
    modules = [encoder, Pooling(dense.in_features), dense, TextMask(sizes, record.skip), Normalize(TOKENS)]
    return MultiVectorEncoder(modules=modules, prompts=prefixes, similarity_fn_name="meanmaxsim")


def score(model: Any, pairs: Pairs, contract: Contract, bf16: bool = False) -> Floats:  # noqa: ANN401
    """(n,) scores as the contract says: MaxSim, and the cosine of pooled vectors with its share."""
    share = contract.input_as(LateInput).pooled_share
    return score_with_pooled(model, pairs, share, bf16) if share else score_by_maxsim(model, pairs, bf16)


def write(
    model: Any,  # noqa: ANN401
    contract: Contract,
    folder: Path,
    name: str,
    probes: Pairs,
) -> dict[str, tuple[Floats, Floats]]:
    """Write a folder that Resift loads by its contract, and sentence-transformers without what it has no name for.

    Resift's scores are compared before documents are rounded as an index stores them; golden scores are those after.
    """
    record, expected = contract.input_as(LateInput), score(model, probes, contract)
    encoder, _, dense, _, normalize = model
    special = [token for token in (encoder.tokenizer.cls_token, encoder.tokenizer.sep_token) if token]
    mask = MultiVectorMask(skiplist_words=special, skiplist_tasks=["query", "document"])
    plain = MultiVectorEncoder(
        modules=[encoder, dense, mask, normalize], prompts=model.prompts, similarity_fn_name="meanmaxsim"
    )
    with quiet():
        plain.save(str(folder), create_model_card=False)
        again = MultiVectorEncoder(str(folder), local_files_only=True, device=str(model.device))
    written = replace(contract, name=name, int8=False, golden=(), input=replace(record, rounded=False))
    written.write(folder)
    outputs = {"resift": (expected, resift_scores(folder, probes))}
    if not record.query_prefix and not record.document_prefix:
        outputs["sentence-transformers"] = score_by_maxsim(model, probes), score_by_maxsim(again, probes)
    written = replace(written, input=record)
    written.write(folder)
    scores = resift_scores(folder, probes[:_GOLDEN])
    golden = tuple(Golden(q, d, float(s)) for (q, d), s in zip(probes[:_GOLDEN], scores, strict=True))
    replace(written, golden=golden).write(folder)
    return outputs


def _weights(folder: ModelFolder) -> dict[str, Any]:
    """Tensors of encoder, projection and query tokens, by the names that a BERT has for them."""
    graph = folder.path / "model.onnx"
    try:
        if graph.exists():
            if not names_matrices(graph):
                raise BrokenModel(f"{graph} does not name its matrices; give a folder that Resift wrote")
            tensors = read_onnx_weights(graph)
            weights = {name.removeprefix("model.").removeprefix("bert."): value for name, value in tensors.items()}
            weights["linear.weight"] = weights.pop("projection.weight")
        else:
            weights = dict(read_weights(weight_files(folder.path)))
        weights["linear.weight"]
    except KeyError as error:
        raise BrokenModel(f"{folder} has no projection {error}; give a folder that Resift wrote") from error
    return weights


def _write_encoder(folder: ModelFolder, weights: dict[str, Any], place: Path) -> None:
    """The encoder and its tokenizer as Transformers has them."""
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    config = BertConfig(**{**folder.config, "add_pooling_layer": False})
    encoder = BertModel(config, add_pooling_layer=False)
    state = {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}
    absent, unknown = encoder.load_state_dict(state, strict=False)
    if unknown or {name for name in absent if not name.endswith(("position_ids", "token_type_ids"))}:
        raise BrokenModel(f"{folder} has other tensors than a BERT of its config: {sorted([*absent, *unknown])[:3]}")
    encoder.save_pretrained(place)
    names = _special_tokens(folder)
    limit = int(folder.config["max_position_embeddings"])
    PreTrainedTokenizerFast(
        tokenizer_file=str(folder.path / "tokenizer.json"), model_max_length=limit, **names,
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(place)  # fmt: skip


def _special_tokens(folder: ModelFolder) -> dict[str, str]:
    """The names of the special tokens: those of BERT or of RoBERTa, whichever the vocabulary has."""
    from tokenizers import Tokenizer

    vocabulary = Tokenizer.from_file(str(folder.path / "tokenizer.json")).get_vocab(with_added_tokens=True)
    for names in (("[CLS]", "[SEP]", "[PAD]", "[UNK]"), ("<s>", "</s>", "<pad>", "<unk>")):
        if all(name in vocabulary for name in names):
            return dict(zip(("cls_token", "sep_token", "pad_token", "unk_token"), names, strict=True))
    raise UnknownFamily(f"{folder} has special tokens of neither BERT nor RoBERTa, and is not trained further")


def _dense(weight: Tensor) -> Dense:
    return Dense(weight.shape[1], weight.shape[0], bias=False, activation_function=nn.Identity(), init_weight=weight,
                 module_input_name=TOKENS)  # fmt: skip
