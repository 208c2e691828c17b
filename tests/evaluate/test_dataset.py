"""Data are read in the shapes that people have, and what is wrong with them is refused or counted and named."""

import gzip
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resift.errors import InputError
from resift.evaluate.dataset import Dataset
from resift.evaluate.document_store import DocumentStore
from resift.evaluate.issues import IssueCode
from resift.evaluate.read_data import DataFiles, read_dataset
from resift.files import RunLine
from resift.types import Document, Query

QUERIES = [Query("red lamp", "1"), Query("blue ferry", "2")]
DOCUMENTS = [Document("a", "a red lamp"), Document("b", "the ferry is blue"), Document("c", "bread")]
QRELS = {"1": {"a": 2}, "2": {"b": 1}}


def codes(data: Dataset) -> dict[IssueCode, int]:
    return {issue.code: issue.count for issue in data.issues}


def lines(path: Path, *values: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{v if isinstance(v, str) else json.dumps(v)}\n" for v in values))
    return path


def beir(folder: Path, corpus_ids: tuple[object, object] = ("a", "b")) -> Path:
    first, second = corpus_ids
    corpus = [{"_id": first, "title": "Lamps", "text": "red"}, {"_id": second, "title": "", "text": "ferry"}]
    folder.mkdir()
    with gzip.open(folder / "corpus.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(value) + "\n" for value in corpus)
    lines(folder / "queries.jsonl", {"_id": "1", "text": "red lamp"}, {"_id": 2, "text": "ferry"})
    for split in ("dev", "test"):
        lines(folder / f"qrels/{split}.tsv", "query-id\tcorpus-id\tscore", f"1\t{first}\t2", f"2\t{second}\t1")
    return folder


def test_a_beir_folder(tmp_path: Path) -> None:
    data = read_dataset(DataFiles(beir(tmp_path / "set")))
    assert (data.name, data.split, data.judgements) == ("set", "test", 2)
    assert {q.id: q.text for q in data.queries} == {"1": "red lamp", "2": "ferry"}
    assert {d.id: (d.title, d.text) for d in data.documents} == {"a": ("Lamps", "red"), "b": ("", "ferry")}
    assert read_dataset(DataFiles(tmp_path / "set", split="dev")).split == "dev"


def test_an_id_is_the_same_as_number_and_as_text(tmp_path: Path) -> None:
    data = read_dataset(DataFiles(beir(tmp_path / "set", (1, "2"))))
    assert not data.issues and data.qrels["1"] == {"1": 2}


def test_ids_that_never_meet_are_refused(tmp_path: Path) -> None:
    folder = beir(tmp_path / "set", (1, 2))
    lines(folder / "qrels/test.tsv", "query-id\tcorpus-id\tscore", "1\t1.0\t1")
    with pytest.raises(
        InputError, match=r"first: '1\.0'\) is among the 2 documents \(first: '[12]'\); ids are compared"
    ):
        read_dataset(DataFiles(folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f / "qrels/test.tsv", "has no judgement"),
        (lambda f: f / "corpus.jsonl.gz", "has no documents"),
    ],
)
def test_empty_files_are_refused(tmp_path: Path, change: object, message: str) -> None:
    folder = beir(tmp_path / "set")
    change(folder).write_text("")  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        read_dataset(DataFiles(folder))


def test_a_split_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no split 'train'; it has dev, test"):
        read_dataset(DataFiles(beir(tmp_path / "set"), split="train"))
    with pytest.raises(InputError, match=r"has no corpus\.jsonl"):
        (tmp_path / "set/corpus.jsonl.gz").unlink()
        read_dataset(DataFiles(tmp_path / "set"))


def test_trec_files(tmp_path: Path) -> None:
    run = lines(tmp_path / "run.txt", "1 Q0 c 1 9.5 tag", "1 Q0 a 2 9 tag")
    data = read_dataset(
        DataFiles(
            queries=lines(tmp_path / "q.tsv", "id\ttext", "1\tred lamp"),
            documents=lines(tmp_path / "d.jsonl", {"id": "a", "text": "red"}, {"id": "c", "text": "bread"}),
            qrels=lines(tmp_path / "qrels.txt", "1 0 a 1"),
            run=run,
        )
    )
    assert data.run == {"1": ("c", "a")}
    with pytest.raises(InputError, match="--queries and --documents missing"):
        read_dataset(DataFiles(qrels=tmp_path / "qrels.txt"))


def test_judged_lines(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "judged.jsonl",
        {"query": "red lamp", "documents": [{"id": "a", "text": "red", "grade": 2}, {"text": "ferry", "label": "0"}]},
        {"query": {"id": "x", "text": "ferry"}, "pos": ["ferry"], "neg": ["red", {"title": "B", "text": "bread"}]},
    )
    data = read_dataset(DataFiles(path))
    texts = {d.id: d.text for d in data.documents}
    assert sorted(texts.values()) == ["bread", "ferry", "red", "red"]  # one has an id, the other one has none
    grades = {q.text: sorted((texts[i], g) for i, g in data.qrels[q.id].items()) for q in data.queries}
    assert grades == {"red lamp": [("ferry", 0), ("red", 2)], "ferry": [("bread", 0), ("ferry", 1), ("red", 0)]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"query": "a"}, "no documents"),
        ({"documents": []}, "no query"),
        ({"query": "a", "documents": ["b"]}, "document 0 has no grade"),
        ({"query": "a", "documents": [{"text": "b", "grade": 0.5}]}, "the grade 0.5 is no whole number"),
        ({"query": "a", "pos": ["b"], "neg": ["b"]}, "has the grade 0, and 1 before"),
        ("{", "not a JSON value"),
    ],
)
def test_judged_lines_of_another_shape_are_refused(tmp_path: Path, line: object, message: str) -> None:
    with pytest.raises(InputError, match=f"judged.jsonl:1: .*{message}"):
        read_dataset(DataFiles(lines(tmp_path / "judged.jsonl", line)))


