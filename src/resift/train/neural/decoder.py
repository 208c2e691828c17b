"""Decoders as rerankers in training: a prompt with query and document, and the logit of "yes" minus that of "no".

The prompt is that of Qwen3-Reranker. Resift does not score with such models yet: what is written is a folder of
sentence-transformers (`CrossEncoder` with a `LogitScore`), and is proved by it alone.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from sentence_transformers.base.modules import Transformer
from sentence_transformers.cross_encoder.modules import LogitScore
from torch import nn

from resift.errors import BrokenModel, InputError, UnknownFamily
from resift.models.folder import ModelFolder
from resift.train.neural.adapters import with_decoder_adapters
from resift.train.neural.base_model import loading_of, quiet, readable, tokens_of
from resift.train.neural.cross_encoder import CrossEncoders, written
from resift.train.neural.grouped import CPU_BUDGET, GPU_BUDGET, GroupedCrossEncoder
from resift.train.neural.seen import ends
from resift.train.neural.trainable import BaseModel, Floats, Pairs, SeenTexts

YES, NO = "yes", "no"
SYSTEM = (
    "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
    'Note that the answer can only be "yes" or "no".'
)
INSTRUCT = "Given a web search query, retrieve relevant passages that answer the query"
_ROOM = 16  # tokens of query and document, at least
_NOTE = (
    "Resift does not score with decoders yet: run what is written with sentence-transformers, "
    "CrossEncoder(folder).predict(pairs)"
)


class Decoders(CrossEncoders):
    """See `Trainable`."""

    def fits(self, model: Any, pair: tuple[str, str]) -> bool:  # noqa: ANN401
        """Whether the prompt with both texts is not over the longest input."""
        return not self.seen(model, pair).cut

    def write(self, base: BaseModel, folder: Path, name: str, probes: Pairs) -> dict[str, tuple[Floats, Floats]]:
        """Write the layout of sentence-transformers; adapters are merged, in memory too."""
        expected = self.score(base.model, probes)
        return {"sentence-transformers": (expected, self.score(written(base, folder), probes))}

    def seen(self, model: Any, pair: tuple[str, str]) -> SeenTexts:  # noqa: ANN401
        """The prompt: what stands before the query, the query, between, the document, and behind it."""
        query, document = pair
        text = prompt_of(model, query, document)
        with quiet():
            whole = model.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
            ids = model.preprocess([pair])["input_ids"][0].tolist()
        cut = max(0, len(whole["input_ids"]) - len(ids))
        starts, seams = [start for start, _ in whole["offset_mapping"]], []
        at = text.index(query)
        for part in (query, document):
            at = text.index(part, at)
            seams += [_first(starts, at), _first(starts, at + len(part))]
            at += len(part)
        seams[3] = max(seams[2], seams[3] - cut)  # the end of the document is what is cut
        tokens = model.tokenizer.convert_ids_to_tokens(ids)
        parts = [tokens[start:end] for start, end in zip([0, *seams], [*seams, len(tokens)], strict=True)]
        return SeenTexts(" | ".join(" ".join(ends(part)) for part in parts), len(ids), cut)


TRAINABLE = Decoders()


def prompt_of(model: Any, query: str, document: str) -> str:  # noqa: ANN401
    """What a decoder reads of a pair, before anything is cut."""
    messages = [{"role": "query", "content": query}, {"role": "document", "content": document}]
    return str(model.tokenizer.apply_chat_template(messages, tokenize=False))


def is_decoder(folder: ModelFolder) -> bool:
    """Whether a folder holds a causal language model."""
    names = folder.encoder.config.get("architectures") or ()
    return any(str(name).endswith("ForCausalLM") for name in names)


def open_decoder(folder: ModelFolder, outputs: int, max_tokens: int | None, precision: str, lora: int = 0) -> BaseModel:
    """Open a causal language model to train it as a reranker; for the arguments see `cross_encoder.open_base`.

    Raises:
        BrokenModel: it can't be read.
        UnknownFamily: "yes" and "no" are no single tokens, or nothing can fill a batch up.
        InputError: the loss needs two outputs, or max_tokens is out of range.

    """
    if outputs != 1:
        raise InputError(f"{folder} is a decoder, which gives one logit, and the loss ce needs two; take bce")
    tokens = tokens_of(folder, max_tokens)
    reopen = partial(_opened, folder, tokens, precision)
    model = reopen()
    prompt = len(model.tokenizer(prompt_of(model, "", ""), add_special_tokens=False, verbose=False)["input_ids"])
    if tokens < prompt + _ROOM:
        raise InputError(
            f"the prompt of {folder} has {prompt} tokens without the texts; max_tokens is {prompt + _ROOM} at least, "
            f"not {tokens}"
        )
    adapted = with_decoder_adapters(model, lora) if lora else None
    model.set_keep_in_fp32_modules(_heads(model))
    notes = [_NOTE]
    if not _is_reranker(folder):
        notes.append(
            f"the base is no reranker yet: it gets the prompt of Qwen3-Reranker, and a score is the logit of {YES!r} "
            f"minus that of {NO!r} as the next token"
        )
    return BaseModel(TRAINABLE, model, folder, adapted=adapted, notes=tuple(notes), reopen=reopen)


def _is_reranker(folder: ModelFolder) -> bool:
    return folder.modules is not None and any(module.kind == "LogitScore" for module in folder.modules.modules)


def _opened(folder: ModelFolder, tokens: int, precision: str) -> GroupedCrossEncoder:
    if _is_reranker(folder):
        with readable(folder):
            model = GroupedCrossEncoder(
                str(folder.path), max_length=tokens, local_files_only=True, trust_remote_code=False,
                activation_fn=nn.Identity(), model_kwargs=loading_of(precision),
            )  # fmt: skip
    else:
        model = _with_prompt(folder, precision)
        model.max_seq_length = tokens
    model.token_budget = GPU_BUDGET if model.device.type == "cuda" else CPU_BUDGET
    return model


def _with_prompt(folder: ModelFolder, precision: str) -> GroupedCrossEncoder:
    """A reranker of a plain language model."""
    from transformers import AutoTokenizer

    with readable(folder):
        tokenizer = AutoTokenizer.from_pretrained(str(folder.path), local_files_only=True)
        answers = [tokenizer.encode(word, add_special_tokens=False) for word in (YES, NO)]
        if any(len(ids) != 1 or ids[0] == tokenizer.unk_token_id for ids in answers) or answers[0] == answers[1]:
            raise UnknownFamily(
                f"{folder} has no single token for {YES!r} and for {NO!r}, so their logits are no score; give another "
                "decoder"
            )
        padding = tokenizer.pad_token or tokenizer.eos_token
        if padding is None:
            raise UnknownFamily(f"{folder} has neither a token for padding nor one for the end; give another decoder")
        transformer = Transformer(
            str(folder.path), transformer_task="text-generation",
            model_kwargs=loading_of(precision) | {"local_files_only": True},
            processor_kwargs={
                "local_files_only": True, "pad_token": padding, "chat_template": template_for(tokenizer.get_vocab()),
            },
        )  # fmt: skip
        score = LogitScore(true_token_id=answers[0][0], false_token_id=answers[1][0])
        return GroupedCrossEncoder(modules=[transformer, score], activation_fn=nn.Identity())


def template_for(vocabulary: dict[str, int]) -> str:
    """The prompt of Qwen3-Reranker as a chat template.

    Marks of a chat stand in it where the vocabulary has them; else its parts are lines, and "Answer:" is the last.

    Qwen team, Qwen3 Embedding (2025).
    """
    chat = "<|im_start|>" in vocabulary and "<|im_end|>" in vocabulary
    thinks = "<think>\n\n</think>\n\n" if "<think>" in vocabulary else ""
    head = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n" if chat else f"{SYSTEM}\n"
    tail = f"<|im_end|>\n<|im_start|>assistant\n{thinks}" if chat else "\nAnswer:"
    contents = {role: f"messages | selectattr('role', 'eq', '{role}') | map(attribute='content') | first"
                for role in ("system", "query", "document")}  # fmt: skip
    return (
        f"{{{{- {json.dumps(head)} -}}}}"
        f"{{{{- '<Instruct>: ' ~ ({contents['system']} | default({json.dumps(INSTRUCT)}, true)) -}}}}"
        f"{{{{- '\\n<Query>: ' ~ ({contents['query']}) -}}}}"
        f"{{{{- '\\n<Document>: ' ~ ({contents['document']}) -}}}}"
        f"{{{{- {json.dumps(tail)} -}}}}"
    )


def _heads(model: GroupedCrossEncoder) -> list[str]:
    """Paths of what turns the last hidden state into logits; it stays in f32 under autocast, else scores tie."""
    inner: Any = model[0].model
    head = inner.get_output_embeddings()
    paths = [path for path, module in model.named_modules() if module is head and type(module) is nn.Linear]
    if not paths:
        raise BrokenModel(f"the decoder {inner.config.name_or_path} has no linear output layer; give another")
    return paths[:1]


def _first(starts: list[int], place: int) -> int:
    """The first token that begins at a character or behind it."""
    return next((i for i, start in enumerate(starts) if start >= place), len(starts))
