"""Which cores a call of a shared engine gets."""

from collections.abc import Sequence

import numpy as np

from resift.engine.batching import Batch, Sequences, pack
from resift.engine.openvino import SharedEngine


class Pool:
    """Says its own name."""

    def __init__(self, name: int) -> None:
        self.name = name

    def infer(self, batch: Batch) -> Sequence[np.ndarray]:
        return (np.full(1, self.name, np.float32),)


def test_a_call_has_all_cores_while_there_is_no_other() -> None:
    alone, bulk = Pool(0), Pool(1)
    engine = SharedEngine(lambda: alone, lambda: bulk, "f32")  # type: ignore[arg-type, return-value]
    batches = pack(Sequences([[1, 2, 3]] * 2000), 0)
    assert len(batches) > 4

    def used(outputs: tuple[Batch, tuple[np.ndarray, ...]]) -> int:
        return int(outputs[1][0][0])

    first, second = engine.run(batches), engine.run(batches)
    assert [used(next(first)), used(next(first))] == [0, 0]
    assert used(next(second)) == 1
    assert used(next(first)) == 1
    second.close()  # type: ignore[attr-defined]
    assert used(next(first)) == 0