def test_a_table_of_pairs(tmp_path: Path) -> None:
    rows = ("query,document,grade", '"red, lamp",a red lamp,2', '"red, lamp",bread,0', "ferry,the ferry,1.0")
    data = read_dataset(DataFiles(lines(tmp_path / "pairs.csv", *rows)))
    assert {q.text: sorted(data.qrels[q.id].values()) for q in data.queries} == {"red, lamp": [0, 2], "ferry": [1]}
    with pytest.raises(InputError, match="no column for grade"):
        read_dataset(DataFiles(lines(tmp_path / "other.csv", "query,document,points", "a,b,1")))


def test_what_stands_beside_a_judged_text_are_its_metadata(tmp_path: Path) -> None:
    """With an id and without one: a boost reads them."""
    table = tmp_path / "pairs.csv"
    table.write_text("query,document,grade,Date\nferry,the ferry is blue,1,2026-11-27\n")
    pairs = tmp_path / "pairs.jsonl"
    lines(pairs, {"query": "ferry", "documents": [{"text": "the ferry is blue", "grade": 1, "Date": "2026-11-27"}]})
    for path in (table, pairs):
        assert [dict(d.metadata) for d in read_dataset(DataFiles(path)).documents] == [{"Date": "2026-11-27"}]


def test_two_grades_for_one_pair_are_refused(tmp_path: Path) -> None:
    folder = beir(tmp_path / "set")
    lines(folder / "qrels/test.tsv", "query-id\tcorpus-id\tscore", "1\ta\t1", "1\ta\t1", "1\ta\t2")
    with pytest.raises(InputError, match=r"test\.tsv:4: query '1' and document 'a' have the grade 2, and 1 above"):
        read_dataset(DataFiles(folder))


def test_what_is_left_out_is_counted_and_named() -> None:
    queries = [*QUERIES, Query("unjudged", "3"), Query("nothing", "4"), Query("  ", "5")]
    qrels = {**QRELS, "4": {"c": 0}, "5": {"c": 1}, "6": {"c": 1}, "1": {"a": 3, "gone": 1, "c": -1}}
    documents = [*DOCUMENTS, Document("a", "a red lamp"), Document("e", " "), Document("f", "bread")]
    data = Dataset.of(queries, documents, qrels)
    assert [q.id for q in data.queries] == ["2", "1"] or [q.id for q in data.queries] == ["1", "2"]
    assert codes(data) == {
        IssueCode.NOT_JUDGED: 1, IssueCode.NOTHING_RELEVANT: 1, IssueCode.NO_TEXT: 1, IssueCode.UNKNOWN_QUERIES: 1,
        IssueCode.UNKNOWN_DOCUMENTS: 1, IssueCode.GRADE_GAPS: 1, IssueCode.NEGATIVE_GRADES: 1,
        IssueCode.REPEATED_DOCUMENTS: 1, IssueCode.EMPTY_DOCUMENTS: 1, IssueCode.SAME_TEXTS: 1,
    }  # fmt: skip
    named = {issue.code: issue.examples for issue in data.issues}
    assert named[IssueCode.NOTHING_RELEVANT] == ("4",) and named[IssueCode.UNKNOWN_DOCUMENTS] == ("gone",)
    assert named[IssueCode.GRADE_GAPS] == ("2",)


def test_data_with_judged_candidates_are_recognised() -> None:
    data = Dataset.of(QUERIES, DOCUMENTS, {"1": {"a": 1, "b": 0}, "2": {"b": 1, "c": 0}})
    assert codes(data) == {IssueCode.JUDGED_CANDIDATES: 2}


