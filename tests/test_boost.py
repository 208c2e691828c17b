"""Boosts: what metadata say, the formula by hand, and its bound; the same in the library, in a search and in a file."""

import json
import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from typer.testing import CliRunner

from resift import Index, Reranker
from resift.cli.main import app
from resift.errors import InputError
from resift.pipeline import Pipeline, boosts
from resift.rerank.boost import Boost, BoostRule
from resift.rerank.cascade import Cascade
from resift.rerank.drive import drive
from resift.rerank.field_values import duration, moment, number
from resift.rerank.pointwise import Pointwise
from resift.rerank.when import Expectation, When, WhenRule
from resift.types import Candidate, Document, ModelInfo, NoteCode, Pair, Query, Ranking, Score, ScoreKind, Scores

NOW = datetime(2026, 11, 27, tzinfo=UTC).timestamp()
DAY = 86_400


def ranked(*documents: tuple[float, dict[str, Any]], source: str = "model", stage: int = 1) -> Ranking:
    """A ranking by the scores of one stage; ids are positions in the order of the scores."""
    ordered = sorted(documents, key=lambda entry: -entry[0])
    return Ranking(
        Query("q"),
        tuple(
            Candidate(Document(f"d{i}", "text", metadata=metadata), Score(value, ScoreKind.LOGIT, source, stage))
            for i, (value, metadata) in enumerate(ordered)
        ),
    )


def unscored(*metadata: dict[str, Any]) -> Ranking:
    return Ranking.unscored(Query("q"), [Document(f"d{i}", "text", metadata=m) for i, m in enumerate(metadata)])


def boosted(ranking: Ranking, *rules: BoostRule) -> Ranking:
    return drive(Cascade([Boost(rule, lambda: NOW) for rule in rules]), [ranking])[0]


def values(ranking: Ranking) -> dict[str, float]:
    return {c.document.id: c.score.value for c in ranking if c.score}


def ids(ranking: Ranking) -> list[str]:
    return [c.document.id for c in ranking]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90d", 90 * DAY), ("12h", 43_200), ("2y", 730.5 * DAY), ("1.5 w", 10.5 * DAY), ("5min", 300)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "0d", "d", "-3d", "3 months", "3m", "1e3d", 90, None, "9" * 400 + "d"])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        duration(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-27", (2026, 11, 27)),
        (" 2026-11-27 ", (2026, 11, 27)),
        ("20261127", (2026, 11, 27)),
        ("2026-11", (2026, 11, 1)),
        ("2026", (2026, 1, 1)),
        (2026, (2026, 1, 1)),
        (2026.0, (2026, 1, 1)),
        ("2026-11-27T09:30:00Z", (2026, 11, 27, 9, 30)),
        ("2026-11-27 09:30:00.000", (2026, 11, 27, 9, 30)),
        ("2026-11-27T09:30+02:00", (2026, 11, 27, 7, 30)),
        (date(2026, 11, 27), (2026, 11, 27)),
        (datetime(2026, 11, 27, 9), (2026, 11, 27, 9)),
        (datetime(2026, 11, 27, 9, tzinfo=timezone(timedelta(hours=2))), (2026, 11, 27, 7)),
    ],
)
def test_dates(value: object, expected: tuple[int, int, int]) -> None:
    assert moment(value) == datetime(*expected, tzinfo=UTC).timestamp()


def test_unix_times_have_a_unit() -> None:
    assert moment(1_764_201_600, "s") == moment("1764201600", "s") == moment(1_764_201_600_000, "ms") == 1_764_201_600
    assert moment("2025-11-27", "s") == 1_764_201_600  # a text that is no number is a date all the same


@pytest.mark.parametrize(
    "value",
    ["soon", "", "27.11.2026", "11/27/2026", "2026-13-01", "1764201600", 1_764_201_600, "1612101230405", 99, True, None,
     math.nan, [2026], {"year": 2026}, "2026-11-27T25:00"],
)  # fmt: skip
def test_dates_that_are_not_guessed(value: object) -> None:
    with pytest.raises(ValueError):
        moment(value)


