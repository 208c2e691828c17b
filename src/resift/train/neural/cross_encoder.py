"""Cross-encoders in training: opened with a head in f32, scored as raw logits, written with a contract.

Whether the head is new decides what its scores mean: those of a new head are chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
from torch import nn

from resift.errors import InputError, UnknownFamily
from resift.models.contract import Contract, Golden
from resift.models.folder import ModelFolder
from resift.models.inner_heads import heads_of
from resift.models.inputs import EncoderInput
from resift.models.recognition import contract_of
from resift.train.neural.adapters import head_names, with_adapters
from resift.train.neural.base_model import loading_of, quiet, readable, tokens_of, torch_folder
from resift.train.neural.grouped import CPU_BUDGET, GPU_BUDGET, GroupedCrossEncoder, score_pairs
from resift.train.neural.layerwise import LayerwiseCrossEncoder, attach_heads, inner_outputs
from resift.train.neural.plan import Plan
from resift.train.neural.reading_again import resift_scores
from resift.train.neural.seen import seen_together
from resift.train.neural.trainable import BaseModel, Floats, Pairs, SeenTexts
from resift.train.neural.trainer import Guarded

_GOLDEN = 3


class RerankerTrainer(Guarded, CrossEncoderTrainer):
    """`CrossEncoderTrainer` for rows of several sizes; see `Guarded`."""


class CrossEncoders:
    """See `Trainable`."""

    logits = True
    trainer, arguments = RerankerTrainer, CrossEncoderTrainingArguments

    def open(self, plan: Plan, precision: str) -> BaseModel:
        """See `open_base`."""
        settings = plan.settings
        return open_base(
            settings.base, plan.outputs, settings.max_tokens, precision, settings.lora, settings.heads, settings.merge
        )

    def score(self, model: Any, pairs: Pairs, bf16: bool = False) -> Floats:  # noqa: ANN401
        """See `score_pairs`."""
        return score_pairs(model, pairs, bf16)

    def fits(self, model: Any, pair: tuple[str, str]) -> bool:  # noqa: ANN401
        """Whether a pair is not over the longest input."""
        limit = model.max_seq_length or 1 << 30
        return len(model.tokenizer(*pair, verbose=False)["input_ids"]) <= limit

    def write(self, base: BaseModel, folder: Path, name: str, probes: Pairs) -> dict[str, tuple[Floats, Floats]]:
        """Write the layout of sentence-transformers with a contract; adapters are merged, in memory too."""
        model = base.model
        expected = score_pairs(model, probes)
        outputs = {"sentence-transformers": (expected, score_pairs(written(base, folder), probes))}
        try:
            contract = replace(_contract(folder), name=name, max_tokens=int(model.max_seq_length or 512))
        except UnknownFamily:
            return outputs  # an architecture that Resift does not run: it stays a model of sentence-transformers
        if isinstance(model, LayerwiseCrossEncoder):
            contract = replace(contract, input=replace(contract.input_as(EncoderInput), heads=model.heads))
        golden = tuple(Golden(q, d, float(s)) for (q, d), s in zip(probes[:_GOLDEN], expected[:_GOLDEN], strict=False))
        replace(contract, window_tokens=contract.max_tokens, golden=golden).write(folder)
        outputs["resift"] = expected, resift_scores(folder, probes)
        return outputs | (inner_outputs(model, folder, probes) if isinstance(model, LayerwiseCrossEncoder) else {})

    def seen(self, model: Any, pair: tuple[str, str]) -> SeenTexts:  # noqa: ANN401
        """See `seen_together`."""
        return seen_together(model, pair)


TRAINABLE = CrossEncoders()


def written(base: BaseModel, folder: Path) -> GroupedCrossEncoder:
    """Write the layout of sentence-transformers, with adapters merged in memory too, and load it again."""
    model = base.model
    model.set_keep_in_fp32_modules([])
    if base.adapted is not None:
        with quiet():
            model[0].model = base.adapted.merge_and_unload()
    model.activation_fn = nn.Sigmoid() if model.num_labels == 1 else nn.Identity()  # of `predict` alone
    with quiet():
        model.save(str(folder), create_model_card=False)
        model.activation_fn = nn.Identity()
        return GroupedCrossEncoder(str(folder), local_files_only=True, device=str(model.device))


def open_base(
    name: str,
    outputs: int,
    max_tokens: int | None,
    precision: str,
    lora: int = 0,
    heads: Sequence[int] = (),
    merge: bool = True,
) -> BaseModel:
    """Open a model to train it.

    Args:
        name: folder or hub id.
        outputs: of the head, 1 or 2.
        max_tokens: the longest pair; None: the model's limit, 512 at most.
        precision: "bf16" makes attention eager on a CPU, which is faster there.
        lora: the rank of adapters; 0: none.
        heads: layers of heads besides the last one; none: those that the model has.
        merge: whether adapters are merged in the end.

    Raises:
        NotAModel: no such model.
        BrokenModel: it has no weights that torch reads.
        UnknownFamily: it is no encoder, or puts a prompt before its texts.
        InputError: its head has another number of outputs, max_tokens is out of range, or it has no such layer;
            or an adapter alone is to be written of a model with several heads.

    """
    folder = torch_folder(name)
    if folder.modules is not None and folder.modules.settings.get("default_prompt_name"):
        raise UnknownFamily(f"{folder} puts a prompt before its texts, which Resift does not do yet; give another")
    fresh = _outputs(folder) == 0
    if not fresh and _outputs(folder) != outputs:
        raise InputError(
            f"{folder} has a head of {_outputs(folder)} outputs, and the loss needs {outputs}; choose another loss "
            "(`ce` needs 2, all others 1), or begin with a bare encoder"
        )
    layers = tuple(heads) or tuple(head.layer for head in heads_of(folder))
    if layers and lora and not merge:
        raise InputError("an adapter alone has no place for heads at inner layers; write the merged model")
    reopen = partial(_opened, folder, outputs, tokens_of(folder, max_tokens), precision, bool(layers))
    model = reopen()
    adapted = with_adapters(model, lora) if lora else None
    new = attach_heads(model, folder, layers) if isinstance(model, LayerwiseCrossEncoder) else ()
    model.set_keep_in_fp32_modules(_head_linears(model))
    return BaseModel(TRAINABLE, model, folder, fresh, adapted, notes=_notes(new), reopen=reopen, new_layers=new)


def _notes(new: Sequence[int]) -> tuple[str, ...]:
    if not new:
        return ()
    at = ", ".join(map(str, new))
    return (f"heads at layer {at} are new, so trained weights are not mixed with those of the base",)


def _outputs(folder: ModelFolder) -> int:
    """The outputs of the head that a folder has; 0 where it has none."""
    if folder.has_modular_head and folder.modules is not None and folder.modules.scores_pairs:
        return int(folder.modules.modules[-1].settings.get("out_features") or 1)
    config = folder.encoder.config
    if not any(name.endswith("ForSequenceClassification") for name in config.get("architectures") or ()):
        return 0
    return len(config.get("id2label") or ()) or int(config.get("num_labels") or 2)


def _opened(folder: ModelFolder, outputs: int, tokens: int, precision: str, layerwise: bool) -> GroupedCrossEncoder:
    make = LayerwiseCrossEncoder if layerwise else GroupedCrossEncoder
    with readable(folder):
        model = make(
            str(folder.path), num_labels=outputs, max_length=tokens, local_files_only=True, trust_remote_code=False,
            activation_fn=nn.Identity(), model_kwargs=loading_of(precision),
        )  # fmt: skip
    model.token_budget = GPU_BUDGET if model.device.type == "cuda" else CPU_BUDGET
    return model


def _head_linears(model: GroupedCrossEncoder) -> list[str]:
    """Paths of the linear layers behind the encoder's base, which stay in f32 under autocast."""
    starts = tuple(f"0.model.{name}" for name in head_names(model))
    return [
        path
        for path, module in model.named_modules()
        if type(module) is nn.Linear
        and (not path.startswith("0.") or any(path == start or path.startswith(f"{start}.") for start in starts))
    ]


def _contract(folder: Path) -> Contract:
    """The contract of a folder, with the truncation of its training."""
    contract = contract_of(ModelFolder(folder))
    if not isinstance(contract.input, EncoderInput):
        raise UnknownFamily(f"{folder} is no cross-encoder")
    return replace(contract, input=replace(contract.input, truncation="longest_first"))
