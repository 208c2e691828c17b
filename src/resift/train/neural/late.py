"""Late interaction in training: opened with its projection, scored by MaxSim, written with a contract.

An encoder without a projection gets one: the principal axes of its own token vectors, so that it begins near the
cosines that it has, and its scores are not chance.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import MultiVectorEncoder, MultiVectorEncoderTrainer, MultiVectorEncoderTrainingArguments
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from torch import Tensor, nn

from resift.errors import UnknownFamily
from resift.models.contract import Contract, Golden
from resift.models.folder import ModelFolder
from resift.models.inputs import LateInput
from resift.models.recognition import contract_of
from resift.score.load import find_model
from resift.score.pairs import whole_text
from resift.train.neural import own_late
from resift.train.neural.base_model import loading_of, quiet, readable, tokens_of, torch_folder
from resift.train.neural.embedder import column_prompts, prompts_of
from resift.train.neural.grouped import run_in_groups
from resift.train.neural.plan import Plan
from resift.train.neural.reading_again import resift_scores
from resift.train.neural.seen import seen_apart
from resift.train.neural.trainable import BaseModel, Floats, Pairs, SeenTexts
from resift.train.neural.trainer import Guarded
from resift.train.neural.vector_scores import score_by_maxsim

_GOLDEN = 3
_SAMPLE = 512  # texts whose token vectors give the axes of a new projection
TOKENS = "token_embeddings"


class LateTrainer(Guarded, MultiVectorEncoderTrainer):
    """`MultiVectorEncoderTrainer` for rows of several sizes; see `Guarded`."""


class LateInteractions:
    """See `Trainable`."""

    logits = False
    trainer, arguments = LateTrainer, MultiVectorEncoderTrainingArguments

    def open(self, plan: Plan, precision: str) -> BaseModel:
        """Open a late-interaction model, an embedder's encoder, or a bare one."""
        own = ModelFolder(find_model(plan.settings.base))
        if own.has_contract and own.modules is None and (contract := _contract(own)) is not None:
            return _open_own(own, contract, plan, precision)
        folder = torch_folder(plan.settings.base)
        tokens = tokens_of(folder, plan.settings.max_tokens)
        notes: list[str] = []
        with readable(folder):
            if _contract(folder) is not None:
                model = MultiVectorEncoder(
                    str(folder.path), local_files_only=True, trust_remote_code=False,
                    model_kwargs=loading_of(precision),
                )  # fmt: skip
            else:
                encoder = Transformer(
                    str(folder.encoder.path), model_kwargs=loading_of(precision) | {"local_files_only": True}
                )
                model = projected(encoder, _sample(plan), plan.settings.dims)
                notes.append(
                    f"the base has no projection: tokens begin with {model[1].out_features} principal axes of its own "
                    "token vectors"
                )
        model[0].max_seq_length = tokens
        model[0].document_length = min(tokens, model[0].document_length or tokens)
        run_in_groups(model)
        return BaseModel(self, model, folder, prompts=column_prompts(model, plan), notes=tuple(notes))

    def score(self, model: Any, pairs: Pairs, bf16: bool = False) -> Floats:  # noqa: ANN401
        """See `score_by_maxsim`."""
        return score_by_maxsim(model, pairs, bf16)

    def fits(self, model: Any, pair: tuple[str, str]) -> bool:  # noqa: ANN401
        """Whether neither text is cut."""
        return not self.seen(model, pair).cut

    def write(self, base: BaseModel, folder: Path, name: str, probes: Pairs) -> dict[str, tuple[Floats, Floats]]:
        """Write the layout of sentence-transformers with a contract."""
        expected = self.score(base.model, probes)
        with quiet():
            base.model.save(str(folder), create_model_card=False)
            again = MultiVectorEncoder(str(folder), local_files_only=True, device=str(base.model.device))
        outputs = {"sentence-transformers": (expected, self.score(again, probes))}
        contract = _contract(ModelFolder(folder))
        if contract is None:
            return outputs  # an architecture that Resift does not run: it stays a model of sentence-transformers
        golden = tuple(Golden(q, d, float(s)) for (q, d), s in zip(probes[:_GOLDEN], expected[:_GOLDEN], strict=False))
        replace(contract, name=name, golden=golden).write(folder)
        return outputs | {"resift": (expected, resift_scores(folder, probes))}

    def seen(self, model: Any, pair: tuple[str, str]) -> SeenTexts:  # noqa: ANN401
        """See `seen_apart`."""
        return seen_apart(model, pair, prompts_of(model))


