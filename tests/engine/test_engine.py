from hypothesis import given
from hypothesis import strategies as st

from resift.engine.batching import Sequences, pack


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
