"""A server with a rule of when to rerank: searches of the index follow it, requests with documents do not."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from resift import Index, Reranker
from resift.errors import InputError
from resift.rerank.when import Expectation, WhenRule
from resift.serve.app import create_app
from resift.serve.run import run
from resift.serve.runtime.served_models import ServedModel
from resift.serve.settings import Settings

TEXTS = ["A lighthouse keeper lights the lamp.", "Bake sourdough bread in a hot oven.", "A loaf of sourdough bread."]


@pytest.fixture
def rule(mini: Reranker, tmp_path: Path) -> str:
    """Queries of one word are skipped."""
    info = mini.info
    stages = f"{info.name}@100 >> blend(weight={info.blend_weight:g})"
    learned = WhenRule(
        stages, {info.name: info.fingerprint}, ("bm25", "dense:resift-static-en"), "nDCG@10", 0.01,
        Expectation(-1.0, {"words": 1.0}),
    )  # fmt: skip
    path = tmp_path / "when.json"
    path.write_text(json.dumps(learned.as_json()))
    return str(path)


def test_searches_follow_the_rule(mini: Reranker, rule: str, live: Callable[[Starlette], httpx.Client]) -> None:
    client = live(create_app([ServedModel.of(mini)], Settings(when=rule), index=Index.of(TEXTS)))

    def ask(path: str, **body: object) -> dict[str, object]:
        value: dict[str, object] = client.post(path, json=body).raise_for_status().json()
        return value

    skipped = ask("/api/search", query="sourdough")
    assert not skipped["reranked"] and "not reranked: the expected gain is -0.307 nDCG@10" in json.dumps(skipped)
    assert ask("/api/search", query="who bakes sourdough bread")["reranked"]
    other = ask("/api/search", query="sourdough", depth=2)
    assert other["reranked"] and "is not applied: it was learned for" in json.dumps(other)
    assert ask("/api/rerank", query="sourdough", documents=TEXTS)["reranked"]


def test_a_rule_that_can_not_be_read_is_refused_before_models_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't read the rule"):
        run(Settings(when=str(tmp_path / "none.json"), models=("no-such-model",)))
