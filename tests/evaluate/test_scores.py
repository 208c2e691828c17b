"""The scores and texts that an evaluation keeps for its report."""

import json
from dataclasses import replace

import numpy as np
import pytest

from resift.errors import InputError
from resift.evaluate import Evaluation, EvaluationOptions, as_json, evaluate
from resift.evaluate.evaluation_json import of_json
from resift.evaluate.shown_documents import beginnings, by_change, shown_documents
from resift.types import Document
from tests.evaluate.small import CountingScorer, collection, models

BLENDED, DEEP = "bm25 >> overlap@5 >> blend", "bm25 >> overlap@9"


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate(collection(), [BLENDED, DEEP], EvaluationOptions(cache=False, models=models(CountingScorer())))


def test_scores_are_those_of_the_model_also_under_a_blend(evaluation: Evaluation) -> None:
    texts = {document.id: document.text for document in collection().documents}
    assert evaluation.run("bm25").scores is None
    for name, depth in ((BLENDED, 5), (DEEP, 9)):
        run = evaluation.run(name)
        assert run.scores is not None and (run.scores.model, run.scores.kind) == ("overlap", "logit")
        for i, (query, values) in enumerate(zip(evaluation.queries, run.scores.values, strict=True)):
            documents = evaluation.ranking(run, i)[: len(values)]
            assert len(values) == min(depth, len(evaluation.ranking(run, i)))
            shared = [len(set(query.text.split()) & set(texts[d].split())) - len(texts[d]) / 1000 for d in documents]
            assert values == pytest.approx(shared)


def test_scores_stay_in_the_file_and_older_files_have_none(evaluation: Evaluation) -> None:
    value = json.loads(json.dumps(as_json(evaluation)))
    assert json.loads(json.dumps(as_json(of_json(value, "e.json")))) == value
    for entry in value["pipelines"]:
        entry.pop("scores", None)
    assert [run.scores for run in of_json(value, "e.json").pipelines] == [None] * 3


def test_a_file_whose_parts_do_not_fit_is_refused(evaluation: Evaluation) -> None:
    value = as_json(evaluation)
    del value["pipelines"][1]["ms"][0]
    with pytest.raises(InputError, match="has 11 values for 12 queries"):
        of_json(value, "e.json")
    value = as_json(evaluation)
    del value["pipelines"][0]
    with pytest.raises(InputError, match="'bm25', the first stage of '.*', is not there"):
        of_json(value, "e.json")


def test_the_shown_documents_are_the_first_ones_and_relevant_ones_wherever_they_stand(evaluation: Evaluation) -> None:
    run, first_stage = evaluation.run(DEEP), evaluation.run("bm25")
    for i, grades in enumerate(evaluation.grades):
        shown = shown_documents(evaluation, run, i)
        relevant = sorted((d for d, g in grades.items() if g > 0), key=lambda d: (-grades[d], d))[:5]
        first = {*run.rankings[i][:5].tolist(), *first_stage.rankings[i][:5].tolist()} - {-1}
        assert set(shown) == first | set(relevant) and len(shown) == len(set(shown))
        places = [run.rankings[i].tolist().index(d) for d in shown if d in run.rankings[i]]
        assert places == sorted(places)


def test_texts_of_the_queries_that_changed_most_come_first(
    evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(evaluation.texts) == {
        evaluation.documents[d]
        for run in evaluation.pipelines
        if run.reranks
        for i in range(len(evaluation.queries))
        for d in shown_documents(evaluation, run, i)
    }
    gains = np.abs(evaluation.gain(evaluation.run(DEEP), "nDCG@10"))
    assert np.all(np.diff(gains[by_change(evaluation, evaluation.run(DEEP))]) <= 0)
    monkeypatch.setattr("resift.evaluate.shown_documents._ALL_TEXTS", 0)
    unchanged = replace(evaluation, pipelines=evaluation.pipelines[:1])  # nothing is hurt
    assert len(beginnings(unchanged, lambda id_: Document(id_, "x" * 1000))) == 1
