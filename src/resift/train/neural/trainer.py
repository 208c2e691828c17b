"""The trainer of sentence-transformers with batches that are counted in pairs, and checkpoints that load strictly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers.base.sampler import DefaultBatchSampler, NoDuplicatesBatchSampler
from sentence_transformers.base.trainer import BaseTrainer
from torch import Tensor
from torch.utils.data import RandomSampler

from resift.errors import BrokenModel
from resift.train.neural.guard import Guard
from resift.train.neural.layerwise import INNER_HEADS
from resift.train.neural.plan import Plan
from resift.train.neural.trainable import BaseModel

HEAD_RATE = 1e-3  # the least of new inner heads: at the rate of the encoder, one at layer 2 learns nothing in 500 steps
WEIGHTS = "weights.safetensors"


class Guarded(BaseTrainer):
    """What the trainers of all kinds of models have in common: rows of several sizes, and a guard.

    Args:
        rows_per_batch: by the columns of a data set, so that each batch has about as many pairs.
        guard: is told of a loss that is no number.
        arguments: of the trainer of sentence-transformers.

    """

    def __init__(self, rows_per_batch: Mapping[tuple[str, ...], int], guard: Guard, **arguments: Any) -> None:  # noqa: ANN401
        super().__init__(**arguments)
        self._rows_per_batch, self._guard = rows_per_batch, guard

    def get_batch_sampler(
        self,
        dataset: Any,  # noqa: ANN401
        batch_size: int,
        drop_last: bool,
        valid_label_columns: list[str] | None = None,
        generator: torch.Generator | None = None,
        seed: int = 0,
    ) -> Any:  # noqa: ANN401
        """Random batches; where other queries' documents are negatives, no text comes twice in a batch."""
        columns = tuple(name for name in dataset.column_names if name != "dataset_name")
        size = min(self._rows_per_batch[columns], len(dataset))
        common = {
            "batch_size": size, "drop_last": drop_last, "valid_label_columns": valid_label_columns,
            "generator": generator, "seed": seed,
        }  # fmt: skip
        if "positive" in columns and "label" not in columns:
            return NoDuplicatesBatchSampler(dataset, **common)
        return DefaultBatchSampler(RandomSampler(dataset, generator=generator), **common)

    def compute_loss(
        self,
        model: Any,  # noqa: ANN401
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """The loss; where it is no number, training stops after the step, in which it changes nothing."""
        result = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        loss = result[0] if return_outputs else result
        if torch.isfinite(loss):
            return result
        self._guard.stop("the loss is no finite number; take a smaller learning rate, or --precision f32")
        still = sum(parameter.sum() for parameter in model.parameters() if parameter.requires_grad)
        zero = torch.nan_to_num(still * 0.0)
        return (zero, result[1]) if return_outputs else zero

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:  # noqa: ANN401
        """Write the weights of a checkpoint, adapters and head included."""
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(state_of(self.model), folder / WEIGHTS)

    def _load_from_checkpoint(self, checkpoint_path: str) -> None:
        load_state(self.model, Path(checkpoint_path))


def state_of(model: torch.nn.Module) -> dict[str, Tensor]:
    """All tensors of a model by name, each in memory of its own."""
    return {name: value.detach().cpu().clone().contiguous() for name, value in model.state_dict().items()}


def load_state(model: torch.nn.Module, folder: Path) -> None:
    """Put the weights of a checkpoint into a model; every tensor has to be there.

    Raises:
        BrokenModel: tensors are missing or of other sizes.

    """
    try:
        model.load_state_dict(load_file(folder / WEIGHTS), strict=True)
    except (OSError, RuntimeError, KeyError) as error:
        raise BrokenModel(f"{folder} is no checkpoint of this model ({error}); start without --resume") from error


def arguments_of(plan: Plan, base: BaseModel, folder: Path, precision: str) -> Any:  # noqa: ANN401
    """The arguments of a plan for the trainer of sentence-transformers; nothing is reported to anybody else."""
    settings = plan.settings
    return base.kind.arguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        max_steps=plan.steps,
        gradient_accumulation_steps=settings.accumulation,
        learning_rate=settings.learning_rate,
        learning_rate_mapping={INNER_HEADS: max(HEAD_RATE, settings.learning_rate)} if base.new_layers else {},
        warmup_steps=round(settings.warmup * plan.steps),
        bf16=precision == "bf16",
        use_cpu=base.model.device.type == "cpu",
        prompts=dict(base.prompts),
        eval_strategy="steps",
        eval_steps=plan.every,
        save_strategy="steps",
        save_steps=plan.every,
        save_total_limit=2,
        metric_for_best_model=f"eval_{plan.measures.first}",
        greater_is_better=True,
        load_best_model_at_end=False,
        logging_steps=max(1, plan.every // 10),  # for callbacks; nothing is printed
        disable_tqdm=True,
        report_to="none",
        seed=settings.seed,
        data_seed=settings.seed,
        dataloader_pin_memory=False,
    )