def test_numbers() -> None:
    assert [number(value) for value in (3, 2.5, "7", " 1e3 ", Fraction(1, 2))] == [3, 2.5, 7, 1000, 0.5]
    for value in (True, None, "many", "1,000", math.nan, math.inf, "inf", 10**400, [1]):
        with pytest.raises(ValueError):
            number(value)


def test_freshness_is_the_formula() -> None:
    ranking = ranked((3.0, {"date": "2026-08-29"}), (2.0, {"date": "2026-11-27"}), (1.0, {}))
    result = boosted(ranking, BoostRule("date", 0.5, half_life="90d"))
    spread = math.sqrt(2 / 3)
    # 90 days are one half-life: 2^-1 = 0.5, which changes nothing; today is 1; nobody knows of the third.
    assert values(result) == pytest.approx({"d0": 1 / spread, "d1": 0.25, "d2": -1 / spread})
    assert [s.score for s in result[1].signals if s.source == "boost(date)"] == [result[1].score]
    (step,) = result.trace.steps
    assert (step.name, step.scored, step.total) == ("boost(date)", 2, 3)
    assert [(n.code, n.message) for n in result.trace.notes] == [
        (NoteCode.BOOST, "boost(date): 1 without 'date' of 3 stay as they are")
    ]
    assert not result.trace.reranked and {c.score.kind for c in result if c.score} == {ScoreKind.FUSED}


def test_importance_is_the_formula() -> None:
    entries = [(3.0, {"votes": 0}), (2.0, {"votes": "99"}), (1.0, {"votes": 9.0})]
    spread = math.sqrt(2 / 3)
    by_log = boosted(ranked(*entries), BoostRule("votes", 2.0))
    # log 1 = 0, log 100 and log 10: the places 0, 1 and 1/2.
    assert values(by_log) == pytest.approx({"d0": 1 / spread - 1, "d1": 1.0, "d2": -1 / spread})
    assert ids(by_log) == ["d1", "d0", "d2"]
    plain = boosted(ranked(*entries), BoostRule("votes", 2.0, log=False))
    assert values(plain) == pytest.approx({"d0": 1 / spread - 1, "d1": 1.0, "d2": -1 / spread + 2 * (9 / 99 - 0.5)})


def test_without_scores_of_a_stage_ranks_count() -> None:
    """Those of a first stage are of no scale that is known; see `rerank.blend`."""
    metadata = [{"votes": 0}, {"votes": 0}, {"votes": 10}]
    logs = [-math.log(10 + rank) for rank in (1, 2, 3)]
    mean = sum(logs) / 3
    deviation = math.sqrt(sum((x - mean) ** 2 for x in logs) / 3)
    expected = {f"d{i}": (x - mean) / deviation + (0.25 if i == 2 else -0.25) for i, x in enumerate(logs)}
    first_stage = ranked(*((9.0 - i, m) for i, m in enumerate(metadata)), stage=0)
    for ranking in (unscored(*metadata), first_stage):
        assert values(boosted(ranking, BoostRule("votes", 0.5))) == pytest.approx(expected)


def test_an_order_that_scores_did_not_make_counts_by_rank() -> None:
    """A stage of one's own may keep scores, and put the candidates into another order."""
    shuffled = ranked((3.0, {}), (2.0, {}), (1.0, {})).reordered([2, 0, 1])
    assert ids(boosted(shuffled, BoostRule("date", 0.0))) == ["d2", "d0", "d1"]


def test_candidates_that_the_last_stage_left_stay_behind() -> None:
    head = ranked((3.0, {"votes": 1}), (2.0, {"votes": 9}), stage=2)
    tail = ranked((9.0, {"votes": 99}), (8.0, {}), stage=1)
    whole = replace(head, candidates=(*head, *(replace(c, document=replace(c.document, id="x")) for c in tail)))
    result = boosted(whole, BoostRule("votes", 3.0))
    assert ids(result) == ["d1", "d0", "x", "x"]
    assert [c.score.stage for c in result if c.score] == [3, 3, 1, 1] and not result.trace.notes


def test_one_candidate_and_equal_scores() -> None:
    assert values(boosted(ranked((5.0, {"votes": 7})), BoostRule("votes"))) == {"d0": 0.0}
    equal = ranked((1.0, {"votes": 1}), (1.0, {"votes": 3}), (1.0, {"votes": 2}))
    assert ids(boosted(equal, BoostRule("votes"))) == ["d1", "d2", "d0"]
    assert boosted(Ranking(Query("q")), BoostRule("votes")) == Ranking(Query("q"))


