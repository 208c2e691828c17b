"""One suite over every Scorer: a score belongs to its pair alone."""

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import resift
from resift import Reranker
from resift.errors import InputError
from resift.score.options import EngineOption, Precision
from resift.types import Candidate, Document, Pair, Query
from tests.checkpoints import cross_encoder
from tests.layered_checkpoints import layered
from tests.processor import skip_without

TEXTS = [
    "A lamp shines.",
    "Oslo is the capital of Norway and lies at the head of a fjord; the ferry takes forty minutes.",
    "bread",
    "The keeper climbed 142 steps every evening to light a paraffin lamp. " * 4,
    "Water the soil, never the leaves.",
]
QUERIES = ["who lit the lamp", "capital of norway", "how to water tomatoes in the summer without wetting the leaves"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cross_encoder(tmp_path_factory.mktemp("tiny"), "bert", limit=512, noise=0)


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return layered(tmp_path_factory.mktemp("layers"), limit=512, noise=0)


@pytest.fixture(scope="module", params=["late", "encoder", "layerwise"])
def make(request: pytest.FixtureRequest, folder: Path, layers: Path) -> Callable[..., Reranker]:
    name = {"late": "resift-mini-en", "encoder": str(folder), "layerwise": f"{layers}(layer=1)"}[request.param]
    return lambda precision: resift.load(name, precision=precision)


def pairs() -> list[Pair]:
    return [(Query(q), Candidate(Document(str(i), t))) for q in QUERIES for i, t in enumerate(TEXTS)]


def test_batch_mates_and_order_do_not_matter_at_f32(make: Callable[..., Reranker]) -> None:
    scorer = make("f32").scorer
    together = scorer.score(pairs())
    alone = [scorer.score([p]).values[0] for p in pairs()]
    np.testing.assert_allclose(together.values, alone, atol=1e-4)
    shuffled = list(range(len(pairs())))
    random.Random(1).shuffle(shuffled)
    mixed = scorer.score([pairs()[i] for i in shuffled])
    np.testing.assert_allclose([together.values[i] for i in shuffled], mixed.values, atol=1e-4)


def test_a_longer_neighbour_does_not_matter(make: Callable[..., Reranker]) -> None:
    scorer = make("f32").scorer
    query, long = Query(QUERIES[0]), Candidate(Document("long", "the lamp of the tower " * 80))
    short = Candidate(Document("short", TEXTS[0]))
    assert scorer.score([(query, short), (query, long)]).values[0] == pytest.approx(
        scorer.score([(query, short)]).values[0], abs=1e-4
    )


def test_many_batches_equal_few(make: Callable[..., Reranker], monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = make("f32").scorer
    many = [
        (Query(f"{q} {i}"), Candidate(Document("d", f"{t} {i}"))) for i in range(60) for q in QUERIES for t in TEXTS
    ]
    together = scorer.score(many)
    some = [0, 17, 301, len(many) - 1]
    np.testing.assert_allclose(
        [together.values[i] for i in some], scorer.score([many[i] for i in some]).values, atol=1e-4
    )


def test_bf16_keeps_the_order(make: Callable[..., Reranker]) -> None:
    skip_without("bf16")
    exact, fast = (np.array(make(p).scorer.score(pairs()).values, float) for p in ("f32", "bf16"))
    spread = np.ptp(exact)
    # The stated spread at bf16, as a share of the range of scores. These two give 0.1 and 2.3 %; with the mask of -1e9
    # that there was, the second gave over 3 %. Other random weights give 1 to 13 % (docs/log.md).
    bound = 0.03 * spread
    assert np.abs(exact - fast).max() < bound
    clear = np.abs(exact[:, None] - exact[None, :]) > 2 * bound
    assert (np.sign(exact[:, None] - exact[None, :]) == np.sign(fast[:, None] - fast[None, :]))[clear].all()


def test_duplicates_get_one_score_each(make: Callable[..., Reranker]) -> None:
    scores = make("f32").score([("lamp", "a lamp"), ("lamp", "bread"), ("lamp", "a lamp")])
    assert len(scores) == 3 and scores.values[0] == scores.values[2] != scores.values[1]


def test_titles_are_read_and_spans_are_of_the_text(make: Callable[..., Reranker]) -> None:
    titled = make("f32").rerank(
        "lamp", [{"id": "t", "title": "The lamp", "text": "It shines at night."}, "It shines at night."]
    )
    by_id = {c.document.id: c for c in titled}
    assert by_id["t"].score is not None and by_id["1"].score is not None
    assert by_id["t"].score.value != by_id["1"].score.value
    for c in titled:
        assert c.span is None or 0 <= c.span.start < c.span.end <= len(c.document.text)


def test_inputs_are_not_altered(make: Callable[..., Reranker]) -> None:
    given = pairs()
    make("f32").scorer.score(given)
    assert given == pairs()


def test_threads_share_a_model(make: Callable[..., Reranker]) -> None:
    scorer = make("f32").scorer
    expected = scorer.score(pairs()).values
    wrong: list[object] = []

    def work() -> None:
        try:
            np.testing.assert_allclose(scorer.score(pairs()).values, expected, atol=1e-4)
        except (AssertionError, RuntimeError) as error:
            wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(64)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_load_names_every_precision_and_engine() -> None:
    for kind in (Precision, EngineOption):
        assert all(f'"{value}"' in (resift.load.__doc__ or "") for value in get_args(kind))


def test_settings_are_checked() -> None:
    with pytest.raises(InputError, match="precision"):
        resift.load(precision="int4")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="long_documents"):
        resift.load(long_documents="drop")  # type: ignore[arg-type]
