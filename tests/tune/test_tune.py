"""Tuning on a small collection: the product's orders, choices that do no harm, the folder, and the command."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from resift import Reranker
from resift.cli.main import app
from resift.errors import InputError
from resift.evaluate import Dataset, EvaluationOptions, evaluate
from resift.evaluate.first_stages import FirstStages
from resift.evaluate.result_cache import Cost, RecordedScorer, ResultCache
from resift.measures import ndcg
from resift.pipeline import Part, Pipeline, read_pipeline
from resift.protocols import Flow
from resift.tune import LearnedStage, Tuned, TuneOptions, tune, write
from resift.tune.fit import DEFAULT, choose, fit, smooth
from resift.tune.run import _Tuning
from resift.tune.space import Opinion, Space, tuned_pipeline
from resift.tune.tables import ideal_gain, table
from resift.types import ModelInfo, Pair, Query, Ranking, ScoreKind, Scores
from resift.worth.first_stage_grid import FirstStage
from resift.worth.splits import folds
from tests.evaluate.small import ConstantScorer, CountingScorer, collection, models

DATA = collection(queries=60, documents=120)
QUERIES = range(len(DATA.queries))


class Grades:
    """The grade of a pair with noise: the more of it, the less the model is worth beside the first stage."""

    def __init__(self, noise: float, weight: float = 2.0, data: Dataset = DATA, sign: int = 1) -> None:
        self.info = ModelInfo("grades", ScoreKind.LOGIT, blend_weight=weight)
        self.noise, self.data, self.sign = noise, data, sign
        self.ids = {query.text: query.id for query in data.queries}

    def score(self, pairs: Sequence[Pair]) -> Scores:
        values = []
        for query, candidate in pairs:
            grade = self.data.qrels.get(self.ids.get(query.text, ""), {}).get(candidate.document.id, 0)
            luck = np.random.default_rng(crc32(f"{query.text}\n{candidate.document.text}".encode())).normal()
            values.append(self.sign * grade + self.noise * luck)
        return Scores.of(values, self.info)


class Gaps(CountingScorer):
    """Some documents have no score."""

    def score(self, pairs: Sequence[Pair]) -> Scores:
        values = [None if "7" in c.document.text else float(len(c.document.text) % 13) for _, c in pairs]
        return Scores.of(values, self.info)


def options(scorer: Grades | CountingScorer | ConstantScorer, stages: str, **others: object) -> TuneOptions:
    base = TuneOptions(stages, learn=False, cache=False, models={scorer.info.name: Reranker(scorer)})
    return replace(base, **others)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "bm25 + dense >> overlap@20 >> blend",
        "bm25 + dense(weight=0.5, rank_constant=60) >> overlap@20 >> blend(weight=2)",
        "bm25 + dense >> overlap@4 >> blend(dense=0.4)",
        "bm25(k1=0.9) >> overlap@20",
        "dense >> overlap@20 >> blend >> top 15",
    ],
)
def test_every_option_is_what_its_pipeline_does(text: str) -> None:
    """Also where documents have no score, and where fewer are scored than were found."""
    scorer, default = Gaps(), Pipeline.parse(text)
    data = replace(DATA, queries=DATA.queries[:8])
    tuning = _Tuning(data, default, Reranker(scorer), ResultCache(), options(scorer, text), lambda *_: None)
    chosen: dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]] = {str(default): np.zeros(0)}
    for space in tuning.spaces:
        tuning.signals.score(space.firsts, lambda *_: None)
        values = table(space, tuning.signals.candidates, 8, lambda: None)
        for i in range(0, len(values), max(1, len(values) // 7)):
            chosen[str(tuned_pipeline(default, *space.option(i), tuning.grid.own_weight))] = values[i]
    chosen[str(default)] = tuning._default_values()
    evaluation = evaluate(data, chosen, EvaluationOptions(("nDCG@10",), cache=False, models=models(scorer)))
    for pipeline, expected in chosen.items():
        assert evaluation.run(pipeline).values["nDCG@10"] == pytest.approx(expected), pipeline
    assert len({tuple(np.round(v, 6)) for v in chosen.values()}) > 1


def test_each_pair_is_scored_once_and_a_second_run_scores_none(tmp_path: Path) -> None:
    first, second = CountingScorer(), CountingScorer()
    text = "bm25 + dense >> overlap@20 >> blend"
    a, b = (tune(DATA, options(s, text, cache=tmp_path)) for s in (first, second))
    assert len(first.pairs) == len(set(first.pairs)) > 0 and not second.pairs
    assert (a.pipeline, a.levels) == (b.pipeline, b.levels)


def test_a_model_that_is_better_than_its_weight_gets_more() -> None:
    result = tune(DATA, options(Grades(0.1, weight=0.1), "bm25 >> grades@20 >> blend"))
    assert result.level == 1 and result.sentence.startswith("tuned (blend): +")
    weight = Pipeline.parse(result.pipeline).stages[1].value("weight")
    assert isinstance(weight, float) and weight >= 0.4
    level = result.levels[0]
    assert level.gain.low > 0 and level.gain == level.step and level.value > result.default_value
    assert [x.level for x in result.levels] == [1, 2]  # level 2 was tried, and no better than level 1


def test_a_model_that_is_wrong_gets_less() -> None:
    result = tune(DATA, options(Grades(0.1, weight=4.0, sign=-1), "bm25 >> grades@20 >> blend"))
    assert result.level == 1 and float(Pipeline.parse(result.pipeline).stages[1].value("weight") or 0) <= 1


def test_what_can_t_be_better_stays() -> None:
    for scorer in (ConstantScorer(), Grades(0.0, weight=100.0)):
        default = f"bm25 >> {scorer.info.name}@20 >> blend"
        result = tune(DATA, options(scorer, default))
        assert result.level == 0 and result.pipeline == default
        assert result.sentence.startswith("the default is as good: ")
        assert "blend, fusion and BM25" in result.sentence or "the blend gives" in result.sentence


def test_few_queries() -> None:
    few = replace(DATA, queries=DATA.queries[:12])
    scorer = CountingScorer()
    result = tune(few, options(scorer, "bm25 >> overlap@20 >> blend"))
    assert result.level is None and result.pipeline == "bm25 >> overlap@20 >> blend" and not scorer.pairs
    assert "can't be known from 12 queries" in result.sentence and "label at least 8 more" in result.sentence
    alike = replace(DATA, queries=tuple(Query("lamp", query.id) for query in DATA.queries))
    with pytest.raises(InputError, match="all queries have the same text"):
        tune(alike, options(scorer, "bm25 >> overlap@20 >> blend"))


def test_the_candidates_of_a_run() -> None:
    data = collection(queries=40, documents=120, run=True)
    scorer = Grades(0.1, weight=0.01, data=data)
    result = tune(data, options(scorer, "grades@20 >> blend"))
    assert result.level == 1 and [x.level for x in result.levels] == [1]
    assert result.pipeline.startswith("grades@20 >> blend(weight=")


@pytest.mark.parametrize(
    "text",
    ["bm25 + dense", "bm25 >> a@10 >> b@5", "bm25 >> a | b@10 >> blend", "bm25 >> a >> blend >> relevant"],
)
def test_what_can_t_be_tuned_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"can't be tuned; name retrievers, one model and a blend"):
        tune(DATA, TuneOptions(text))


SPACE = Space((FirstStage(),), (Opinion(), Opinion(0.0), Opinion(0.5), Opinion(1.0)), (1.0, 2.0, 4.0))


def test_neighbours_are_smoothed_by_hand() -> None:
    """The middle gets a quarter of each side and half of itself, an end a third of its only neighbour."""
    values = np.zeros((12, 1))
    values[7] = 1.0  # the share 0.5 with the weight 2
    smoothed = smooth(SPACE, values).reshape(4, 3)
    assert not smoothed[0].any()  # the default's opinion is nobody's neighbour
    across, along = np.array([1 / 3, 1 / 2, 1 / 3]), np.array([1 / 3, 1 / 2, 1 / 3])
    assert smoothed[1:] == pytest.approx(np.outer(across, along))
    assert smooth(SPACE, np.ones((12, 3))) == pytest.approx(np.ones((12, 3)))


def test_the_choice_by_hand() -> None:
    """Means 0.1 and 0.2, standard errors 0.05 and 0.2 with four queries: the surer one wins, and a loss never."""
    gains = np.array([[0.0, 0.2, 0.0, 0.2], [0.6, -0.2, 0.6, -0.2], [-0.1, -0.1, -0.1, -0.1]])
    once = np.ones((1, 4))
    assert choose(gains, once).tolist() == [0]
    assert choose(gains[1:], once).tolist() == [DEFAULT]  # 0.2 - 0.2 is not above 0
    assert choose(gains[1:], np.array([[1.0, 0, 1, 0], [0, 1, 0, 1]])).tolist() == [0, DEFAULT]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.permutations(range(30)))
def test_the_gain_is_that_of_the_measure(grades: list[int], order: list[int]) -> None:
    judged = {str(i): grade for i, grade in enumerate(grades)}
    ranking = [str(i) for i in order if i < len(grades)]
    gains = [judged[i] / np.log2(rank + 1) for rank, i in enumerate(ranking[:10], 1)]
    ideal = ideal_gain(grades)
    assert (sum(gains) / ideal if ideal else 0.0) == pytest.approx(ndcg(ranking, judged, 10))


@pytest.mark.parametrize("queries", [50, 200])
def test_luck_is_seldom_taken_for_a_gain(queries: int) -> None:
    """Of 100 collections on which no option is better, few are called better, and none loses much."""
    rng = np.random.default_rng(queries)
    split = folds([Query(f"query {i}") for i in range(queries)])
    taken, losses = 0, []
    for trial in range(100):
        default = rng.uniform(0, 1, queries)
        luck = rng.normal(0, 0.1, (12, queries))
        fitted = fit(SPACE, default + luck, default, split, trial)
        difference = fitted.values - default
        half = 1.96 * fitted.factor * difference.std() / queries**0.5
        taken += fitted.option != DEFAULT and difference.mean() > half > 0
        losses.append(difference.mean())
    assert taken <= 5 and np.mean(losses) > -0.004


class Learned:
    """A stage that sorts by the grades that it was shown the query's length with: an oracle, or its opposite."""

    name = "learned"

    def __init__(self, sign: int) -> None:
        self.sign = sign

    def order(self, ranking: Ranking) -> Flow:
        yield from ()
        grades = DATA.qrels[ranking.query.id]
        places = sorted(range(len(ranking)), key=lambda i: -self.sign * grades.get(ranking[i].document.id, 0))
        return ranking.reordered(places)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_learned_stage_is_fitted_in_each_fold(sign: int, tmp_path: Path) -> None:
    shown: list[set[str]] = []

    def learn(rankings: Sequence[Ranking], grades: Sequence[Mapping[str, int]]) -> LearnedStage:
        assert len(rankings) == len(grades)
        assert all(any(s.source == "overlap" for s in c.signals) for r in rankings for c in r.candidates[:20])
        shown.append({ranking.query.id for ranking in rankings})
        return LearnedStage(Learned(sign), save)

    def save(folder: Path) -> Part:
        (folder / "learned.txt").write_text("trees")
        return Part(str(folder / "learned.txt"))

    result = tune(DATA, options(CountingScorer(), "bm25 >> overlap@20 >> blend", learn=learn))
    assert len(shown) == 6 and [len(ids) for ids in shown] == [48] * 5 + [60]
    assert not set.intersection(*shown[:5])  # each query is left out once
    level = result.levels[2]
    assert (level.level, level.name) == (3, "learned stage")
    if sign < 0:
        assert result.level == 0 and level.gain.high < 0
        return
    assert result.level == 3 and level.gain.low > 0
    written = write(result, tmp_path / "tuned")
    assert (tmp_path / "tuned" / "learned.txt").read_text() == "trees"
    pipeline = read_pipeline(tmp_path / "tuned")
    assert str(pipeline) == written.pipeline == f"{result.pipeline} >> {tmp_path / 'tuned' / 'learned.txt'}"


