"""`resift train ltr --clicks`: from a log with a known bias to an order, as a user runs it."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from resift.cli.main import app
from resift.errors import InputError
from resift.rerank.drive import drive
from resift.rerank.learned import Learned, open_learned
from resift.types import Candidate, Document, Query, Ranking, Signal
from tests.train.test_ltr_clicks import DOCUMENTS, QUERIES, Simulation

RUNNER = CliRunner()


def run(*arguments: object) -> str:
    """What a command prints; its errors are raised."""
    result = RUNNER.invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return Simulation(sessions=40)


@pytest.fixture(scope="module")
def place(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with documents that only their numbers tell apart, the log, and propensities that know no bias."""
    folder = tmp_path_factory.mktemp("clicks")
    rows = [
        {"id": d.id, "text": d.text, **d.metadata} for query in range(QUERIES) for d in documents(simulation, query)
    ]
    (folder / "documents.jsonl").write_text("\n".join(map(json.dumps, rows)))
    log = [
        {"session": i.session, "query": f"topic{i.query[1:]}", "document": f"{i.query}{i.document}",
         "position": i.position, "clicked": i.clicked}
        for i in simulation.impressions
    ]  # fmt: skip
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, log)))
    (folder / "no-bias.json").write_text(json.dumps({str(i): 1.0 for i in range(1, DOCUMENTS + 1)}))
    return folder


def documents(simulation: Simulation, query: int) -> list[Document]:
    return [
        Document(f"q{query}d{i}", f"topic{query}", "", {"useful": float(row[0]), "shown": float(row[1])})
        for i, row in enumerate(simulation.matrix[query])
    ]


def quality(model: Path, simulation: Simulation) -> float:
    """The mean nDCG of the order that a model gives to each query's documents, by their true relevance."""
    stage, values = Learned(open_learned(model)), []
    discounts = 1 / np.log2(np.arange(2, DOCUMENTS + 2))
    for query in range(QUERIES):
        relevant = {f"q{query}d{i}": float(simulation.useful[query, i]) for i in range(DOCUMENTS)}
        candidates = tuple(
            Candidate(d, signals=(Signal("bm25", rank),)) for rank, d in enumerate(documents(simulation, query), 1)
        )
        ranking = drive(stage, [Ranking(Query(f"topic{query}"), candidates)])[0]
        gains = np.array([relevant[c.document.id] for c in ranking])
        if gains.any():
            values.append(gains @ discounts / (np.sort(gains)[::-1] @ discounts))
    return float(np.mean(values))


def train(place: Path, name: str, *more: object) -> str:
    command = ("train", "ltr", "--clicks", place / "log.jsonl", "--documents", place / "documents.jsonl")
    options = ("--pipeline", "bm25", "--depth", 20, "--no-search", "--no-ablate", "--folds", 2, "--cache", place / "c")
    return run(*command, "-o", place / name, *options, *more)


def test_clicks_teach_the_order_behind_their_bias(place: Path, simulation: Simulation) -> None:
    text = " ".join(train(place, "weighted", "--weight-bound", 20).split())
    assert "clicks weigh 1 / the propensity of their position, 20 at most" in text
    assert "pairs of query and document that were shown at several positions" in text
    assert "no reranking is the order that was shown" in text
    train(place, "naive", "--propensities", place / "no-bias.json")
    assert quality(place / "weighted", simulation) > 0.95  # 0.97 where this was written
    assert quality(place / "naive", simulation) < 0.8
    facts = json.loads((place / "weighted" / "training.json").read_text())["data"]
    assert facts["clicks"]["bound"] == 20 and facts["clicks"]["propensities"]["1"] == 1
    assert "clicks" in (place / "weighted" / "MODEL_CARD.md").read_text()


def test_a_log_may_name_queries_by_ids(place: Path, tmp_path: Path) -> None:
    queries = [{"id": f"topic{i}", "text": f"the topic{i}"} for i in range(3)]
    (tmp_path / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    value = json.loads(train(place, "named", "--queries", tmp_path / "queries.jsonl", "--json"))
    assert value["data"]["queries"] == 3
    assert any(f"{QUERIES - 3} judged queries have no text" in issue for issue in value["issues"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--split", "test"), "clicks stand in the place of judgements"),
        (("--unjudged", "leave-out"), "clicks stand in the place of judgements"),
        (("--propensities", "nowhere.json"), "nowhere.json holds no propensities"),
        (("--queries", "QUERIES"), "none of 60 judged queries"),
    ],
)
def test_what_does_not_go_with_clicks_is_refused(
    place: Path, tmp_path: Path, arguments: tuple[str, str], message: str
) -> None:
    (tmp_path / "queries.jsonl").write_text('{"id": "other", "text": "other"}')
    named = [str(tmp_path / "queries.jsonl") if a == "QUERIES" else a for a in arguments]
    with pytest.raises(InputError, match=message):
        train(place, "refused", *named)
    with pytest.raises(InputError, match="give the documents with --documents"):
        run("train", "ltr", "--clicks", place / "log.jsonl", "-o", place / "refused")
    result = RUNNER.invoke(app, ["train", "ltr", "--weight-bound", "5", "-o", str(place / "refused")])
    assert result.exit_code == 2 and "name it with --clicks" in " ".join(result.output.split())
    assert not (place / "refused").exists()
