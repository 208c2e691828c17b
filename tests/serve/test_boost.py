"""A server with boosts: searches of the index follow them, whoever orders; requests with documents do not."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from resift import Index, Reranker
from resift.errors import InputError
from resift.serve.app import create_app
from resift.serve.runtime.served_models import ServedModel
from resift.serve.settings import Settings, read_settings
from resift.types import Pair, ScoreKind
from tests.serve.conftest import meddled
from tests.serve.stages import FakeListwise

PASSAGES = [
    {"id": "old", "text": "The ferry to the island leaves at nine in summer.", "year": 1990},
    {"id": "new", "text": "The ferry to the island leaves at nine in winter.", "year": 2026},
    {"id": "far", "text": "Bread is baked daily in the old oven.", "year": 1985},
]
BOOST = 'boost("year", half_life="1y", weight=9, now="2026-11-27")'
ASKED = "when does the ferry leave in summer"
Live = Callable[[Starlette], httpx.Client]


def answer(client: httpx.Client, path: str, **body: object) -> dict[str, Any]:
    value: dict[str, Any] = client.post(path, json={"query": ASKED} | body).raise_for_status().json()
    return value


def first(value: dict[str, Any]) -> str:
    return str(value["results"][0]["id"])


def test_searches_are_boosted(mini: Reranker, live: Live) -> None:
    index, models = Index.of(PASSAGES), [ServedModel.of(mini)]
    plain, boosted = (live(create_app(models, Settings(boost=text), index=index)) for text in ("", BOOST))
    assert first(answer(plain, "/api/search")) == "old"
    value = answer(boosted, "/api/search")
    assert first(value) == "new" and value["reranked"] and value["trace"][-1]["name"] == "boost(year)"
    texts = [passage["text"] for passage in PASSAGES]
    assert answer(boosted, "/api/rerank", documents=texts)["trace"][-1]["name"] == mini.info.name


def test_searches_that_no_model_orders_are_boosted(mini: Reranker, live: Live) -> None:
    def fail(pairs: Sequence[Pair]) -> None:
        if any(query.text == ASKED for query, _ in pairs):
            raise RuntimeError("broken")

    index, settings = Index.of(PASSAGES), Settings(boost=BOOST, on_error="keep_order", breaker_failures=99)
    value = answer(live(create_app([meddled(mini, fail)], settings, index=index)), "/api/search")
    assert first(value) == "new" and not value["reranked"] and value["trace"][-1]["name"] == "boost(year)"


def test_searches_in_a_language_that_no_model_reads_are_boosted(mini: Reranker, live: Live) -> None:
    texts = [("Паром отходит летом в девять часов утра.", 1990), ("Паром отходит зимой в девять часов утра.", 2026)]
    index = Index.of([{"text": text, "year": year} for text, year in texts], embedder=False)
    models = [replace(ServedModel.of(mini), by_language=True)]
    client = live(create_app(models, Settings(boost=BOOST), index=index))
    value = answer(client, "/api/search", query="когда летом отходит паром")
    assert not value["reranked"] and value["trace"][-1]["name"] == "boost(year)" and first(value) == "1"


def test_a_stage_of_ones_own_is_boosted(mini: Reranker, live: Live) -> None:
    served = ServedModel.of_stage(FakeListwise(mini.scorer), ScoreKind.FUSED, "own")
    value = answer(live(create_app([served], Settings(boost=BOOST), index=Index.of(PASSAGES))), "/api/search")
    assert value["trace"][-1]["name"] == "boost(year)" and first(value) == "new"


def test_settings_name_what_is_no_boost() -> None:
    assert read_settings({}, {"RESIFT_BOOST": BOOST}, None).boost == BOOST
    with pytest.raises(InputError, match="'blend' is no boost"):
        Settings(boost="blend")