def test_the_folder_is_a_pipeline(tmp_path: Path) -> None:
    result = tune(DATA, options(Grades(0.1, weight=0.1), "bm25 >> grades@20 >> blend"))
    write(result, tmp_path / "tuned")
    assert read_pipeline(tmp_path / "tuned") == Pipeline.parse(result.pipeline)
    report = json.loads((tmp_path / "tuned" / "report.json").read_text())
    assert (report["schema"], report["kind"], report["level"]) == (1, "tuned", 1)
    assert report["levels"][0]["gain"]["low"] > 0 and report["statistics"]["level"] == 0.975
    write(result, tmp_path / "tuned")  # an older result gives way
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "a.txt").write_text("a")
    with pytest.raises(InputError, match="holds other files"):
        write(result, tmp_path / "others")
    with pytest.raises(InputError, match="can't make the folder"):
        write(result, tmp_path / "others" / "a.txt")


def beir(folder: Path, data: Dataset) -> Path:
    """A data set as a BEIR folder."""
    (folder / "qrels").mkdir(parents=True)
    documents = [{"_id": d.id, "text": d.text} for d in (data.documents[i] for i in range(len(data.documents)))]
    queries = [{"_id": query.id, "text": query.text} for query in data.queries]
    for name, lines in (("corpus", documents), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    grades = [f"{q}\t{d}\t{grade}\n" for q, judged in data.qrels.items() for d, grade in judged.items()]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(grades))
    return folder