def test_the_future_is_new_and_a_note_counts_it() -> None:
    result = boosted(ranked((1.0, {"date": "2062"}), (1.0, {"date": "2026-11-27"})), BoostRule("date", half_life="1d"))
    assert values(result) == {"d0": 0.15, "d1": 0.15}
    assert result.trace.reason == "boost(date): 1 of 2 lie in the future and count as new"


def test_what_can_not_be_read_is_counted_and_named() -> None:
    entries = [(4.0, {"date": "soon"}), (3.0, {"date": 1_764_201_600}), (2.0, {"date": ""}), (1.0, {"date": 2026})]
    result = boosted(ranked(*entries), BoostRule("date", half_life="1y"))
    assert result.trace.reason == (
        "boost(date): 1 without 'date' and 2 whose 'date' is no date, such as 'soon' of 4 stay as they are"
    )
    assert result.trace.steps[0].scored == 1


def test_now_makes_a_run_reproducible() -> None:
    ranking = ranked((2.0, {"date": "2020-01-01"}), (1.0, {"date": "2019-01-01"}))
    rule = BoostRule("date", 1.0, half_life="365d", now="2020-01-01")
    assert values(boosted(ranking, rule)) == {"d0": 1.5, "d1": -1.0}  # now, and one half-life before it


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": -1.0}, "0 or more"),
        ({"weight": math.nan}, "0 or more"),
        ({"weight": math.inf}, "0 or more"),
        ({"half_life": "soon"}, "is no duration"),
        ({"unit": "s"}, "give half_life too"),
        ({"now": "2026"}, "give half_life too"),
        ({"half_life": "1d", "unit": "us"}, "s or ms; not 'us'"),
        ({"half_life": "1d", "now": "soon"}, "is no date"),
    ],
)
def test_rules_that_make_no_sense(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BoostRule("x", **arguments)


ENTRIES = st.one_of(
    st.none(), st.integers(-(10**6), 10**6), st.floats(allow_nan=True), st.sampled_from(["2020", "1990-05-01", "many"])
)
DOCUMENTS = st.lists(st.tuples(st.floats(-1e3, 1e3), ENTRIES), min_size=1, max_size=12)
RULES = st.builds(BoostRule, st.just("x"), st.floats(0, 3), st.sampled_from([None, "1d", "5y"]))


@given(DOCUMENTS, RULES)
def test_a_score_that_is_better_by_more_than_the_weight_stays_in_front(
    documents: list[tuple[float, object]], rule: BoostRule
) -> None:
    ranking = ranked(*((score, {"x": entry}) for score, entry in documents))
    before = values(boosted(ranking, replace(rule, weight=0.0)))
    after = ids(boosted(ranking, rule))
    for better in after:
        for worse in after:
            if before[better] > before[worse] + rule.weight + 1e-9:
                assert after.index(better) < after.index(worse)


@given(DOCUMENTS, RULES, st.booleans())
def test_a_weight_of_0_changes_no_order(
    documents: list[tuple[float, object]], rule: BoostRule, first_stage: bool
) -> None:
    ranking = ranked(*((score, {"x": entry}) for score, entry in documents), stage=0 if first_stage else 1)
    assert ids(boosted(ranking, replace(rule, weight=0.0))) == ids(ranking)


@given(DOCUMENTS, RULES)
def test_other_ids_change_nothing(documents: list[tuple[float, object]], rule: BoostRule) -> None:
    ranking = ranked(*((score, {"x": entry}) for score, entry in documents))
    names = {f"d{i}": f"{len(documents) - i:03}" for i in range(len(documents))}
    renamed = replace(
        ranking,
        candidates=tuple(replace(c, document=replace(c.document, id=names[c.document.id])) for c in ranking),
    )
    assert ids(boosted(renamed, rule)) == [names[name] for name in ids(boosted(ranking, rule))]


@given(DOCUMENTS, RULES, st.data())
def test_what_is_missing_is_neutral(
    documents: list[tuple[float, object]], rule: BoostRule, data: st.DataObject
) -> None:
    """A document without the entry keeps its score, whatever the others have."""
    bare = data.draw(st.integers(0, len(documents) - 1))
    entries = [(score, {} if i == bare else {"x": entry}) for i, (score, entry) in enumerate(documents)]
    ranking = ranked(*entries)
    plain, result = values(boosted(ranking, replace(rule, weight=0.0))), values(boosted(ranking, rule))
    assert all(result[c.document.id] == plain[c.document.id] for c in ranking if "x" not in c.document.metadata)


@given(DOCUMENTS, RULES, RULES)
def test_boosts_add_up_in_any_order(documents: list[tuple[float, object]], first: BoostRule, second: BoostRule) -> None:
    entries = [(score, {"x": entry, "y": i}) for i, (score, entry) in enumerate(documents)]
    second = replace(second, field="y")
    one, other = boosted(ranked(*entries), first, second), boosted(ranked(*entries), second, first)
    assert values(one) == pytest.approx(values(other), abs=1e-9)
    alone = values(boosted(ranked(*entries), replace(first, weight=0.0)))
    assume(len(documents) > 1)
    assert all(abs(v - alone[d]) <= (first.weight + second.weight) / 2 + 1e-9 for d, v in values(one).items())


class Lengths:
    """A fake scorer: the score is the length of the text."""

    info = ModelInfo("lengths", ScoreKind.LOGIT)

    def score(self, pairs: list[Pair]) -> Scores:
        return Scores.of([len(c.document.text) for _, c in pairs], self.info)


class ReadsNothing(Lengths):
    def foreign(self, texts: list[str], role: str) -> list[str]:
        return ["xx"] * len(texts)

    def misfit(self, query: str, passages: list[str]) -> str:
        return "it reads nothing; take another model"


DOCUMENTS_OF_VOTES = [Document("a", "aaaa", metadata={"votes": 0}), Document("b", "bbb", metadata={"votes": 50})]


def test_a_boost_counts_where_no_model_is_asked() -> None:
    """A guard and a rule skip the models, and nothing that the user wants of the metadata."""
    ranking = Ranking.unscored(Query("q"), DOCUMENTS_OF_VOTES)
    for text in ('x >> boost("votes", weight=9)', 'x | y >> boost("votes", weight=9)'):
        (result,) = drive(Pipeline.parse(text).stage(lambda name: ReadsNothing()), [ranking])
        assert ids(result) == ["b", "a"] and not result.trace.reranked
        assert [note.code for note in result.trace.notes] == [NoteCode.LANGUAGE]
    rule = WhenRule("", {}, (), "nDCG@10", 0.01, Expectation(-1.0, {}))
    skipping = When(rule, Pointwise(Lengths()), otherwise=Boost(BoostRule("votes", 9.0)))
    (result,) = drive(skipping, [ranking])
    assert ids(result) == ["b", "a"] and [note.code for note in result.trace.notes] == [NoteCode.WHEN]


def test_a_boost_in_front_of_a_model_decides_what_it_sees() -> None:
    stage = Pipeline.parse('boost("votes", weight=9) >> lengths@1').stage(lambda name: Lengths())
    (result,) = drive(stage, [Ranking.unscored(Query("q"), DOCUMENTS_OF_VOTES)])
    assert [s.name for s in result.trace.steps] == ["boost(votes)", "lengths"]
    assert ids(result) == ["b", "a"] and result[0].score == Score(3.0, ScoreKind.LOGIT, "lengths", 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a >> boost", "names the field"),
        ('a >> boost(half_life="1d")', "names the field"),
        ("a >> boost(date)", "is no parameter"),
        ('a >> boost("d", half_life="90")', 'such as "12h", "90d" or "2y"; not \'90\''),
        ('a >> boost("d", half_life="1d", now="soon")', "a date in double quotes"),
        ('a >> boost("d", unit="us")', '"s" or "ms"; not \'us\''),
        ('a >> boost("d", unit="s")', "give half_life too"),
        ('a >> boost("d", half_life="1d", log=true)', "leave one out"),
        ('a >> boost("d", log=1)', "true or false; not 1"),
        ('a >> boost@5("d")', "boost takes no depth"),
        ('a >> boost("d") >> blend', "stands behind a blend"),
        ('boost("d") >> blend', "a boost stands behind a blend"),
        ('boost("d") >> relevant', "a relevant needs a model"),
        ('when("f") >> boost("d") >> a', "behind the models that when skips"),
    ],
)
def test_pipelines_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Pipeline.parse(text)


