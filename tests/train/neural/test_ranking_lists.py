"""What is ranked when a model is measured: the lists of a real first stage."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from resift.errors import InputError
from resift.train.data import ReadOptions, examples_of, read_examples, read_measured
from resift.train.examples import TrainingQuery
from resift.train.neural.ranking_lists import Pool, of_dataset
from resift.types import Document, Query

QUERIES = [Query("when does the ferry leave", "q1"), Query("who bakes bread", "q2")]
DOCUMENTS = [
    Document("d1", "The ferry leaves at nine.", "Ferry"),
    Document("d2", "The ferry is blue, and does leave.", "Paint"),
    Document("d3", "Anna bakes bread.", "Bread"),
    Document("d4", "Nothing to see here.", "Empty"),
]


def lines(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return lines(tmp_path / "corpus.jsonl", [{"_id": d.id, "title": d.title, "text": d.text} for d in DOCUMENTS])


def test_a_corpus_is_searched_beside_the_documents_of_the_data(tmp_path: Path, corpus: Path) -> None:
    """Documents whose titles were put into their texts, as mining writes them, are those of the corpus."""
    data = lines(tmp_path / "mined.jsonl", [
        {"query": "when does the ferry leave", "positive": "Ferry The ferry leaves at nine.", "negative": "ferry soup"},
    ])  # fmt: skip
    examples = read_examples(data, ReadOptions(documents=corpus))
    lists = Pool(examples.queries, examples.corpus).lists("dev", examples.queries, 10)
    (item,) = lists.lists
    assert lists.first_stage == "BM25 over 5 documents"
    assert sorted(item.documents) == [
        "Ferry The ferry leaves at nine.", "Paint The ferry is blue, and does leave.", "ferry soup"
    ]  # fmt: skip
    assert {item.documents[place]: grade for place, grade in item.grades.items()} == {
        "Ferry The ferry leaves at nine.": 1, "ferry soup": 0
    }  # fmt: skip


def test_a_text_without_its_title_is_the_document_of_the_corpus() -> None:
    (query,) = labelled("when does the ferry leave", [("The ferry leaves at nine.", 1), ("Anna bakes bread.", 0)])
    lists = Pool([query], DOCUMENTS).lists("dev", [query], 10)
    assert lists.first_stage == "BM25 over 4 documents"
    (item,) = lists.lists
    place = item.documents.index("Ferry The ferry leaves at nine.")
    assert item.grades[place] == 1 and len(item.documents) == len(set(item.documents)) == 2


def test_the_order_of_a_run_is_the_first_stage_and_misses_what_it_misses(tmp_path: Path, corpus: Path) -> None:
    queries = lines(tmp_path / "queries.jsonl", [{"_id": q.id, "text": q.text} for q in QUERIES])
    qrels, run = tmp_path / "qrels.trec", tmp_path / "run.trec"
    qrels.write_text("q1 0 d1 1\nq2 0 d3 1\n")
    run.write_text("q1 Q0 d4 1 3.0 x\nq1 Q0 d2 2 2.0 x\nq1 Q0 d1 3 1.0 x\nq2 Q0 d1 1 1.0 x\n")
    examples = read_examples(None, ReadOptions(queries=queries, documents=corpus, qrels=qrels, run=run))
    lists = Pool(examples.queries).lists("dev", examples.queries, 2, "given")
    by_query = {item.query: item for item in lists.lists}
    assert lists.first_stage == "the run given"
    assert by_query[QUERIES[0].text].documents == tuple(f"{d.title} {d.text}" for d in (DOCUMENTS[3], DOCUMENTS[1]))
    assert by_query[QUERIES[0].text].grades == {0: 0, 1: 0, 2: 1}  # d1 is third, behind the depth
    assert by_query[QUERIES[1].text].grades == {0: 0, 1: 1} and len(by_query[QUERIES[1].text].documents) == 1


def test_a_text_that_stands_twice_is_listed_once() -> None:
    """White space and the place of the title make no other text, and ids say nothing."""
    corpus = [Document("a", "bread \n", "Anna"), Document("b", " Anna  bread"), Document("a", "bread of Anna")]
    (query,) = labelled("who is anna", [("Anna bread", 1), ("Anna", 0)])
    lists = Pool([query], corpus).lists("dev", [query], 2)
    assert lists.first_stage == "BM25 over 3 documents"
    (item,) = lists.lists
    assert len(item.documents) == 2 and list(item.grades.values()).count(1) == 1
    searched = Pool([query], corpus).lists("dev", [query], 100, "corpus").lists[0]
    assert len(searched.documents) == 3 and {searched.documents[p].split()[-1] for p in searched.grades} == {
        "bread", "Anna"
    }  # fmt: skip


def test_of_labels_of_one_text_the_higher_one_counts(tmp_path: Path) -> None:
    """A run that has the text under its other id has found it."""
    corpus = lines(tmp_path / "corpus.jsonl", [
        {"_id": "a", "title": "Anna", "text": "bread"}, {"_id": "b", "title": "", "text": "Anna bread"},
        {"_id": "c", "title": "", "text": "Anna bread"}, {"_id": "d", "title": "", "text": "soup"},
    ])  # fmt: skip
    queries = lines(tmp_path / "queries.jsonl", [{"_id": "q", "text": "who is anna"}])
    (tmp_path / "qrels.trec").write_text("q 0 a 0\nq 0 b 2\n")
    (tmp_path / "run.trec").write_text("q Q0 c 1 3.0 x\nq Q0 d 2 2.0 x\n")
    examples = read_examples(None, ReadOptions(
        queries=queries, documents=corpus, qrels=tmp_path / "qrels.trec", run=tmp_path / "run.trec"
    ))  # fmt: skip
    (item,) = Pool(examples.queries).lists("dev", examples.queries, 10, "given").lists
    assert item.documents == ("Anna bread", "soup") and item.grades == {0: 2, 1: 0}


def labelled(query: str, labels: list[tuple[str, int]]) -> Sequence[TrainingQuery]:
    return examples_of([{"query": query, "document": text, "label": label} for text, label in labels]).queries


def test_what_measures_is_the_split_dev_before_test(tmp_path: Path, corpus: Path) -> None:
    lines(tmp_path / "queries.jsonl", [{"_id": q.id, "text": q.text} for q in QUERIES])
    (tmp_path / "qrels").mkdir()
    for split, line in (("test", "q2\td3\t1"), ("dev", "q1\td1\t1"), ("train", "q1\td2\t1")):
        (tmp_path / "qrels" / f"{split}.tsv").write_text(f"query-id\tcorpus-id\tscore\n{line}\n")
    data = read_measured(tmp_path)
    assert data.split == "dev" and [q.id for q in data.queries] == ["q1"]
    assert of_dataset(data, 10).name.endswith(", dev")
    (tmp_path / "qrels" / "dev.tsv").unlink()
    assert read_measured(tmp_path).split == "test"
    (tmp_path / "qrels" / "test.tsv").unlink()
    with pytest.raises(InputError, match="has the split train, and none of dev, validation, test"):
        read_measured(tmp_path)