def test_the_command(tmp_path: Path) -> None:
    source = beir(tmp_path / "data", collection(queries=24, documents=40))
    command = ["tune", str(source), "--cache", str(tmp_path / "cache"), "-o", str(tmp_path / "tuned")]
    result = CliRunner().invoke(app, [*command, "--pipeline", "bm25 >> resift-mini-en@10 >> blend"])
    assert result.exit_code == 0, result.output
    assert "nDCG@10 on 24 queries" in result.output and "2: blend, fusion and BM25" in result.output
    pipeline = read_pipeline(tmp_path / "tuned")
    again = CliRunner().invoke(app, [*command, "--pipeline", str(tmp_path / "tuned"), "--json"])
    assert json.loads(again.output)["default"] == str(pipeline)
    few = CliRunner().invoke(app, ["tune", str(source), "--limit", "5"])
    assert few.exit_code == 0 and "can't be known from 5 queries" in few.output
    wrong = CliRunner().invoke(app, ["tune", str(source), "--pipeline", "bm25"])
    assert isinstance(wrong.exception, InputError)


def test_signals_are_the_retrievers_own() -> None:
    """The first stage of the grid in numbers: its order, its scores, and the model's within the depth alone."""
    scorer = CountingScorer()
    default = Pipeline.parse("bm25 + dense >> overlap@5 >> blend")
    tuning = _Tuning(DATA, default, Reranker(scorer), ResultCache(), options(scorer, str(default)), lambda *_: None)
    first = tuning.grid.stages[0]
    tuning.signals.score([first], lambda *_: None)
    recorded = RecordedScorer(scorer, ResultCache(), Cost())
    for q in QUERIES[:5]:
        ranking = FirstStages(DATA, ResultCache()).ranking(default.retrievers, DATA.queries[q], 100).ranking
        candidates = tuning.signals.candidates(first, q)
        of_kind = [{s.score.kind: s.score.value for s in c.signals if s.score} for c in ranking]
        for kind, column in ((ScoreKind.BM25, candidates.lexical), (ScoreKind.COSINE, candidates.cosine)):
            assert column == pytest.approx([scores.get(kind, np.nan) for scores in of_kind], nan_ok=True)
        scores = recorded.score([(ranking.query, c) for c in ranking.candidates[:5]]).values
        assert candidates.model[:5] == pytest.approx(list(scores)) and np.isnan(candidates.model[5:]).all()
        assert candidates.grades.tolist() == [DATA.qrels[DATA.queries[q].id].get(c.document.id, 0) for c in ranking]


def test_the_result_for_people() -> None:
    result = tune(DATA, options(CountingScorer(), "bm25 + dense >> overlap@20 >> blend"))
    assert isinstance(result, Tuned)
    table = result.table()
    assert [row[0] for row in table.rows] == ["the default", "1: blend", "2: blend, fusion and BM25"]
    assert table.headings[2] == "gain, 97.5 %" and "seed 0" in result.remarks()[-1]
