"""Stops a training that goes wrong, and says why: collapse, saturation, no number, regression, no more progress."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

from resift.train.neural import processes
from resift.train.neural.evaluator import Health, ListEvaluator

COLLAPSED = 1e-3  # a spread of logits within a list below which they are one constant; a new head begins near it
_SATURATED = 0.5  # the share of logits
_DROP = 0.05  # of the measure below the base, at `_TIMES` evaluations in a row
_TIMES = 3


def alarm(history: list[Health], base: Health) -> str:
    """Why a training should stop by its latest evaluation; empty where it should go on.

    Args:
        history: health at each evaluation, the latest last.
        base: health before the first step.

    """
    latest = history[-1]
    if not latest.finite:
        return "the model gives no finite numbers any more; take a smaller learning rate, or --precision f32"
    spreads = [health.spread for health in [base, *history]]
    if latest.spread < COLLAPSED and (max(spreads) >= 10 * COLLAPSED or len(history) >= _TIMES):
        return (
            f"collapse: the scores of a list differ by {latest.spread:.1g} only, so every document gets the same one; "
            "take a smaller learning rate, look at the labels, or mine easier negatives"
        )
    if latest.saturated > _SATURATED and latest.saturated > base.saturated:
        return (
            f"saturation: {latest.saturated:.0%} of the logits are beyond 17, where the sigmoid is 1; "
            "take a smaller learning rate, or fewer epochs"
        )
    recent = history[-_TIMES:]
    if len(recent) == _TIMES and all(health.value < base.value - _DROP for health in recent):
        return (
            f"regression: at {_TIMES} evaluations in a row the measure is over {_DROP} below the base model's "
            f"{base.value:.3f}; look at the labels and negatives, or take a smaller learning rate"
        )
    return ""


class Guard(TrainerCallback, ExportableState):
    """Watches the evaluations of a training, and stops it; a checkpoint has what it saw, so that it goes on with that.

    Attributes:
        reason: why it was stopped; empty where it was not.
        sick: whether that was an alarm, and not the end of progress.

    """

    def __init__(self, evaluator: ListEvaluator, base: Health, patience: int) -> None:
        self._evaluator, self._base, self._patience = evaluator, base, patience
        self.reason, self.sick = "", False

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        history = [[step, *astuple(health)] for step, health in self._evaluator.history if step > 0]
        return {"args": {}, "attributes": {"history": history}}

    def restore(self, state: Any) -> None:  # noqa: ANN401
        """Take over the evaluations of a checkpoint's state, and stop where they say so."""
        if any(step > 0 for step, _ in self._evaluator.history):
            return  # this process saw them
        record = state.stateful_callbacks.get(type(self).__name__) or self.state()
        for step, *health in record["attributes"]["history"]:
            self._evaluator.history.append((int(step), Health(*health)))
        self._examine()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Stop where another process stops."""
        self._agree(control)

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Look at the latest evaluation, which the first process alone has made."""
        self._examine()
        self._agree(control)

    def _examine(self) -> None:
        history = [health for step, health in self._evaluator.history if step > 0]
        if not history:
            return
        if reason := alarm(history, self._base):
            self.stop(reason)
            return
        values = [health.value for health in history]
        since_best = len(values) - 1 - values.index(max(values))
        if since_best >= self._patience:
            self.reason = f"no progress at {since_best} evaluations in a row"

    def _agree(self, control: Any) -> None:  # noqa: ANN401
        """Stop all processes for the reason of the first one that has one: else the others would wait for ever."""
        stops = bool(self.reason) or control.should_training_stop  # another callback may have set it
        states = processes.shared((self.reason, self.sick, stops))
        self.reason, self.sick = next(((reason, sick) for reason, sick, _ in states if reason), ("", False))
        control.should_training_stop = any(stops for _, _, stops in states)

    def stop(self, reason: str) -> None:
        """Stop with an alarm at the end of the step; the first one is kept."""
        if not self.sick:
            self.reason, self.sick = reason, True
