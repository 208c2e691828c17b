"""Mixes the trained weights with those of the base, in the share that keeps most on dev."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from resift.train.neural.evaluator import ListEvaluator
from resift.train.neural.plan import Plan
from resift.train.neural.trainable import BaseModel
from resift.train.neural.trainer import state_of

SHARES = (1.0, 0.75, 0.5, 0.25)  # of the trained weights that are tried on dev; of equal ones the first
State: TypeAlias = Mapping[str, Tensor]


def shares_to_try(plan: Plan, base: BaseModel) -> tuple[float, ...]:
    """Shares of the trained weights of which dev chooses one; none where one is named, or weights can't be mixed."""
    mixes = not (base.fresh_head or base.new_layers or plan.settings.lora)
    return SHARES if mixes and plan.settings.interpolate is None else ()


def mix(plan: Plan, base: BaseModel, base_state: State, precision: str) -> float:
    """Mix the weights of a trained model with those that it had, as the settings say or as dev says.

    Where general data are given, their dev half counts as much as the dev lists. Xiao and others, LM-Cocktail (2023).

    Returns:
        The share of the trained weights.

    """
    shares, share = shares_to_try(plan, base), plan.settings.interpolate
    if not shares and share is None:
        return 1.0
    trained_state = state_of(base.model)
    if share is not None:
        return _mixed(base, base_state, trained_state, share)
    qualities = []
    parts = [plan.dev, *([plan.general_dev] if plan.general_dev else [])]
    evaluators = [ListEvaluator(lists, plan.measures, base.kind, precision == "bf16") for lists in parts]
    for share in shares:
        _mixed(base, base_state, trained_state, share)
        means = [each.examine(base.model)[0][plan.measures.first] for each in evaluators]
        qualities.append(float(np.mean(means)))
    return _mixed(base, base_state, trained_state, shares[int(np.argmax(qualities))])


def _mixed(base: BaseModel, base_state: State, trained_state: State, share: float) -> float:
    """Put a share of the trained weights, and the rest of the base's, into the model."""
    state = {
        name: torch.lerp(base_state[name].float(), value.float(), share).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in trained_state.items()
    }
    base.model.load_state_dict(state)
    return share
