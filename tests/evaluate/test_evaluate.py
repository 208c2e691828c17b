"""An evaluation ranks as the product does, scores each pair once, and its figures can be checked by hand."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from resift import Index, load
from resift.errors import InputError, ModelError
from resift.evaluate import Dataset, EvaluationOptions, as_json, evaluate, read_evaluation, summaries
from resift.evaluate.evaluation_json import of_json
from resift.files import RunLine
from resift.types import Document, Pair, Query, Scores
from tests.evaluate.small import ConstantScorer, CountingScorer, collection, models

OVERLAP = "bm25 >> overlap"


@pytest.mark.parametrize(
    "text",
    [
        "bm25 + dense >> resift-mini-en@5 >> blend",
        "bm25 >> resift-mini-en@7",
        "dense >> resift-mini-en@6 >> blend(weight=0.5) >> top 4",
        "bm25 + dense",
        "bm25(k1=0.6, b=0.2) + dense(weight=0.7) >> resift-mini-en@5 >> blend(weight=0.5, dense=0.9)",
        "bm25(k1=3)",
    ],
)
def test_rankings_are_those_of_the_index(text: str) -> None:
    data = collection(queries=4, documents=30)
    evaluation = evaluate(data, [text], EvaluationOptions(cache=False))
    index = Index.of(data.documents, pipeline=text)
    run = evaluation.run(text)
    executed = text if "top" in text else f"{text} >> top 100"
    for q, query in enumerate(data.queries):
        assert evaluation.ranking(run, q) == [c.document.id for c in index.run(executed, query)]


def test_rankings_are_those_of_the_reranker() -> None:
    data = collection(queries=3, run=True)
    evaluation = evaluate(data, ["resift-mini-en"], EvaluationOptions(cache=False))
    model, run = load(), evaluation.run("resift-mini-en")
    assert data.run is not None and evaluation.run("").baseline == run.baseline == ""
    for q, query in enumerate(data.queries):
        documents = [data.documents[data.documents.row(i)] for i in data.run[query.id]]
        assert evaluation.ranking(evaluation.run(""), q) == [d.id for d in documents]
        assert evaluation.ranking(run, q) == [c.document.id for c in model.rerank(query, documents)]


def test_each_pair_is_scored_once(tmp_path: Path) -> None:
    data, scorer = collection(), CountingScorer()
    options = EvaluationOptions(depths=(2, 5, 10), cache=tmp_path, models=models(scorer))
    evaluation = evaluate(data, [OVERLAP, f"{OVERLAP} >> blend"], options)
    names = [run.pipeline for run in evaluation.pipelines]
    assert names[0] == "bm25" and len(names) == 7
    deepest = sum(min(10, len(evaluation.ranking(evaluation.run("bm25"), q))) for q in range(len(data.queries)))
    assert len(scorer.pairs) == len(set(scorer.pairs)) == deepest


def test_a_second_evaluation_scores_only_what_is_new(tmp_path: Path) -> None:
    data, first, again, other = collection(), CountingScorer(), CountingScorer(), CountingScorer("other")
    before = evaluate(data, [OVERLAP], EvaluationOptions(cache=tmp_path, models=models(first)))
    both = evaluate(data, [OVERLAP, "bm25 >> other"], EvaluationOptions(cache=tmp_path, models=models(again, other)))
    assert first.pairs and not again.pairs and len(other.pairs) == len(first.pairs)
    assert (both.run(OVERLAP).rankings == before.run(OVERLAP).rankings).all()
    assert both.run(OVERLAP).ms == pytest.approx(before.run(OVERLAP).ms, abs=50)  # what it took then, and this overhead
    assert (both.run(OVERLAP).tokens == before.run(OVERLAP).tokens).all()


def test_a_run_that_was_stopped_goes_on(tmp_path: Path) -> None:
    data, stopped, resumed = collection(), CountingScorer(stop_after=25), CountingScorer()
    with pytest.raises(KeyboardInterrupt):
        evaluate(data, [OVERLAP], EvaluationOptions(cache=tmp_path, models=models(stopped)))
    evaluation = evaluate(data, [OVERLAP], EvaluationOptions(cache=tmp_path, models=models(resumed)))
    assert stopped.pairs and resumed.pairs and not set(stopped.pairs) & set(resumed.pairs)
    unstopped = evaluate(data, [OVERLAP], EvaluationOptions(cache=False, models=models(CountingScorer())))
    assert (unstopped.run(OVERLAP).rankings == evaluation.run(OVERLAP).rankings).all()


def test_a_cache_that_can_not_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results.sqlite").write_text("something else " * 100)
    with pytest.raises(InputError, match=r"can't use the cache .*results\.sqlite .*--cache"):
        evaluate(collection(), [OVERLAP], EvaluationOptions(cache=tmp_path, models=models(CountingScorer())))


def test_neither_other_ids_nor_another_order_change_a_figure() -> None:
    data = collection()
    turned = Dataset.of(
        list(reversed(data.queries)),
        [Document(f"x{d.id}", d.text, d.title) for d in reversed(list(data.documents))],
        {q: {f"x{i}": g for i, g in reversed(grades.items())} for q, grades in reversed(data.qrels.items())},
    )
    figures = []
    for dataset in (data, turned):
        options = EvaluationOptions(cache=False, models=models(CountingScorer(), ConstantScorer()))
        evaluation = evaluate(dataset, ["bm25 + dense >> overlap@9 >> blend", "bm25 >> constant", "dense"], options)
        figures.append([(s.measures, s.gains, s.p_holm, s.oracle, s.unjudged, s.tied) for s in summaries(evaluation)])
    assert figures[0] == figures[1]


def hand_made() -> Dataset:
    """BM25 finds, for "lamp", the short text first: a, then b, then c."""
    documents = [Document("a", "lamp"), Document("b", "lamp oil"), Document("c", "lamp oil and a long wick too")]
    return Dataset.of([Query("lamp", "1")], documents, {"1": {"c": 1, "gone": 1}})


def test_figures_by_hand() -> None:
    """The model prefers long texts: c comes from rank 3 to 1; of two relevant documents one is not there."""

    class Longest(CountingScorer):
        def score(self, pairs: Sequence[Pair]) -> Scores:
            return Scores.of([len(c.document.text) for _, c in pairs], self.info)

    measures = ("RR@10", "R@100", "P@2")
    options = EvaluationOptions(measures, cache=False, models=models(Longest()))
    evaluation = evaluate(hand_made(), [OVERLAP, "bm25 >> overlap@2"], options)
    first, deep, shallow = summaries(evaluation)
    assert [s.pipeline for s in (first, deep, shallow)] == ["bm25", OVERLAP, "bm25 >> overlap@2"]
    assert evaluation.ranking(evaluation.run("bm25 >> overlap@2"), 0) == ["b", "a", "c"]
    assert [s.measures["RR@10"].value for s in (first, deep, shallow)] == pytest.approx([1 / 3, 1, 1 / 3])
    assert (deep.gains["RR@10"].value, deep.helped, deep.hurt) == (pytest.approx(2 / 3), 1, 0)
    assert (shallow.gains["RR@10"].value, shallow.helped, shallow.unchanged) == (0, 0, 1)
    assert [s.oracle for s in (first, deep, shallow)] == pytest.approx([1, 1, 1 / 3])
    assert [s.recall_bound for s in (first, deep, shallow)] == pytest.approx([0.5, 0.5, 0])
    assert [s.depth for s in (first, deep, shallow)] == [100, 100, 2]
    assert first.unjudged == pytest.approx(2 / 3) and first.measures["R@100"].value == pytest.approx(0.5)


def test_a_constant_scorer_changes_nothing_in_any_measure() -> None:
    evaluation = evaluate(
        collection(), ["bm25 >> constant"], EvaluationOptions(cache=False, models=models(ConstantScorer()))
    )
    _, constant = summaries(evaluation)
    assert all(gain.value == gain.low == gain.high == 0 for gain in constant.gains.values())
    assert constant.p_holm == 1 and constant.hurt == constant.helped == 0
    assert evaluation.run("bm25 >> constant").notes == {"constant": len(evaluation.queries)}


def test_only_judged_documents_are_candidates() -> None:
    data, scorer = collection(), CountingScorer()
    options = EvaluationOptions(judged_only=True, cache=False, models=models(scorer))
    evaluation = evaluate(data, [OVERLAP], options)
    for run in evaluation.pipelines:
        assert run.unjudged.max() == 0 and run.recall_bound.min() == 1
        for q, query in enumerate(data.queries):
            assert sorted(evaluation.ranking(run, q)) == sorted(data.qrels[query.id])
    with_run = evaluate(collection(run=True), ["overlap"], options)
    assert with_run.run("").recall_bound.min() == 1


def test_wrong_names_are_refused_before_anything_is_scored() -> None:
    scorer = CountingScorer()
    options = EvaluationOptions(cache=False, models=models(scorer))
    for pipelines, error in (
        ([OVERLAP, "bm25 >> ./missing"], ModelError),
        ([OVERLAP, 'dense(model="./missing") >> overlap'], ModelError),
        ([OVERLAP, 'dense(model="a") + dense(model="b")'], InputError),
        ([OVERLAP, "bm25 >> blend"], InputError),
    ):
        with pytest.raises(error):
            evaluate(collection(), pipelines, options)
    with pytest.raises(InputError, match="is no measure"):
        evaluate(collection(), [OVERLAP], EvaluationOptions(("nDCG@10", "quality"), models=models(scorer)))
    assert not scorer.pairs


def test_the_default_is_what_a_search_does() -> None:
    evaluation = evaluate(collection(queries=2), (), EvaluationOptions(cache=False))
    assert [run.pipeline for run in evaluation.pipelines] == [
        "bm25 + dense",
        "bm25 + dense >> resift-mini-en@100 >> blend",
    ]
    assert evaluation.models["resift-mini-en"]["fingerprint"] and evaluation.machine["versions"]["numpy"]


def test_json_holds_all_from_which_the_figures_follow(tmp_path: Path) -> None:
    options = EvaluationOptions(cache=False, models=models(CountingScorer()), seed=3)
    evaluation = evaluate(collection(), [OVERLAP, f"{OVERLAP}@4 >> top 6"], options)
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(as_json(evaluation), allow_nan=False))
    copy = read_evaluation(path)
    assert json.loads(json.dumps(as_json(copy))) == json.loads(path.read_text())
    assert (copy.queries, copy.documents, copy.grades) == (evaluation.queries, evaluation.documents, evaluation.grades)
    for run, other in zip(evaluation.pipelines, copy.pipelines, strict=True):
        assert (run.rankings == other.rankings).all() and (run.oracle == other.oracle).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "is no evaluation"),
        ('{"schema": 1}', "is no evaluation"),
        ('{"kind": "evaluation", "schema": 9}', "has schema 9, and this Resift reads 1"),
        ('{"kind": "evaluation", "schema": 1}', "is a damaged evaluation .KeyError"),
    ],
)
def test_other_json_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "evaluation.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_evaluation(path)
    with pytest.raises(InputError, match="is no evaluation"):
        of_json({}, "it")


def test_each_query_pays_for_the_documents_that_it_needs() -> None:
    """A document is encoded once, but its time belongs to every query that finds it."""
    documents = [Document(f"d{i}", f"{i} " + "the keeper of the lamp " * 60) for i in range(12)]
    queries = [Query(f"lamp {i}", str(i)) for i in range(6)]
    run = {q.id: [RunLine(q.id, d.id, rank, 0.0) for rank, d in enumerate(documents, 1)] for q in queries}
    data = Dataset.of(queries, documents, {q.id: {"d0": 1} for q in queries}, run)
    ms = evaluate(data, ["resift-mini-en"], EvaluationOptions(cache=False)).run("resift-mini-en").ms
    assert ms.min() > ms.max() / 3
