import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from resift.engine.batching import Sequences, pack
from resift.engine.openvino import OpenVINOEngine, openvino_model, openvino_ops


@given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 2000))
def test_packing_keeps_every_token_once(lengths: list[int], budget: int) -> None:
    ids = [list(range(1, n + 1)) for n in lengths]
    batches = pack(Sequences(ids, [[i % 2] * n for i, n in enumerate(lengths)]), pad=0, budget=budget)
    seen = [i for b in batches for i in b.rows]
    assert sorted(seen) == list(range(len(ids)))
    for b in batches:
        assert b.ids.shape[1] % 8 == 0
        assert b.ids.size <= budget or len(b.rows) == 1
        for j, i in enumerate(b.rows):
            assert b.ids[j][b.mask[j] == 1].tolist() == ids[i]
            assert set(b.segments[j][: len(ids[i])].tolist()) == {i % 2}
            assert not b.mask[j][len(ids[i]) :].any()


def test_openvino_is_imported_without_its_converter_which_others_still_get() -> None:
    code = (
        "import sys; from resift.engine.openvino import openvino_ops; openvino_ops(); import openvino\n"
        "print(sorted({'openvino_telemetry', 'openvino.tools.ovc', 'numpy.ma'} & set(sys.modules)))\n"
        "from openvino import convert_model; print(convert_model.__module__)\n"
        "print(hasattr(openvino, 'no_such_name'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "openvino.tools.ovc.convert", "False"]


def test_a_model_is_read_and_compiled_once_however_many_threads_begin() -> None:
    reads, running, threads = [0], [0], 8
    barrier = threading.Barrier(threads)

    def read() -> object:
        running[0] += 1
        reads[0] += 1
        assert running[0] == 1
        time.sleep(0.05)
        ops = openvino_ops()
        given = ops.parameter([-1, -1], np.int64, "input_ids")
        given.output(0).set_names({"input_ids"})
        graph = openvino_model([ops.convert(given, "f32").output(0)], [given])
        running[0] -= 1
        return graph

    engine = OpenVINOEngine(read, "f32")

    def first(_: int) -> list[np.ndarray]:
        barrier.wait()
        batches = pack(Sequences([[1, 2, 3]]), pad=0)
        return [outputs[0] for _, outputs in engine.run(batches)]

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(first, range(threads)))
    assert reads == [1]
    assert all(np.array_equal(f[0][0][:3], [1, 2, 3]) for f in found)
