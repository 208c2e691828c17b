"""Runs and judgements that ranx, ir_datasets and PyTerrier read and write."""

from pathlib import Path
from typing import Any

import pytest

from resift import Reranker, files
from resift.errors import InputError
from resift.evaluate import Dataset, EvaluationOptions, evaluate
from resift.evaluate.evaluation import Evaluation
from resift.evaluate.outputs import write_runs
from resift.types import Candidate, Document, Query, Ranking
from tests.evaluate.small import CountingScorer, collection, models

pd = pytest.importorskip("pandas", reason="pandas is not installed (extra dataframes)")

from resift.adapters.dataframes import COLUMNS, frame_of, rankings_of, rerank_frame  # noqa: E402 - behind importorskip

RANKINGS = [
    Ranking(
        Query("a lamp", "q1"), (Candidate(Document("d1", "The lamp.", "Light")), Candidate(Document("d2", "Tea.")))
    ),
    Ranking(Query("a ferry", "q2"), (Candidate(Document("d1", "The lamp.", "Light")),)),
]
IGNORE = "ignore"  # warnings of libraries that are not ours


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate(collection(), ["bm25 >> overlap"], EvaluationOptions(cache=False, models=models(CountingScorer())))


def qrels_of(evaluation: Evaluation) -> dict[str, dict[str, int]]:
    graded = zip(evaluation.queries, evaluation.grades, strict=True)
    return {q.id: {evaluation.documents[i]: g for i, g in grades.items()} for q, grades in graded}


def write_qrels(evaluation: Evaluation, path: Path) -> None:
    lines = [f"{q} 0 {d} {g}" for q, grades in qrels_of(evaluation).items() for d, g in grades.items()]
    path.write_text("\n".join(lines) + "\n")


def test_frames_have_the_columns_of_pyterrier() -> None:
    frame = frame_of(RANKINGS)
    assert tuple(frame.columns) == COLUMNS == ("qid", "query", "docno", "text", "score", "rank")
    assert frame.to_dict("records") == [
        {"qid": "q1", "query": "a lamp", "docno": "d1", "text": "Light The lamp.", "score": 1.0, "rank": 0},
        {"qid": "q1", "query": "a lamp", "docno": "d2", "text": "Tea.", "score": 0.0, "rank": 1},
        {"qid": "q2", "query": "a ferry", "docno": "d1", "text": "Light The lamp.", "score": 0.0, "rank": 0},
    ]
    assert tuple(frame_of([]).columns) == COLUMNS


def test_frames_come_back_as_rankings() -> None:
    shuffled = frame_of(RANKINGS).sample(frac=1, random_state=3)
    for frame in (shuffled, shuffled.drop(columns="rank"), shuffled.drop(columns="score")):
        again = {r.query.id: [c.document.id for c in r] for r in rankings_of(frame)}
        assert again == {"q1": ["d1", "d2"], "q2": ["d1"]}
    ties = pd.DataFrame({"qid": [1, 1, 1], "query": ["a"] * 3, "docno": [7, 8, 9], "score": [0.5, 0.5, 0.9]})
    assert [c.document.id for c in rankings_of(ties)[0]] == ["9", "7", "8"]


def test_frames_that_are_none_are_refused() -> None:
    frame = frame_of(RANKINGS)
    for wrong, message in (
        (frame.drop(columns="docno"), "no column docno"),
        (pd.concat([frame, frame]), "has a document twice"),
        (frame.assign(query=["a", "b", "c"]), "two texts, 'a' and 'b'"),
    ):
        with pytest.raises(InputError, match=message):
            rankings_of(wrong)


def test_a_frame_is_reranked(mini: Reranker) -> None:
    texts = ["Bread is baked.", "The ferry leaves at nine.", ""]
    frame = pd.DataFrame(
        {"qid": "q", "query": "when does the ferry leave", "docno": ["a", "b", "c"], "text": texts, "score": [3, 2, 1]}
    )
    ordered = rerank_frame(mini, frame)
    assert list(ordered["docno"]) == ["b", "a", "c"] and list(ordered["rank"]) == [0, 1, 2]
    assert list(ordered["score"]) == sorted(ordered["score"], reverse=True)
    assert list(rerank_frame(mini, frame, 1)["docno"]) == ["b"]
    with pytest.raises(InputError, match="no column text"):
        rerank_frame(mini, frame.drop(columns="text"))