TRAINABLE = LateInteractions()


class OwnLateInteractions(LateInteractions):
    """Those of Resift's own layout, which score and are written as their contract says."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract

    def score(self, model: Any, pairs: Pairs, bf16: bool = False) -> Floats:  # noqa: ANN401
        """MaxSim, and the cosine of pooled vectors with its share."""
        return own_late.score(model, pairs, self.contract, bf16)

    def write(self, base: BaseModel, folder: Path, name: str, probes: Pairs) -> dict[str, tuple[Floats, Floats]]:
        """See `own_late.write`."""
        return own_late.write(base.model, self.contract, folder, name, probes)


def _open_own(folder: ModelFolder, contract: Contract, plan: Plan, precision: str) -> BaseModel:
    model = own_late.restored(folder, contract, precision)
    model[0].max_seq_length = tokens_of(folder, plan.settings.max_tokens)
    run_in_groups(model)
    notes = ["the base's weights are rounded: training begins with those that the rounded ones stand for"]
    if contract.input_as(LateInput).pooled_share:
        notes.append("the loss trains MaxSim; the pooled vectors' share of the score is measured, and not trained")
    kind = OwnLateInteractions(contract)
    return BaseModel(kind, model, folder, prompts=column_prompts(model, plan), notes=tuple(notes))


def projected(encoder: Transformer, texts: list[str], dims: int) -> MultiVectorEncoder:
    """A late-interaction model of an encoder: mean MaxSim of projected tokens, without the tokenizer's special ones."""
    special = [token for token in (encoder.tokenizer.cls_token, encoder.tokenizer.sep_token) if token]
    mask = MultiVectorMask(skiplist_words=special, skiplist_tasks=["query", "document"])
    plain = MultiVectorEncoder(modules=[encoder, mask, Normalize(TOKENS)], similarity_fn_name="meanmaxsim")
    axes = principal_axes(plain, texts, dims)
    projection = Dense(axes.shape[1], axes.shape[0], bias=False, activation_function=nn.Identity(), init_weight=axes,
                       module_input_name=TOKENS)  # fmt: skip
    return MultiVectorEncoder(modules=[encoder, projection, mask, Normalize(TOKENS)], similarity_fn_name="meanmaxsim")


def principal_axes(model: MultiVectorEncoder, texts: list[str], dims: int) -> Tensor:
    """(dims, H) directions of the largest second moment of the token vectors of texts; of equal ones any."""
    vectors = torch.cat(model.encode_document(texts, show_progress_bar=False)).double()
    _, axes = torch.linalg.eigh(vectors.T @ vectors)
    first: Tensor = axes.flip(1)[:, :dims].T.float().contiguous()
    return first


def _sample(plan: Plan) -> list[str]:
    candidates = (c for each in plan.sets for query in each.queries for c in query.candidates)
    texts = dict.fromkeys(text for c in candidates if (text := whole_text(c.document)).strip())
    return list(texts)[:: max(1, len(texts) // _SAMPLE)][:_SAMPLE]


def _contract(folder: ModelFolder) -> Contract | None:
    """The contract of a folder as a late-interaction model; None where it is none."""
    try:
        contract = contract_of(folder)
    except UnknownFamily:
        return None
    return contract if isinstance(contract.input, LateInput) else None
