"""Commands that measure take the model that reads the data where none is named, and say which."""

import json
from dataclasses import replace
from pathlib import Path

from typer.testing import CliRunner

from resift import Reranker
from resift.cli.main import app
from resift.evaluate import Dataset, EvaluationOptions, as_json, evaluate
from resift.evaluate.evaluation_json import of_json
from resift.evaluate.figures import remarks
from resift.judge import pooled
from resift.score.defaults import EMBEDDERS, RERANKERS
from resift.types import Query
from resift.worth import WorthItOptions, worth_it
from resift.worth.outputs import remarks as worth_remarks
from resift.worth.when import WhenOptions, learn_when
from tests.bundled import needs_multi
from tests.evaluate.small import ConstantScorer

pytestmark = needs_multi

PLACES = "Hà Nội, Huế, Đà Nẵng, Hải Phòng, Cần Thơ, Vinh, Đà Lạt, Nha Trang, Hội An, Sa Pa".split(", ")
ENGLISH, MULTI = RERANKERS
STAGES = f"{MULTI}@100 >> blend"


def scorer(name: str) -> ConstantScorer:
    constant = ConstantScorer()
    constant.info = replace(constant.info, name=name)
    return constant


LOADED = {name: Reranker(scorer(name)) for name in RERANKERS}


def vietnamese(count: int = 10, english_documents: bool = False) -> Dataset:
    """Questions for the ferry to a town, and what answers them."""
    towns = [f"{PLACES[i % 10]} số {i}" for i in range(count)]
    answers = [f"Phà đi {town} rời bến lúc chín giờ, và vé được bán ở quầy của cảng." for town in towns]
    if english_documents:
        answers = [f"The ferry to the town of number {i} leaves at nine, and it is blue." for i in range(count)]
    return Dataset.of(
        [Query(f"phà đi {town} rời bến lúc mấy giờ và vé có ở đâu?", f"q{i}") for i, town in enumerate(towns)],
        [{"id": f"d{i}", "text": text} for i, text in enumerate(answers)],
        {f"q{i}": {f"d{i}": 1} for i in range(count)},
    )


def folder_of(data: Dataset, path: Path) -> Path:
    (path / "qrels").mkdir(parents=True)
    corpus = [json.dumps({"_id": d.id, "text": d.text}) for d in data.documents]
    (path / "corpus.jsonl").write_text("\n".join(corpus))
    (path / "queries.jsonl").write_text("\n".join(json.dumps({"_id": q.id, "text": q.text}) for q in data.queries))
    lines = [f"{q}\t{d}\t{grade}" for q, of in data.qrels.items() for d, grade in of.items()]
    (path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(lines))
    return path


def test_an_evaluation_of_vietnamese_takes_the_model_that_reads_it_and_says_so() -> None:
    evaluation = evaluate(vietnamese(), (), EvaluationOptions(cache=False, models=LOADED))
    assert [run.pipeline for run in evaluation.pipelines] == ["bm25 + dense", f"bm25 + dense >> {STAGES}"]
    assert evaluation.data.defaults[0] == MULTI and set(evaluation.data.defaults[1:]) <= set(EMBEDDERS)
    copy = of_json(json.loads(json.dumps(as_json(evaluation))), "copy")
    assert copy.data.defaults == evaluation.data.defaults
    said = f"no model was named, so the language of the texts chose: {', '.join(evaluation.data.defaults)}"
    assert said in remarks(copy)
    named = evaluate(vietnamese(), [f"bm25 >> {ENGLISH}"], EvaluationOptions(cache=False, models=LOADED))
    assert named.data.defaults == () and not any("was named" in remark for remark in remarks(named))


def test_the_model_has_to_read_queries_and_documents() -> None:
    """20 Vietnamese queries over 400 English documents are less than 5 % of all texts, and still all of the queries."""
    questions = vietnamese(20).queries
    documents = [{"id": f"d{i}", "text": f"The ferry number {i} leaves at nine, and it is blue."} for i in range(400)]
    data = Dataset.of(questions, documents, {query.id: {"d0": 1} for query in questions})
    assert data.default_models.late_interaction == MULTI
    assert vietnamese(english_documents=True).default_models.late_interaction == MULTI
    english = Dataset.of([Query("when does the ferry leave?", "q")], documents, {"q": {"d0": 1}})
    assert english.default_models.late_interaction == ENGLISH


def test_worth_it_when_and_judge_take_it_too() -> None:
    result = worth_it(vietnamese(), WorthItOptions(retrievers="bm25", depths=(5,), cache=False, loaded=LOADED))
    assert list(result.models) == [MULTI] and result.data.defaults == (MULTI,)
    assert any(MULTI in remark for remark in worth_remarks(result))
    rule, _ = learn_when(vietnamese(60), options=WhenOptions(cache=False, models=LOADED))
    assert rule.stages.startswith(f"{MULTI}@100")
    data = vietnamese()
    pool = pooled(data.queries, data.documents, models=LOADED)
    assert pool.pipelines == ("bm25 + dense", f"bm25 + dense >> {STAGES}")


def test_commands_say_on_stderr_which_model_was_taken(tmp_path: Path) -> None:
    folder = str(folder_of(vietnamese(), tmp_path / "data"))
    invoke = CliRunner().invoke
    evaluated = invoke(app, ["evaluate", folder, "--measure", "nDCG@10", "--json"])
    assert evaluated.exit_code == 0, evaluated.stderr
    assert f"no model was named, so the language of the texts chose: {MULTI}" in evaluated.stderr
    assert json.loads(evaluated.stdout)["data"]["defaults"][0] == MULTI
    worth = invoke(app, ["worth-it", folder, "--retriever", "bm25", "--depths", "5", "--json"])
    assert worth.exit_code == 0 and f"chose: {MULTI}\n" in worth.stderr
    named = invoke(app, ["worth-it", folder, "--retriever", "bm25", "--depths", "5", "--reranker", MULTI])
    assert named.exit_code == 0 and "chose" not in named.stderr


def test_calibrate_takes_the_model_that_reads_the_labels(tmp_path: Path) -> None:
    """And says how to name it to a search, whose calibrated default is the English model."""
    rows = []
    for i, query in enumerate(vietnamese(12).queries):
        for town, grade in ((PLACES[i % 10], 1), (PLACES[(i + 3) % 10], 0)):
            text = f"Phà đi {town} số {i if grade else i + 50} rời bến lúc chín giờ, và vé được bán ở quầy."
            rows.append({"query_id": query.id, "query": query.text, "document": text, "grade": grade})
    labels = tmp_path / "labels.jsonl"
    labels.write_text("\n".join(map(json.dumps, rows)))
    done = CliRunner().invoke(app, ["calibrate", str(labels), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.stderr
    assert f"chose: {MULTI}" in done.stderr and done.stdout.splitlines()[0].startswith(f"{MULTI},")
    assert f"use it with --model {MULTI} and --calibrated" in done.stdout