def test_texts_of_boosts() -> None:
    assert boosts("") == boosts(" ") == ()
    parts = boosts('boost("date", half_life="90d") >> boost(field="votes", log=false)')
    assert [str(part) for part in parts] == ['boost(field="date", half_life="90d")', 'boost(field="votes", log=false)']
    for text in ("bm25", "a", 'boost("d") >> top 3', 'no guard >> boost("d")', 'bm25 >> boost("d")'):
        with pytest.raises(InputError, match="is no boost"):
            boosts(text)


PASSAGES = [
    {"id": "old", "text": "The ferry to the island leaves at nine in summer.", "date": "1990-01-01", "votes": 90},
    {"id": "new", "text": "The ferry to the island leaves at nine in winter.", "date": "2026-11-01", "votes": 0},
    {"id": "far", "text": "Bread is baked daily in the old oven.", "date": "2026-11-27", "votes": 5},
]
FRESH = 'boost("date", half_life="1y", now="2026-11-27", weight=1)'


STRONG = FRESH.replace("weight=1", "weight=9")


def test_the_library_boosts(mini: Reranker) -> None:
    index = Index.of(PASSAGES, embedder=False)
    asked = "when does the ferry leave in summer"

    def rankings(boost: str) -> list[Ranking]:
        behind = f" >> {boost}" if boost else ""
        return [
            mini.rerank(asked, PASSAGES, boost=boost),
            index.search(asked, reranker=mini, boost=boost),
            index.search(asked, reranker=False, boost=boost),
            index.run(f"bm25 >> resift-mini-en >> blend{behind}", asked),
            index.run(f"bm25{behind}", asked),
        ]

    assert {ids(ranking)[0] for ranking in rankings("")} == {"old"}
    for ranking in rankings(STRONG):
        assert ids(ranking)[0] != "old" and ranking.trace.steps[-1].name == "boost(date)"
        assert {c.score.source for c in ranking if c.score} == {"boost(date)"}
    for call in (lambda: index.search(asked, boost="blend"), lambda: mini.rerank(asked, PASSAGES, boost="x")):
        with pytest.raises(InputError, match="is no boost"):
            call()


