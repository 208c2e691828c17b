"""When to rerank: signals by hand, a rule that is learned where there is something to learn, and what obeys it."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from resift import Index, Reranker
from resift.cli.main import app
from resift.errors import InputError
from resift.pipeline import Pipeline
from resift.rerank.drive import drive
from resift.rerank.query_signals import query_signals, retrievers_of
from resift.rerank.when import Expectation, WhenRule
from resift.types import (
    Candidate,
    Document,
    Note,
    NoteCode,
    Query,
    Ranking,
    Score,
    ScoreKind,
    Signal,
)
from resift.worth.expectation import Outcomes, cross_report, fit
from resift.worth.splits import splits
from resift.worth.when import WhenOptions, learn_when, sentence
from tests.evaluate.small import CountingScorer, collection, models
from tests.worth.test_worth_it import beir

NAMES = ("gap", "noise")


def candidate(name: str, lexical: tuple[int, float] | None, dense: tuple[int, float] | None) -> Candidate:
    signals = [
        Signal(source, entry[0], Score(entry[1], kind, source))
        for source, kind, entry in (("bm25", ScoreKind.BM25, lexical), ("dense:x", ScoreKind.COSINE, dense))
        if entry
    ]
    return Candidate(Document(name, "the lamp of a ferry"), None, tuple(signals))


def test_signals_by_hand() -> None:
    ranking = Ranking(
        Query('what is "lamp" part_no 7?'),
        (candidate("a", (1, 8.0), (2, 0.5)), candidate("b", (2, 6.0), (1, 0.7)), candidate("c", (3, 2.0), None)),
    )
    values = query_signals(ranking)
    assert values["lexical_gap_2"] == pytest.approx(0.25) and values["lexical_gap_10"] == pytest.approx(0.75)
    assert values["dense_gap_2"] == pytest.approx(0.2) and values["dense_gap_10"] == pytest.approx(0.2)
    assert values["overlap_10"] == pytest.approx(2 / 3) and values["tau"] == pytest.approx(-1)
    assert [values[name] for name in ("question", "quoted", "digits", "identifier")] == [1, 1, 1, 1]
    assert values["words"] == pytest.approx(math.log1p(4)) and values["coverage"] == pytest.approx(1 / 4)
    assert retrievers_of(ranking) == ("bm25", "dense:x")
    plain = query_signals(Ranking(Query("old lamps")))
    assert sorted(plain) == ["coverage", "digits", "identifier", "question", "quoted", "words"]
    assert plain["coverage"] == plain["question"] == plain["identifier"] == 0


@pytest.mark.parametrize("text", ["getUserName", "snake_case", "torch.nn", "AB-12", "x86"])
def test_identifiers(text: str) -> None:
    assert query_signals(Ranking(Query(text)))["identifier"] == 1


def simulated(seed: int, strength: float, queries: int, actions: int = 2) -> tuple[np.ndarray, Outcomes]:
    """Reranking gains 0.05 on average, and more the larger the first signal is."""
    rng = np.random.default_rng(seed)
    signals = rng.normal(0, 1, (queries, 2))
    gain = 0.05 + strength * signals[:, 0] + rng.normal(0, 0.1, queries)
    extra = 0.02 + strength * signals[:, 1] + rng.normal(0, 0.1, queries)
    values = np.stack([np.full(queries, 0.5), 0.5 + gain, 0.5 + gain + extra])[:actions]
    return signals, Outcomes(values, np.outer([0.0, 50.0, 100.0][:actions], np.ones(queries)))


def learned(seed: int, strength: float, queries: int, actions: int = 2) -> bool:
    signals, outcomes = simulated(seed, strength, queries, actions)
    parts = splits([Query(f"query {i}") for i in range(queries)], seed)
    return cross_report(signals, outcomes, parts, NAMES, 0.01, seed, 400).learned


@pytest.mark.parametrize("queries", [100, 400])
def test_nothing_is_learned_from_noise_and_something_from_a_signal(queries: int) -> None:
    assert np.mean([learned(seed, 0.0, queries) for seed in range(200)]) <= 0.05
    assert np.mean([learned(seed, 0.15, queries) for seed in range(100)]) >= 0.95
    assert np.mean([learned(seed, 0.15, queries, 3) for seed in range(50)]) >= 0.9


def test_a_line_is_found_again() -> None:
    signals, outcomes = simulated(1, 0.15, 4000)
    line = fit(signals, outcomes.values[1] - outcomes.values[0], NAMES)
    assert line.weights["gap"] == pytest.approx(0.15 / 1.3, rel=0.1) and abs(line.weights["noise"]) < 0.01
    constant = fit(np.c_[signals[:, :1], np.ones(4000)], outcomes.values[1], NAMES)
    assert list(constant.weights) == ["gap"]  # what never changes has no weight


RULE = WhenRule(
    "overlap@3 >> blend(weight=1)", {"overlap": ""}, ("bm25",), "nDCG@10", 0.01,
    Expectation(-1.0, {"words": 1.0}), 5, Expectation(-1.5, {"words": 1.0}),
)  # fmt: skip
PIPELINE = "bm25 >> when(rule={rule}, deeper=5) >> overlap@3 >> blend >> top 10"


def write(rule: WhenRule, folder: Path) -> str:
    path = folder / "when.json"
    path.write_text(json.dumps(rule.as_json()))
    return str(path)


def ranked(query: str, rule: WhenRule, folder: Path, text: str = PIPELINE) -> tuple[Ranking, Ranking, CountingScorer]:
    data, scorer = collection(), CountingScorer()
    (first,) = Index.of(data.documents, embedder=False).retriever.retrieve([Query(query)], 20)
    pipeline = Pipeline.parse(text.format(rule=json.dumps(write(rule, folder))))
    (result,) = drive(pipeline.stage({"overlap": scorer}.__getitem__), [first])
    return first, result, scorer


@pytest.mark.parametrize(
    ("query", "pairs", "message"),
    [
        ("lamp", 0, "not reranked: the expected gain is -0.307 nDCG@10, below 0.01"),
        ("lamp ferry", 3, ""),
        ("lamp ferry bread harbour", 5, "reranked to depth 5: it is expected to add +0.109 nDCG@10"),
    ],
)
def test_skipped_reranked_or_deeper(query: str, pairs: int, message: str, tmp_path: Path) -> None:
    first, result, scorer = ranked(query, RULE, tmp_path)
    assert len(scorer.pairs) == pairs and result.trace.reranked == bool(pairs)
    assert list(result.trace.notes) == ([Note(NoteCode.WHEN, message)] if message else [])
    assert sorted(c.document.id for c in result) == sorted(c.document.id for c in first)
    if not pairs:
        assert [c.document.id for c in result] == [c.document.id for c in first]


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (replace(RULE, stages="overlap@9"), "it was learned for overlap@9, and this is overlap@3 >> blend"),
        (replace(RULE, fingerprints={"overlap": "other"}), "for another version of overlap"),
        (replace(RULE, retrievers=("bm25", "dense:x")), "over bm25, dense:x, and these candidates have bm25"),
    ],
)
def test_a_rule_for_something_else_is_not_applied_and_says_so(rule: WhenRule, reason: str, tmp_path: Path) -> None:
    _, result, scorer = ranked("lamp", rule, tmp_path)
    assert len(scorer.pairs) == 3 and result.trace.reranked
    (note,) = result.trace.notes
    assert note.code is NoteCode.WHEN and reason in note.message and "not applied" in note.message


def test_the_pipeline_as_text() -> None:
    text = 'bm25 >> when(rule="my rules/when.json", deeper=200) >> resift-mini-en@50 >> blend >> top 10'
    pipeline = Pipeline.parse(text)
    assert str(pipeline) == text and Pipeline.from_toml(pipeline.to_toml()) == pipeline
    assert pipeline.depth == 200 and pipeline.models == ("resift-mini-en",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("when >> a", "the file of a rule"),
        ('when(rule="x")', "a model behind it"),
        ('a >> when(rule="x")', "in front of the models"),
        ('when(rule="x") >> blend', "a blend needs a model"),
        ('when(rule="x", deeper=0) >> a', "whole number of 1 or more"),
        ('when(rule="x", deeper=1.5) >> a', "whole number of 1 or more"),
        ("when(rule=1) >> a", "a file in double quotes"),
        ("when | a >> a", "only models are joined by |"),
        ("a | blend >> blend", "only models are joined by |; not a | blend"),
        ('when(rule="x") >> a >> a | b', "only be the first model"),
    ],
)
def test_what_is_no_pipeline(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Pipeline.parse(text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "can't read the rule"),
        ("[]", "is no rule"),
        ('{"kind": "when", "schema": 99}', "schema 99, and this Resift reads 1"),
        ('{"kind": "when", "schema": 1}', "damaged rule"),
        (json.dumps(RULE.as_json() | {"least": float("nan")}), "damaged rule"),
    ],
)
def test_a_file_that_is_no_rule_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "when.json").write_text(content)
    with pytest.raises(InputError, match=message):
        WhenRule.read(tmp_path / "when.json")


def test_a_rule_that_has_no_such_depth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="between 5 and fewer candidates, not 7"):
        ranked("lamp", RULE, tmp_path, PIPELINE.replace("deeper=5", "deeper=7"))


def test_a_rule_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert WhenRule.read(Path(write(RULE, tmp_path))) == RULE


def test_learned_on_a_collection_and_obeyed(tmp_path: Path) -> None:
    data = collection(queries=60, documents=100)
    options = WhenOptions(cache=False, models=models(CountingScorer()))
    rule, report = learn_when(data, "bm25 >> overlap@5 >> blend", options)
    assert rule.stages == "overlap@5 >> blend(weight=1)" and rule.retrievers == ("bm25",) and rule.extra is None
    assert "lexical_gap_2" in rule.gain.weights and report.queries == 60
    assert sentence(report, "nDCG@10").startswith("learned: " if report.learned else "not learnable here: ")
    assert WhenRule.read(Path(write(rule, tmp_path))).gain == rule.gain
    deeper, _ = learn_when(data, "bm25 >> overlap@5 >> blend", replace(options, deeper=20))
    assert deeper.deeper == 20 and deeper.extra is not None


@pytest.mark.parametrize(
    ("pipeline", "deeper", "queries", "message"),
    [
        ("overlap@5", None, 60, "needs retrievers and a model"),
        ("bm25", None, 60, "needs retrievers and a model"),
        ('bm25 >> when(rule="x") >> overlap', None, 60, "leave when, relevant and boost out"),
        ('bm25 >> overlap >> boost("date")', None, 60, "leave when, relevant and boost out"),
        ("bm25 >> overlap | other >> blend", None, 60, "for one model; name it alone"),
        ("bm25 >> overlap@5", 5, 60, "above the pipeline's 5; not 5"),
        ("bm25 >> overlap@5", None, 20, "label at least 30 more"),
    ],
)
def test_what_can_not_be_learned_is_refused(pipeline: str, deeper: int | None, queries: int, message: str) -> None:
    scorer = CountingScorer()
    options = WhenOptions(deeper, cache=False, models=models(scorer))
    with pytest.raises(InputError, match=message):
        learn_when(collection(queries=queries), pipeline, options)
    assert not scorer.pairs


def test_search_in_the_library_obeys(tmp_path: Path) -> None:
    scorer = CountingScorer()
    index = Index.of(collection().documents, embedder=False)
    rule = write(replace(RULE, stages="overlap@3 >> blend(weight=1)"), tmp_path)
    skipped = index.search("lamp", depth=3, reranker=Reranker(scorer), when=rule)
    assert not scorer.pairs and not skipped.trace.reranked and skipped.trace.notes[0].code is NoteCode.WHEN
    assert index.search("lamp ferry", depth=3, reranker=Reranker(scorer), when=rule).trace.reranked
    with pytest.raises(InputError, match="needs a reranker"):
        index.search("lamp", reranker=False, when=rule)


def test_the_commands(tmp_path: Path) -> None:
    folder, out = beir(tmp_path / "data"), tmp_path / "when.json"
    pipeline = "bm25 >> resift-mini-en@5 >> blend"
    command = ["when", str(folder), "--pipeline", pipeline, "--limit", "50", "--cache", str(tmp_path / "c")]
    done = CliRunner().invoke(app, [*command, "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(("learned: ", "not learnable here: ")) and out.exists() == (
        "not written" not in done.output
    )
    value = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert (value["schema"], value["kind"], value["stages"]) == (1, "when", "resift-mini-en@5 >> blend(weight=3)")
    value |= {"retrievers": ["bm25", "dense:resift-static-en"], "gain": {"constant": -1.0, "weights": {}}}
    out.write_text(json.dumps(value))
    note = tmp_path / "note.md"
    note.write_text("The ferry leaves at nine.\n\nBread is baked daily.\n")
    search = ["search", "ferry", str(note), "--depth", "5", "--when", str(out), "--json"]
    answer = json.loads(CliRunner().invoke(app, search).stdout)
    assert not answer["reranked"] and "not reranked: the expected gain is -1.000" in json.dumps(answer)
    with pytest.raises(InputError, match="leave --no-rerank or --when out"):
        CliRunner().invoke(app, [*search, "--no-rerank"], catch_exceptions=False)