@pytest.mark.filterwarnings(IGNORE)
def test_pyterrier_runs_it_as_a_transformer(mini: Reranker) -> None:
    """Without Java: a transformer of a function, and PyTerrier's own ranks over our scores."""
    pt = pytest.importorskip("pyterrier", reason="pyterrier is not installed")
    frame = frame_of(RANKINGS)
    ordered = pt.apply.generic(lambda f: rerank_frame(mini, f))(frame)
    ranked = pt.model.add_ranks(ordered.drop(columns="rank"))
    both = ordered.merge(ranked, on=["qid", "docno"])
    assert (both["rank_x"] == both["rank_y"]).all() and len(both) == 3


@pytest.mark.filterwarnings(IGNORE)
def test_ranx_reads_our_files_and_we_read_its(evaluation: Evaluation, tmp_path: Path) -> None:
    ranx = pytest.importorskip("ranx", reason="ranx is not installed")
    paths = write_runs(evaluation, tmp_path / "runs")
    write_qrels(evaluation, tmp_path / "qrels.trec")
    qrels = ranx.Qrels.from_file(str(tmp_path / "qrels.trec"), kind="trec")
    for path, run in zip(paths, evaluation.pipelines, strict=True):
        theirs = ranx.Run.from_file(str(path), kind="trec")
        value: Any = ranx.evaluate(qrels, theirs, "ndcg@10")
        assert value == pytest.approx(run.values["nDCG@10"].mean(), abs=1e-6)
        theirs.save(str(tmp_path / "again.trec"), kind="trec")
        again = files.read_run((tmp_path / "again.trec").read_text().splitlines(), "again.trec")
        for i, query in enumerate(evaluation.queries):
            assert [line.document for line in again[query.id]] == evaluation.ranking(run, i)
    frame = frame_of(RANKINGS)
    from_frame = ranx.Run.from_df(frame, q_id_col="qid", doc_id_col="docno", score_col="score")
    assert from_frame.to_dict() == {"q1": {"d1": 1.0, "d2": 0.0}, "q2": {"d1": 0.0}}


@pytest.mark.filterwarnings(IGNORE)
def test_ir_datasets_reads_our_files_and_we_take_its(evaluation: Evaluation, tmp_path: Path) -> None:
    ir_datasets = pytest.importorskip("ir_datasets", reason="ir_datasets is not installed")
    data = collection()
    (tmp_path / "docs.tsv").write_text("".join(f"{d.id}\t{d.text}\n" for d in data.documents))
    (tmp_path / "queries.tsv").write_text("".join(f"{q.id}\t{q.text}\n" for q in data.queries))
    write_qrels(evaluation, tmp_path / "qrels.trec")
    theirs = ir_datasets.create_dataset(
        docs_tsv=str(tmp_path / "docs.tsv"),
        queries_tsv=str(tmp_path / "queries.tsv"),
        qrels_trec=str(tmp_path / "qrels.trec"),
    )
    assert theirs.qrels_dict() == qrels_of(evaluation)
    ours = Dataset.of(
        (Query(q.default_text(), q.query_id) for q in theirs.queries_iter()),
        (Document(d.doc_id, d.default_text()) for d in theirs.docs_iter()),
        theirs.qrels_dict(),
    )
    assert ours.qrels == data.qrels and ours.documents.texts_fingerprint == data.documents.texts_fingerprint
    (path, *_) = write_runs(evaluation, tmp_path / "runs")
    scored = list(ir_datasets.formats.TrecScoredDocs(ir_datasets.util.LocalDownload(path)).scoreddocs_iter())
    first = [s.doc_id for s in scored if s.query_id == evaluation.queries[0].id]
    assert first == evaluation.ranking(evaluation.pipelines[0], 0) and all(s.score >= 0 for s in scored)
