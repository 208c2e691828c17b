"""Tells a command how far a training is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback


class ShownProgress(TrainerCallback):
    """Calls back after each step with the count of steps and the share of them."""

    def __init__(self, on_progress: Callable[[str, int, float], None]) -> None:
        self._on_progress = on_progress

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Count a step."""
        self._on_progress("steps trained", state.global_step, state.global_step / max(1, state.max_steps))