@pytest.fixture
def passages(tmp_path: Path) -> str:
    path = tmp_path / "passages.jsonl"
    path.write_text("".join(json.dumps(passage) + "\n" for passage in PASSAGES))
    return str(path)


def cli(*arguments: str, stdin: str = "") -> str:
    result = CliRunner().invoke(app, arguments, input=stdin, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_commands_boost(passages: str) -> None:
    asked = "when does the ferry leave in summer"
    for options in (["--no-rerank"], ["--model", "resift-mini-en"]):
        common = ["search", asked, passages, "--json", *options]
        assert json.loads(cli(*common))["results"][0]["id"] == "old"
        answer = json.loads(cli(*common, "--boost", STRONG, "--boost", 'boost("votes", weight=0)'))
        assert answer["results"][0]["id"] != "old"
        assert [step["name"] for step in answer["trace"]][-2:] == ["boost(date)", "boost(votes)"]
    request = json.dumps({"query": asked, "documents": PASSAGES})
    (line,) = cli("rerank", "--model", "resift-mini-en", "--boost", STRONG, stdin=request).splitlines()
    assert json.loads(line)["results"][-1]["id"] == "old"


def test_explain_shows_what_a_boost_did(passages: str) -> None:
    shown = cli("search", "ferry", passages, "--no-rerank", "--explain", "--boost", FRESH)
    assert "boost(date)" in shown and "fused" in shown
    assert "3/3" in shown or "2/2" in shown  # of how many candidates the date was read


def test_commands_refuse_what_is_no_boost(passages: str) -> None:
    for command in (["search", "x", passages], ["rerank"]):
        with pytest.raises(InputError, match="is no boost"):
            CliRunner().invoke(app, [*command, "--boost", "blend"], catch_exceptions=False)
