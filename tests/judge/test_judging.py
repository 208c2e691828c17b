"""Pools, folders and sessions of judgements, without a terminal."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resift.errors import InputError
from resift.evaluate import DataFiles, EvaluationOptions, as_json, evaluate, read_dataset, read_evaluation
from resift.evaluate.document_store import DocumentStore
from resift.evaluate.figures import heading, remarks
from resift.evaluate.issues import IssueCode
from resift.evaluate.outputs import markdown, write_runs
from resift.evaluate.statistics import estimates
from resift.judge import JudgeFolder, JudgingSession, Pool, pooled, read_queries, synthetic_queries
from resift.judge.judge_folder import Decision, escaped, escaped_id
from resift.judge.synthetic import write_synthetic
from resift.measures import ndcg
from resift.types import Document, Query
from tests.evaluate.small import CountingScorer, collection, models

DOCUMENTS = [Document(f"d{i}", text) for i, text in enumerate(["a lamp", "the lamp is lit", "bread", "a ferry", "tea"])]
QUERIES = [Query("lamp", "q1"), Query("ferry", "q2"), Query("bread", "q3")]
RANKINGS = {
    "bm25": {"q1": ("d0", "d1"), "q2": ("d3",), "q3": ("d2", "d4")},
    "bm25 >> overlap": {"q1": ("d1", "d2"), "q2": ("d3", "d0"), "q3": ("d4", "d2")},
}


@pytest.fixture
def folder(tmp_path: Path) -> JudgeFolder:
    return JudgeFolder.create(tmp_path / "judged", QUERIES, DocumentStore(DOCUMENTS), Pool(RANKINGS))


def judge_all(session: JudgingSession, relevant: dict[str, set[str]]) -> list[tuple[str, str]]:
    shown = []
    while item := session.next():
        shown.append(item)
        session.decide(*item, int(item[1] in relevant.get(item[0], ())))
    return shown


def test_a_pool_has_each_document_once_in_an_order_that_no_pipeline_changes() -> None:
    pool, swapped = Pool(RANKINGS), Pool(dict(reversed(RANKINGS.items())))
    for query in ("q1", "q2", "q3"):
        ids = pool.documents(query)
        assert sorted(ids) == sorted({i for ranking in RANKINGS.values() for i in ranking[query]})
        assert ids == swapped.documents(query)
    many = Pool({"bm25": {"q": tuple(f"d{i}" for i in range(50))}})
    assert many.documents("q") != list(many.rankings["bm25"]["q"])
    assert many.documents("q") != Pool(many.rankings, seed=1).documents("q")
    places = [many.documents(f"q{n}") for n in range(2)]
    assert places == [[], []]


def test_what_is_pooled_is_what_an_evaluation_ranks() -> None:
    data = collection()
    scorers = models(CountingScorer())
    pool = pooled(data.queries, data.documents, ["bm25 >> overlap"], 7, models=scorers)
    assert pool.pipelines == ("bm25", "bm25 >> overlap") and pool.models["overlap"]
    evaluation = evaluate(data, ["bm25 >> overlap"], EvaluationOptions(cache=False, models=scorers))
    for run in evaluation.pipelines:
        for i, query in enumerate(evaluation.queries):
            assert list(pool.rankings[run.pipeline][query.id]) == evaluation.ranking(run, i)[:7]


def test_everything_is_asked_once_and_a_query_is_finished_before_the_next(folder: JudgeFolder) -> None:
    with folder.writing():
        shown = judge_all(JudgingSession(folder), {"q1": {"d1"}})
    assert len(shown) == len(set(shown)) == 7
    queries = [query for query, _ in shown]
    assert sorted(set(queries)) == ["q1", "q2", "q3"]
    assert queries == sorted(queries, key=queries.index)
    assert JudgingSession(JudgeFolder(folder.path)).next() is None


def test_each_key_is_on_disk_at_once_and_the_rest_is_asked_later(folder: JudgeFolder) -> None:
    with folder.writing():
        session = JudgingSession(folder)
        whole = [item for item in [session.next()] if item]
        session.decide(*whole[0], 1)
        line = f"{whole[0][0]} 0 {whole[0][1]} 1\n"
        assert (folder.path / "qrels.trec").read_text() == line
    log = folder.path / "judgements.jsonl"
    log.write_bytes(log.read_bytes() + b'{"query": "q1", "docu')  # a process that was killed while it wrote
    again = JudgeFolder(folder.path)
    with again.writing():
        assert [(d.query, d.document) for d in again.decisions] == whole
        rest = judge_all(JudgingSession(again), {})
    assert not set(rest) & set(whole) and len(rest) == 6
    assert len(JudgeFolder(folder.path).decisions) == 7


def test_a_pool_is_no_list_of_candidates(folder: JudgeFolder) -> None:
    """Searches of all documents returned what was judged, so that --judged-only would flatter all but the pooled."""
    with folder.writing():
        judge_all(JudgingSession(folder), {"q1": {"d1"}, "q2": {"d3"}, "q3": {"d2"}})
    assert IssueCode.JUDGED_CANDIDATES not in {issue.code for issue in read_dataset(DataFiles(folder.path)).issues}
    (folder.path / "pool.json").unlink()
    assert IssueCode.JUDGED_CANDIDATES in {issue.code for issue in read_dataset(DataFiles(folder.path)).issues}


def test_qrels_are_brought_up_to_the_log(folder: JudgeFolder) -> None:
    with folder.writing():
        folder.decide(Decision("q1", "d1", 1))
    (folder.path / "qrels.trec").unlink()
    with JudgeFolder(folder.path).writing():
        assert (folder.path / "qrels.trec").read_text() == "q1 0 d1 1\n"


def test_two_people_cannot_judge_in_one_folder(folder: JudgeFolder) -> None:
    other = JudgeFolder(folder.path)
    with folder.writing(), pytest.raises(InputError, match="somebody else judges"), other.writing():
        pass


def test_undo_shows_the_document_again_also_after_a_restart(folder: JudgeFolder) -> None:
    with folder.writing():
        session = JudgingSession(folder)
        assert not session.take_back()
        first = session.next()
        assert first is not None
        session.decide(*first, 1)
    again = JudgeFolder(folder.path)
    with again.writing():
        session = JudgingSession(again)
        second = session.next()
        assert second is not None
        session.decide(*second, None)
        assert session.take_back() and session.next() == second
        assert session.take_back() and session.next() == first
        assert (folder.path / "qrels.trec").read_text() == ""
        session.decide(*first, 0)
        assert session.next() == second
    assert JudgeFolder(folder.path).decisions == [Decision(*first, 0)]


def test_skipped_documents_have_no_grade_and_are_counted(folder: JudgeFolder) -> None:
    with folder.writing():
        session = JudgingSession(folder)
        item = session.next()
        assert item is not None
        session.decide(*item, None)
        assert session.next() != item
        assert session.standing().skipped == session.standing().documents == 1
    assert JudgeFolder(folder.path).qrels == {}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([0, 1, None, "undo"]), max_size=30))
def test_the_log_says_what_the_session_knew(tmp_path_factory: pytest.TempPathFactory, keys: list[object]) -> None:
    path = tmp_path_factory.mktemp("judged") / "folder"
    folder = JudgeFolder.create(path, QUERIES, DocumentStore(DOCUMENTS), Pool(RANKINGS))
    with folder.writing():
        session = JudgingSession(folder)
        for key in keys:
            item = session.next()
            if key == "undo":
                session.take_back()
            elif item is not None:
                session.decide(*item, key if isinstance(key, int) else None)
    again = JudgeFolder(path)
    assert again.decisions == folder.decisions and again.qrels == folder.qrels
    assert JudgingSession(again).standing() == session.standing()
    lines = (path / "qrels.trec").read_text().splitlines()
    assert sorted(lines) == sorted(f"{q} 0 {d} {g}" for q, grades in again.qrels.items() for d, g in grades.items())


def test_the_half_width_is_that_of_the_evaluation(tmp_path: Path) -> None:
    rng = random.Random(3)
    queries = [Query(f"query {i}", f"q{i}") for i in range(40)]
    documents = [Document(f"d{i}", f"text {i}") for i in range(20)]
    ids = [d.id for d in documents]
    rankings = {name: {q.id: tuple(rng.sample(ids, 10)) for q in queries} for name in ("a", "b", "c")}
    folder = JudgeFolder.create(tmp_path / "judged", queries, DocumentStore(documents), Pool(rankings))
    for q in queries:
        for d in folder.pool.documents(q.id):
            folder.decisions.append(Decision(q.id, d, int(rng.random() < 0.3) if q.id != "q0" else 0))
    standing = JudgingSession(folder).standing()
    qrels = folder.qrels
    assert (standing.judged, standing.without_relevant, standing.compared) == (40, 1, 39)
    order = [q for q in folder.pool.queries(folder.queries) if q != "q0"]
    values = {n: np.array([ndcg(r[q], qrels[q]) for q in order]) for n, r in rankings.items()}
    columns = np.stack([values["b"] - values["a"], values["c"] - values["a"], values["c"] - values["b"]], axis=1)
    widest = max((e.high - e.low) / 2 for e in estimates(columns))
    assert standing.half_width == pytest.approx(widest)
    assert standing.precise(widest + 1e-9) and not standing.precise(widest - 1e-6)


def test_few_queries_are_never_enough(folder: JudgeFolder) -> None:
    with folder.writing():
        session = JudgingSession(folder)
        judge_all(session, {"q1": {"d1"}, "q2": {"d3"}})
        standing = session.standing()
    assert standing.compared == 2 and standing.half_width is not None and not standing.precise(1.0)


def test_new_pipelines_ask_only_for_new_documents(folder: JudgeFolder) -> None:
    with folder.writing():
        judge_all(JudgingSession(folder), {})
    folder.extend(Pool({"dense": {"q1": ("d0", "d4"), "q2": ("d3",), "q3": ()}}))
    again = JudgeFolder(folder.path)
    assert again.pool.pipelines == ("bm25", "bm25 >> overlap", "dense")
    with again.writing():
        assert judge_all(JudgingSession(again), {}) == [("q1", "d4")]


def test_the_folder_is_a_data_set(folder: JudgeFolder) -> None:
    with folder.writing():
        judge_all(JudgingSession(folder), {"q1": {"d1"}, "q2": {"d3"}, "q3": {"d2"}})
    data = read_dataset(DataFiles(folder.path))
    assert {q.id: q.text for q in data.queries} == {"q1": "lamp", "q2": "ferry", "q3": "bread"}
    assert data.qrels == folder.qrels and not data.synthetic
    assert data.documents.texts_fingerprint == DocumentStore(DOCUMENTS).texts_fingerprint


def test_files_of_others_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text("{}")
    with pytest.raises(InputError, match="holds other files"):
        JudgeFolder.create(tmp_path, QUERIES, DocumentStore(DOCUMENTS), Pool(RANKINGS))
    assert [p.name for p in tmp_path.iterdir()] == ["corpus.jsonl"]


def test_damaged_folders_are_refused(folder: JudgeFolder) -> None:
    (folder.path / "judgements.jsonl").write_text('{"undo": true}\n')
    with pytest.raises(InputError, match=r"judgements.jsonl:1 is damaged"):
        JudgeFolder(folder.path)
    (folder.path / "pool.json").write_text("{}")
    with pytest.raises(InputError, match="pool.json is damaged"):
        JudgeFolder(folder.path)


def test_ids_for_trec_files(tmp_path: Path) -> None:
    assert escaped_id("a b\tc") == "a%20b%09c" and escaped_id("d1") == "d1"
    assert [d.id for d in escaped([Document("my notes.md:3", "x")])] == ["my%20notes.md:3"]
    with pytest.raises(InputError, match="white space"):
        JudgeFolder.create(tmp_path / "f", QUERIES, DocumentStore([Document("a b", "x")]), Pool({}))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("q.txt", "when does it leave?\n\n  who  bakes? \n", [("q1", "when does it leave?"), ("q3", "who bakes?")]),
        ("q.jsonl", '"one text"\n{"_id": 7, "text": "b"}\n{"query": "c", "type": "faq"}\n',
         [("q1", "one text"), ("7", "b"), ("q3", "c")]),
        ("q.tsv", "10\twhat is it?\n11\twho is it?\n", [("10", "what is it?"), ("11", "who is it?")]),
        ("q.csv", "id,query\na,first\nb,second\n", [("a", "first"), ("b", "second")]),
    ],
)  # fmt: skip
def test_files_of_queries(tmp_path: Path, name: str, text: str, expected: list[tuple[str, str]]) -> None:
    (tmp_path / name).write_text(text)
    assert [(q.id, q.text) for q in read_queries(tmp_path / name).queries] == expected


def test_queries_that_repeat_or_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "q.txt"
    path.write_text("a\nb\na\n")
    assert read_queries(path).repeated == 1 and len(read_queries(path).queries) == 2
    path.write_text("\n")
    with pytest.raises(InputError, match="has no query"):
        read_queries(path)
    path = tmp_path / "q.jsonl"
    path.write_text('{"id": 1, "text": "a"}\n{"id": 1, "text": "b"}\n')
    with pytest.raises(InputError, match="two queries have the id '1'"):
        read_queries(path)
    path.write_text("{\n")
    with pytest.raises(InputError, match=r"q.jsonl:1: not a JSON value"):
        read_queries(path)


TITLED = [
    Document("a", "# Opening hours\nWe open at nine.", "Help > Opening hours"),
    Document("b", "On Sundays we are closed.", "Help > Opening hours"),
    Document("c", "Bread is baked by Anna.", "Our bakers"),
    *(Document(f"n{i}", f"text {i}", "See also") for i in range(6)),
    Document("o", "one word", "Introduction"),
]


def test_titles_become_queries_and_leave_the_documents() -> None:
    queries, documents, qrels = synthetic_queries(TITLED)
    assert [(q.text, sorted(qrels[q.id])) for q in queries] == [("Opening hours", ["a", "b"]), ("Our bakers", ["c"])]
    assert all(not d.title for d in documents) and documents[0].text == "We open at nine."
    assert len(synthetic_queries(TITLED, limit=1)[0]) == 1
    with pytest.raises(InputError, match="write real queries"):
        synthetic_queries([Document("a", "text", "Introduction")])


def test_every_output_says_that_queries_are_synthetic(tmp_path: Path) -> None:
    assert write_synthetic(tmp_path / "synthetic", TITLED) == (2, len(TITLED))
    data = read_dataset(DataFiles(tmp_path / "synthetic"))
    assert data.synthetic
    evaluation = evaluate(data, ["bm25"], EvaluationOptions(cache=False))
    value = as_json(evaluation)
    assert value["data"]["synthetic"] is True
    (tmp_path / "e.json").write_text(json.dumps(value))
    again = read_evaluation(tmp_path / "e.json")
    assert again.data.synthetic
    assert "2 synthetic queries" in heading(again) and remarks(again)[0].startswith("synthetic queries: ")
    assert markdown(again).startswith("# Evaluation (synthetic queries)")
    (run,) = write_runs(again, tmp_path / "runs")
    assert all(line.split()[5].startswith("synthetic-queries") for line in run.read_text().splitlines())
