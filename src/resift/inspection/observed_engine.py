"""An engine whose batches are looked at while a scorer runs on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from resift.engine.batching import Batch, Engine, FloatArray


class ObservedEngine:
    """Runs batches as `engine` does, and passes each of them to `observe` when its outputs are there."""

    def __init__(self, engine: Engine, observe: Callable[[Batch], None]) -> None:
        self.name, self.precision = engine.name, engine.precision
        self.pads, self.characters = engine.pads, engine.characters
        self._engine, self._observe = engine, observe

    def run(self, batches: Sequence[Batch]) -> Iterator[tuple[Batch, tuple[FloatArray, ...]]]:
        """Yield each batch with its outputs."""
        for batch, outputs in self._engine.run(batches):
            self._observe(batch)
            yield batch, outputs


class BatchCount:
    """Counts the tokens and the slots (tokens and padding) of the batches that an engine runs.

    Attributes:
        engine: the engine that was wrapped last; None before `wrap`.
        lengths: tokens of each row.
        slots: of all batches.

    """

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.lengths: list[int] = []
        self.slots = 0

    def wrap(self, engine: Engine) -> Engine:
        """The same engine, counted; for `RunsOn.with_engine`."""
        self.engine = engine
        return ObservedEngine(engine, self._add)

    def clear(self) -> None:
        """Start again from zero."""
        self.lengths, self.slots = [], 0

    def _add(self, batch: Batch) -> None:
        assert self.engine is not None
        self.lengths += batch.mask.sum(axis=1).tolist()
        self.slots += batch.ids.size if self.engine.pads else sum(batch.lengths)