@pytest.mark.parametrize(
    ("queries", "documents", "qrels", "message"),
    [
        (QUERIES, [], QRELS, "no documents"),
        (QUERIES, DOCUMENTS, {}, "no judgements"),
        (QUERIES, DOCUMENTS, {"1": {"a": 0}}, "none of 1 judged queries has a text and a relevant document"),
        (QUERIES, DOCUMENTS, {"9": {"a": 1}}, "none of 1 judged queries .first: '9'. is among"),
        (QUERIES, DOCUMENTS, {"1": {"9": 1}}, "none of 1 judged documents .first: '9'. is among"),
        ([*QUERIES, Query("other", "1")], DOCUMENTS, QRELS, "two queries have the id '1'"),
        ([Query("a")], DOCUMENTS, QRELS, "the query 'a' has no id"),
        (QUERIES, [*DOCUMENTS, Document("a", "other")], QRELS, "two documents have the id 'a'"),
    ],
)
def test_data_that_can_not_be_evaluated_are_refused(
    queries: list[Query], documents: list[Document], qrels: dict[str, dict[str, int]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Dataset.of(queries, documents, qrels)


def run_of(*entries: tuple[str, int, float]) -> dict[str, list[RunLine]]:
    return {"1": [RunLine("1", *entry) for entry in entries]}


@pytest.mark.parametrize(
    ("entries", "order", "code", "count"),
    [
        ([("c", 1, 5.0), ("a", 2, 5.0)], ("c", "a"), IssueCode.RUN_TIES, 1),
        ([("c", 1, float("nan")), ("a", 2, 5.0)], ("c", "a"), IssueCode.RUN_NOT_FINITE, 1),
        ([("c", 1, 5.0), ("a", 2, 4.0), ("c", 3, 3.0)], ("c", "a"), IssueCode.RUN_REPEATED, 1),
        ([("c", 2, 9.0), ("a", 1, 1.0)], ("a", "c"), IssueCode.RUN_UNSORTED, 1),
        ([("c", 0, 1.0), ("a", 0, 2.0)], ("a", "c"), None, 0),  # ranks that say nothing: scores decide
    ],
)
def test_runs(
    entries: list[tuple[str, int, float]], order: tuple[str, ...], code: IssueCode | None, count: int
) -> None:
    data = Dataset.of(QUERIES, DOCUMENTS, QRELS, run_of(*entries))
    assert data.run == {"1": order}
    assert codes(data) == {IssueCode.RUN_MISSING: 1} | ({code: count} if code else {})
    again = [issue.examples for issue in data.issues if issue.code is IssueCode.RUN_REPEATED]
    assert again == ([("1 c",)] if code is IssueCode.RUN_REPEATED else [])


def test_a_run_over_other_documents_is_refused() -> None:
    with pytest.raises(InputError, match="1 documents of the run, such as 'z', are not among the 3 documents"):
        Dataset.of(QUERIES, DOCUMENTS, QRELS, run_of(("z", 1, 1.0)))
    with pytest.raises(InputError, match="is in the run"):
        Dataset.of(QUERIES, DOCUMENTS, QRELS, {"9": [RunLine("9", "a", 1, 1.0)]})


def test_a_sample_says_so_and_is_the_same_each_time() -> None:
    data = Dataset.of(
        [Query(f"query {i}", str(i)) for i in range(20)], DOCUMENTS, {str(i): {"a": 1} for i in range(20)}
    )
    sample = data.sample(5, seed=3)
    assert len(sample.queries) == 5 and sample.queries == data.sample(5, seed=3).queries
    assert sample.queries != data.sample(5, seed=4).queries
    assert str(sample.issues[-1]) == "5 of 20 queries are evaluated: a random sample (seed 3)"
    assert data.sample(None) is data and data.sample(20) is data
    assert sample.fingerprint != data.fingerprint


texts = st.lists(st.text(max_size=8), min_size=1, max_size=12, unique=True)


@given(texts, st.randoms(use_true_random=False))
def test_the_order_of_documents_depends_on_their_texts_alone(values: list[str], rng: random.Random) -> None:
    documents = [Document(str(i), text) for i, text in enumerate(values)]
    renamed = [Document(f"other {i}", text) for i, text in enumerate(values)]
    rng.shuffle(renamed)
    store, other = DocumentStore(documents), DocumentStore(renamed)
    assert [d.text for d in store] == [d.text for d in other]
    assert store.texts_fingerprint == other.texts_fingerprint
    assert {d.id: d.text for d in store} == {d.id: d.text for d in documents}
    assert [store[store.row(d.id)].text for d in documents] == values
