"""What `resift bench` measures: counts are exact, shares are shares, the recommended depth follows from the times."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

import resift
from resift.cli.chart import line_chart
from resift.engine.openvino import OpenVINOEngine
from resift.engine.roofline import product_rate, shapes_of
from resift.inspection.observed_engine import BatchCount
from resift.inspection.speed import AtDepth, Workload, measure, recommended
from resift.score.cache import PairCache
from resift.types import ModelInfo, Pair, ScoreKind, Scores
from tests.checkpoints import cross_encoder


def at(depth: int, p95: float) -> AtDepth:
    return AtDepth(depth, 9, p95 / 2, p95, p95, depth * 100.0)


@pytest.mark.parametrize(
    ("budget", "depth"), [(5, 0), (10, 10), (19, 14), (20, 15), (30, 20), (69, 49), (70, 50), (1000, 50)]
)
def test_the_recommended_depth(budget: float, depth: int) -> None:
    assert recommended([at(10, 10), at(20, 30), at(50, 70)], budget) == depth


def test_measuring_a_cross_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resift.inspection.speed._PAIRS", 120)
    reranker = resift.load(cross_encoder(tmp_path, "bert"), precision="f32")
    words = Workload.made_up([3, 12, 90])
    assert {len(d.text.split()) for d in words.documents} == {3, 12, 90}
    found = measure(reranker, words, budget_ms=1e6, depths=(2, 8), seconds_per_depth=0)
    assert found.pairs == 120 and found.precision == "f32"
    assert found.pairs_per_second == pytest.approx(120 / found.seconds)
    assert 0 <= found.padding < 0.5 and found.windowed > 0.2 and found.truncated == 0
    assert [(d.depth, d.runs) for d in found.depths] == [(2, 5), (8, 5)]
    assert all(0 < d.p50_ms <= d.p95_ms <= d.p99_ms for d in found.depths)
    assert found.depths[1].tokens > found.depths[0].tokens
    assert found.recommended_depth == 8
    assert found.share_of_products is not None and 0 < found.share_of_products < 1.5
    few = measure(reranker, Workload.of_requests([(resift.Query("lamp"), words.documents[:2])], "two"), 100, (2, 40), 0)
    assert few.depths[1].tokens > 15 * few.depths[0].tokens  # numbered copies: equal ones would be scored once
    assert len({d.text for d in Workload.made_up([12, 90]).documents}) == 120
    short = measure(reranker, Workload.made_up([200]), depths=(2,), seconds_per_depth=0)
    assert short.windowed == 1


def test_products_are_those_of_the_model(tmp_path: Path) -> None:
    reranker = resift.load(cross_encoder(tmp_path, "bert"), precision="f32")
    count = BatchCount()
    reranker.scorer.with_engine(count.wrap)
    assert isinstance(count.engine, OpenVINOEngine)
    shapes = shapes_of(count.engine)
    layer = [(48, 48)] * 4 + [(48, 96), (96, 48)]
    done = [*layer, (48, 48), (48, 48)]  # the last layer reads all tokens' keys and values, for the first token alone
    assert sorted(shapes.weights) == sorted(done)
    assert (shapes.layers, shapes.width) == (1, 48)
    per_token = 2 * sum(k * n for k, n in done)
    assert shapes.flops([10, 3]) == per_token * 13 + 4 * 48 * (100 + 9)
    assert product_rate(shapes, "f32", rounds=1) > 1e8


def test_an_engine_without_shapes_has_no_share_of_products() -> None:
    class Other:
        name, precision, pads, characters = "other", "f32", True, 0

    assert shapes_of(Other()) is None


def test_counting_changes_no_score(mini: resift.Reranker) -> None:
    pairs = [("who lit the lamp", "The keeper lit it."), ("bread", "Bake it dark.")]
    counted = resift.Reranker(mini.scorer.with_engine(BatchCount().wrap))
    assert counted.score(pairs) == mini.score(pairs)


def test_warming_reads_the_weights() -> None:
    """So that the time of a first request with a deadline is spent on its documents."""
    calls: list[int] = []

    class Lengths:
        info = ModelInfo("lengths", ScoreKind.LOGIT)

        def score(self, pairs: Sequence[Pair]) -> Scores:
            calls.append(len(pairs))
            return Scores.of([1.0] * len(pairs), self.info)

    reranker = resift.Reranker(Lengths(), PairCache())
    reranker.warm()
    reranker.warm()
    assert calls == [1, 1]  # a score out of the cache would read nothing


def test_the_chart_is_svg() -> None:
    drawn = line_chart(
        {"p50": [(10, 5.0), (20, 9.0)], "p<95>": [(10, 8.0), (20, 20.0)]}, "documents", "ms", "a & b", 15
    )
    root = ElementTree.fromstring(drawn)
    polylines = [e for e in root if e.tag.endswith("polyline")]
    points = [[tuple(map(float, p.split(","))) for p in e.attrib["points"].split()] for e in polylines]
    assert [len(p) for p in points] == [2, 2]
    assert points[0][0][0] == points[1][0][0] and points[0][0][1] > points[1][0][1]  # the slower one is drawn higher


def test_the_command(tmp_path: Path) -> None:
    model = cross_encoder(tmp_path / "model", "bert")
    data = tmp_path / "requests.jsonl"
    data.write_text(json.dumps({"query": "the lamp", "documents": ["water and bread", "a ferry to oslo"]}) + "\n")
    command = [sys.executable, "-m", "resift.cli.main", "bench", "--model", str(model), "--depths", "2,4", "--seconds"]
    command += ["0", "--data", str(data), "--plot", str(tmp_path / "plot.svg")]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["workload"] == str(data) and [d["depth"] for d in found["depths"]] == [2, 4]
    assert found["machine"]["cores"] >= 1 and found["pairs_per_second"] > 0
    described = (Path(__file__).parents[1] / "docs" / "json.md").read_text().split("`resift bench --json`")[1]
    for field in (*found, *found["depths"][0], *found["machine"]):
        assert f"`{field}`" in described, field
    ElementTree.parse(tmp_path / "plot.svg")
    shown = subprocess.run([*command, "--budget-ms", "100000"], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"depth 4\s+fits 100000 ms", shown.stdout)
    refused = subprocess.run([*command, "--lengths", "2"], capture_output=True, text=True)
    assert refused.returncode == 3 and "either" in refused.stderr


def test_picking_a_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESIFT_CACHE", str(tmp_path / "cache"))
    model = cross_encoder(tmp_path / "model", "bert")
    data = tmp_path / "requests.jsonl"
    documents = [f"the lamp of the {word}" for word in ("tower", "ferry", "keeper", "water", "city", "north")]
    data.write_text("".join(json.dumps({"query": q, "documents": documents}) + "\n" for q in ("the lamp", "oslo")))
    command = [sys.executable, "-m", "resift.cli.main", "bench", "--model", str(model), "--pick"]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode == 3 and "name them with --data" in refused.stderr
    done = subprocess.run([*command, "--data", str(data), "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    first = found["precisions"][0]
    assert first["precision"] == "f32" and first["agreement"] == {"tau": 1, "top10": 1, "max_delta": 0, "pairs": 12}
    good = [p for p in found["precisions"] if p["good"]]
    assert found["picked"] == max(good, key=lambda p: p["pairs_per_second"])["precision"]
    assert all(p["good"] == (p["agreement"]["tau"] >= 0.99 and p["agreement"]["top10"] >= 0.98) for p in good)
    assert resift.load(model).scorer.info.runs_on == f"openvino {found['picked']}"
    shown = subprocess.run([*command, "--data", str(data)], capture_output=True, text=True)
    assert shown.returncode == 0 and "runs so from now on" in " ".join(shown.stdout.split())
    data.write_text(json.dumps({"query": "the lamp", "documents": ["one"]}) + "\n")
    alone = subprocess.run([*command, "--data", str(data)], capture_output=True, text=True)
    assert alone.returncode == 3 and "no request has two documents" in alone.stderr
