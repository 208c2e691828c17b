"""What an evaluation says of each stage of a pipeline: the order that it left, milliseconds, tokens."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resift import Reranker
from resift.errors import InputError
from resift.evaluate import Evaluation, EvaluationOptions, as_html, as_json, evaluate, read_evaluation, summaries
from resift.evaluate.figures import tables
from resift.evaluate.outputs import markdown
from resift.protocols import Role
from resift.types import Judgement, ModelInfo, Pair, ScoreKind, Scores
from tests.evaluate.small import CountingScorer, collection, models


class Reading(CountingScorer):
    """Reads ten tokens of each pair."""

    def score(self, pairs: Sequence[Pair]) -> Scores:
        scores = super().score(pairs)
        return replace(scores, tokens=10 * len(pairs))


class Backwards:
    """The other way round than the scorer that the others have."""

    info = ModelInfo("backwards", ScoreKind.LOGIT)

    def score(self, pairs: Sequence[Pair]) -> Scores:
        judgements = [Judgement(float(len(c.document.text)), tokens=3) for _, c in pairs]
        return Scores(tuple(judgements), self.info.kind, self.info.name, 3 * len(pairs))


class ReadsNothing(Reading):
    def misfit(self, query: str, passages: Sequence[str]) -> str:
        return "it reads nothing; take another model"

    def foreign(self, texts: Sequence[str], role: Role) -> list[str]:
        return ["xx"] * len(texts)


CASCADE = "bm25 >> overlap@20 >> backwards@3 >> blend"


def evaluated(*pipelines: str, scorer: type[CountingScorer] = Reading, **settings: Any) -> Evaluation:
    known = models(scorer()) | {"backwards": Reranker(Backwards())}
    return evaluate(collection(**settings), pipelines, EvaluationOptions(cache=False, models=known))


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluated("bm25 >> overlap@20", "bm25 >> overlap@20 >> backwards@3", CASCADE)


def test_the_order_after_a_stage_is_that_of_the_pipeline_up_to_it(evaluation: Evaluation) -> None:
    run = evaluation.run(CASCADE)
    assert [stage.stage for stage in run.stages] == ["bm25", "overlap@20", "backwards@3", "blend"]
    prefixes = ["bm25", "bm25 >> overlap@20", "bm25 >> overlap@20 >> backwards@3", CASCADE]
    for stage, prefix in zip(run.stages, prefixes, strict=True):
        for measure in evaluation.measures:
            assert stage.values[measure].tolist() == evaluation.run(prefix).values[measure].tolist()
    assert len({tuple(stage.values["nDCG@10"]) for stage in run.stages}) == 4  # each does something here


def test_costs_are_those_of_the_stage_alone(evaluation: Evaluation) -> None:
    run = evaluation.run(CASCADE)
    retrieved = np.minimum((evaluation.run("bm25").rankings >= 0).sum(axis=1), 20)
    first, overlap, backwards, blend = (stage.tokens.tolist() for stage in run.stages)
    assert not any(first) and not any(blend)
    assert overlap == (10 * retrieved).tolist() and backwards == (3 * np.minimum(retrieved, 3)).tolist()
    assert np.sum([stage.tokens for stage in run.stages], axis=0).tolist() == run.tokens.tolist()
    total = np.sum([stage.ms for stage in run.stages], axis=0)
    assert all((stage.ms >= 0).all() for stage in run.stages)
    assert (total <= run.ms + 0.1).all() and total.sum() > 0.5 * run.ms.sum()


def test_one_stage_has_nothing_to_tell_apart(evaluation: Evaluation) -> None:
    assert not evaluation.run("bm25").stages and not evaluation.run("bm25 >> overlap@20").stages
    alone = evaluated("bm25 >> overlap@20")
    assert len(tables(alone)) == 3 and "Stage by stage" not in markdown(alone)


def test_a_stage_that_was_skipped_left_the_order_and_took_nothing() -> None:
    pipeline = 'bm25 >> overlap@20 >> blend >> boost("votes")'
    run = evaluated(pipeline, scorer=ReadsNothing).pipelines[-1]
    assert [stage.stage for stage in run.stages] == ["bm25", "overlap@20", "blend", 'boost(field="votes")']
    for stage in run.stages[1:]:
        assert stage.values["nDCG@10"].tolist() == run.stages[0].values["nDCG@10"].tolist()
    assert run.notes == {"language": 12, "boost": 12}
    assert not run.stages[1].ms.any() and not run.stages[2].ms.any() and run.stages[3].ms.any()


def test_the_language_decides_as_in_a_search() -> None:
    """Of several models the first that reads the texts is taken; see `rerank.guard`."""
    either, second = (evaluated(text, scorer=ReadsNothing).pipelines[-1] for text in (
        "bm25 >> overlap | backwards@5", "bm25 >> backwards@5"))  # fmt: skip
    assert either.rankings.tolist() == second.rankings.tolist() and either.notes == {"model": 12}


def test_candidates_of_the_data_are_the_first_stage() -> None:
    run = evaluated("overlap@20 >> blend", run=True).pipelines[-1]
    assert [stage.stage for stage in run.stages] == ["run", "overlap@20", "blend"]


def test_summaries_and_tables(evaluation: Evaluation) -> None:
    figures = {summary.pipeline: summary for summary in summaries(evaluation)}
    stages = figures[CASCADE].stages
    assert not figures["bm25"].stages
    run = evaluation.run(CASCADE)
    for stage, summary in zip(run.stages, stages, strict=True):
        assert summary.measures["nDCG@10"] == pytest.approx(stage.values["nDCG@10"].mean())
        assert summary.tokens == pytest.approx(stage.tokens.mean())
        assert summary.ms_p50 == pytest.approx(np.percentile(stage.ms, 50))
        assert summary.ms_p95 == pytest.approx(np.percentile(stage.ms, 95))
    assert stages[0].gain is None
    gains = [stage.gain.value for stage in stages if stage.gain]
    assert sum(gains) == pytest.approx(evaluation.gain(run, "nDCG@10").mean())
    table = tables(evaluation)[-1]
    assert table.title == "Stage by stage" and len(table.rows) == 3 + 4
    assert [row[:2] for row in table.rows[3:]] == [(CASCADE, stage.stage) for stage in run.stages]
    assert all(len(row) == len(table.headings) for row in table.rows)


def test_they_are_in_json_markdown_and_the_report(evaluation: Evaluation, tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(as_json(evaluation)))
    again = read_evaluation(path)
    assert json.loads(json.dumps(as_json(again))) == json.loads(path.read_text())
    assert len(again.run(CASCADE).stages) == 4
    assert "## Stage by stage" in markdown(again)
    page = as_html(again)
    assert "Stage by stage" in page and "backwards@3" in page
    value = json.loads(path.read_text())
    value["pipelines"][-1]["stages"][1]["tokens"].pop()
    path.write_text(json.dumps(value))
    with pytest.raises(InputError, match="is a damaged evaluation"):
        read_evaluation(path)
    for entry in value["pipelines"]:
        entry.pop("stages", None)
    path.write_text(json.dumps(value))
    assert not read_evaluation(path).run(CASCADE).stages  # of a file of before


def test_of_one_cascade_each_line_begins_with_the_stage() -> None:
    """The pipeline's text stands in the title, and not on each line."""
    table = tables(evaluated(CASCADE))[-1]
    assert table.title == f"Stage by stage: {CASCADE}" and table.headings[0] == "after"
    assert [row[0] for row in table.rows] == ["bm25", "overlap@20", "backwards@3", "blend"]


def test_notes_are_counted_by_query() -> None:
    """Two stages that note the same of a query are one query with the note."""
    boosts = 'boost("nothing") >> boost("nowhere")'
    run = evaluated(f"bm25 >> overlap@20 >> {boosts}").pipelines[-1]
    assert run.notes["boost"] == len(run.ms)
