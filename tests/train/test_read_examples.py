"""Data as people have them: each shape, each format, and what is refused."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resift.errors import InputError, MissingExtra
from resift.train.data import ReadOptions, describe, examples_of, read_examples
from resift.train.data.columns import parse_columns
from resift.train.data.labels import parse_labels
from resift.train.examples import ExampleSet, LabelKind, Shape
from resift.train.neural.losses import LOSSES, choose, facts_of, fitting, obstacle
from resift.train.neural.vector_losses import LATE_LOSSES

Row = dict[str, Any]
PAIRS: list[Row] = [
    {"question": "when does the ferry leave?", "passage": "The ferry leaves at nine.", "label": 1},
    {"question": "who bakes bread?", "passage": "Bread is baked by Anna.", "label": 1},
    {"question": "when does the ferry leave?", "passage": "The ferry is blue.", "label": 0},
]


def contents(examples: ExampleSet) -> dict[str, dict[str, tuple[float | None, float | None]]]:
    """Label and teacher's score of each text of each query."""
    return {
        query.query.text: {c.document.text: (c.label, c.teacher) for c in query.candidates}
        for query in examples.queries
    }


EXPECTED = {
    "when does the ferry leave?": {"The ferry leaves at nine.": (1.0, None), "The ferry is blue.": (0.0, None)},
    "who bakes bread?": {"Bread is baked by Anna.": (1.0, None)},
}


def written(path: Path, rows: list[Row]) -> str:
    """The rows in the format that the path's suffix means; what to read."""
    import pyarrow as arrow
    from pyarrow import feather, ipc, parquet

    suffix = path.suffix
    if suffix in (".csv", ".tsv"):
        separator = "," if suffix == ".csv" else "\t"
        lines = [separator.join(rows[0]), *(separator.join(str(cell) for cell in row.values()) for row in rows)]
        path.write_text("\n".join(lines))
    elif suffix == ".json":
        path.write_text(json.dumps(rows))
    elif suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    elif suffix == ".parquet":
        parquet.write_table(arrow.Table.from_pylist(rows), path)
    elif suffix == ".feather":
        feather.write_feather(arrow.Table.from_pylist(rows), path)
    elif suffix == ".arrow":
        table = arrow.Table.from_pylist(rows)
        with ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table)
    return str(path)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json", ".jsonl", ".parquet", ".feather", ".arrow"])
def test_each_format_gives_the_same_examples(tmp_path: Path, suffix: str) -> None:
    examples = read_examples(written(tmp_path / f"pairs{suffix}", PAIRS))
    assert contents(examples) == EXPECTED
    assert examples.detection.shape is Shape.PAIRS
    assert examples.detection.label_kind is LabelKind.BINARY
    assert examples.detection.columns == {"query": "question", "document": "passage", "label": "label"}
    assert examples.detection.rows == 3
    assert examples.detection.sentence == (
        f"pairs{suffix} was read as pairs with binary labels (query = 'question', document = 'passage', "
        "label = 'label'): 3 rows, 2 queries, 3 candidates; if that is wrong, say --columns ROLE=COLUMN,…"
    )


def test_json_of_columns_and_of_a_wrapped_list(tmp_path: Path) -> None:
    columns = {name: [row[name] for row in PAIRS] for name in PAIRS[0]}
    for value in (columns, {"data": PAIRS}):
        (tmp_path / "pairs.json").write_text(json.dumps(value))
        assert contents(read_examples(tmp_path / "pairs.json")) == EXPECTED


def test_a_database(tmp_path: Path) -> None:
    path = tmp_path / "pairs.db"
    with sqlite3.connect(path) as connection:
        connection.execute('create table pairs (question text, passage text, "label" int)')
        connection.executemany("insert into pairs values (:question, :passage, :label)", PAIRS)
    connection.close()
    url = f"sqlite:///{path}"
    assert contents(read_examples(url, ReadOptions(sql="pairs"))) == EXPECTED
    query = ReadOptions(sql="select question as q, passage as doc, label from pairs where label = 1")
    assert read_examples(url, query).candidates == 2
    with pytest.raises(InputError, match="no such table: missing"):
        read_examples(url, ReadOptions(sql="missing"))
    with pytest.raises(InputError, match="with --sql"):
        read_examples(url)
    with pytest.raises(InputError, match=r"is a database; give its URL, sqlite:///"):
        read_examples(path)
    with pytest.raises(InputError, match="no such database"):
        read_examples(f"sqlite:///{tmp_path}/missing.db", ReadOptions(sql="pairs"))
    assert not (tmp_path / "missing.db").exists()


def test_a_data_set_saved_to_disk(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_list(PAIRS)
    data.save_to_disk(tmp_path / "one")
    assert contents(read_examples(tmp_path / "one")) == EXPECTED
    datasets.DatasetDict({"train": data, "test": data.select([0])}).save_to_disk(tmp_path / "two")
    assert contents(read_examples(tmp_path / "two")) == EXPECTED
    assert read_examples(tmp_path / "two", ReadOptions(split="test")).candidates == 1
    with pytest.raises(InputError, match="has no split 'dev'; name one with --split: train, test"):
        read_examples(tmp_path / "two", ReadOptions(split="dev"))
    assert contents(examples_of(data)) == EXPECTED


def test_a_folder_of_tables(tmp_path: Path) -> None:
    written(tmp_path / "train-00000-of-00002.parquet", PAIRS[:2])
    written(tmp_path / "train-00001-of-00002.parquet", PAIRS[2:])
    assert contents(read_examples(tmp_path)) == EXPECTED
    written(tmp_path / "test.parquet", PAIRS[:1])
    with pytest.raises(InputError, match="several tables"):
        read_examples(tmp_path)
    assert contents(read_examples(tmp_path, ReadOptions(split="train"))) == EXPECTED
    with pytest.raises(InputError, match="no table of the split 'dev'"):
        read_examples(tmp_path, ReadOptions(split="dev"))


def test_a_hub_name_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets, hub = pytest.importorskip("datasets"), pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="can't load the data set owner/nothing"):
        read_examples("owner/nothing")


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "pairs.parquet", PAIRS)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match="pip install"):
        read_examples(path)


def test_graded_lists() -> None:
    row = {"query": "ferry", "documents": ["at nine", "at ten", "blue"], "labels": [2, 1, 0]}
    examples = examples_of([row])
    assert contents(examples) == {"ferry": {"at nine": (2.0, None), "at ten": (1.0, None), "blue": (0.0, None)}}
    assert (examples.detection.shape, examples.detection.label_kind) == (Shape.LISTS, LabelKind.GRADED)
    assert contents(examples_of([{**row, "documents": json.dumps(row["documents"]), "labels": "[2, 1, 0]"}])) == (
        contents(examples)
    )
    objects = [{"text": "at nine", "grade": 2}, {"text": "at ten", "grade": 1}, {"text": "blue", "grade": 0}]
    assert contents(examples_of([{"query": {"text": "ferry", "id": "1"}, "documents": objects}])) == contents(examples)
    with pytest.raises(InputError, match="row 1: 2 values in 'labels' for 3 documents"):
        examples_of([{**row, "labels": [1, 0]}])


def test_triplets_and_tuples_are_grouped_by_their_query() -> None:
    rows = [
        {"anchor": "ferry", "positive": "at nine", "negative_1": "blue", "negative_2": "red"},
        {"anchor": "bread", "positive": "by Anna", "negative_1": "white", "negative_2": None},
        {"anchor": "ferry", "positive": "at nine", "negative_1": "old", "negative_2": ""},
    ]
    examples = examples_of(rows)
    zero, one = (0.0, None), (1.0, None)
    assert contents(examples) == {
        "ferry": {"at nine": one, "blue": zero, "red": zero, "old": zero},
        "bread": {"by Anna": one, "white": zero},
    }
    assert examples.detection.shape is Shape.TUPLES
    assert examples.detection.columns["negative"] == "negative_1, negative_2"
    assert not examples.issues


def test_negatives_are_ordered_by_their_number() -> None:
    row = {f"negative_{i}": str(i) for i in range(1, 12)}
    detection = examples_of([{"query": "q", "positive": "p", **row}]).detection
    assert detection.columns["negative"].endswith("negative_9, negative_10, negative_11")


def test_scores_of_tuples_are_a_teachers() -> None:
    row = {"query": "ferry", "positive": "at nine", "negative": "blue"}
    examples = examples_of([{**row, "scores": [4.5, -2.0]}])
    assert contents(examples) == {"ferry": {"at nine": (1.0, 4.5), "blue": (0.0, -2.0)}}
    margins = examples_of([{**row, "score": 6.5}])
    assert contents(margins) == {"ferry": {"at nine": (1.0, 0.0), "blue": (0.0, -6.5)}}
    assert [issue.code for issue in margins.issues] == ["margins"]
    with pytest.raises(InputError, match="3 scores in 'scores' for 1 positives and 1 negatives"):
        examples_of([{**row, "scores": [1.0, 2.0, 3.0]}])


def test_flag_embedding() -> None:
    row = {"query": "ferry", "pos": ["at nine"], "neg": ["blue", "red"], "prompt": "Find the time."}
    examples = examples_of([{**row, "pos_scores": [3.5], "neg_scores": [-1, 0.5]}])
    assert contents(examples) == {"ferry": {"at nine": (1.0, 3.5), "blue": (0.0, -1.0), "red": (0.0, 0.5)}}
    assert examples.detection.shape is Shape.FLAG_EMBEDDING
    assert examples.queries[0].prompt == "Find the time."
    two_prompts = examples_of([row, {**row, "prompt": "Find the ship."}])
    assert [q.prompt for q in two_prompts.queries] != [""] * 2
    assert len(two_prompts.queries) == 2


def test_clicks_weigh_the_inverse_of_their_propensity() -> None:
    rows = [
        {"query": "ferry", "document": "at nine", "position": 3, "clicked": True},
        {"query": "ferry", "document": "at nine", "position": 1, "clicked": False},
        {"query": "ferry", "document": "blue", "position": 1, "clicked": True},
        {"query": "ferry", "document": "red", "position": 2, "clicked": False},
    ]
    examples = examples_of(rows)
    assert examples.detection.shape is Shape.CLICKS
    weights = {c.document.text: (c.label, c.weight) for c in examples.queries[0].candidates}
    assert weights == {"at nine": (1.0, 1.5), "blue": (1.0, 0.5), "red": (0.0, 1.0)}  # 3 and 1, whose mean is 2
    flat = examples_of(rows, options=ReadOptions(propensity_power=0))
    assert {c.weight for c in flat.queries[0].candidates} == {1.0}
    far = examples_of([{**rows[0], "position": 500}])
    assert [issue.code for issue in far.issues] == ["clipped_clicks"]
    with pytest.raises(InputError, match="a position is a whole number from 1; not 0"):
        examples_of([{**rows[0], "position": 0}])
    with pytest.raises(InputError, match="no column is known to be the position"):
        examples_of([{"query": "a", "document": "b", "clicked": 1}])
    stated = examples_of([{"query": "a", "document": "b", "clicked": 1, "propensity": 0.5}])
    assert stated.queries[0].candidates[0].weight == 1.0


def beir(folder: Path) -> Path:
    """A small BEIR folder with two splits."""
    (folder / "qrels").mkdir(parents=True)
    documents = [("d1", "The ferry leaves at nine."), ("d2", "The ferry is blue."), ("d3", "Bread is baked by Anna.")]
    lines = [json.dumps({"_id": id_, "title": "", "text": text}) for id_, text in documents]
    (folder / "corpus.jsonl").write_text("\n".join(lines))
    queries = [("q1", "when does the ferry leave?"), ("q2", "who bakes bread?")]
    (folder / "queries.jsonl").write_text("\n".join(json.dumps({"_id": i, "text": text}) for i, text in queries))
    head = "query-id\tcorpus-id\tscore\n"
    (folder / "qrels" / "train.tsv").write_text(head + "q1\td1\t2\nq1\td2\t0\n")
    (folder / "qrels" / "test.tsv").write_text(head + "q2\td3\t1\n")
    return folder


def test_a_beir_folder_has_a_training_split(tmp_path: Path) -> None:
    folder = beir(tmp_path / "ferries")
    examples = read_examples(folder)
    assert contents(examples) == {
        "when does the ferry leave?": {"The ferry leaves at nine.": (2.0, None), "The ferry is blue.": (0.0, None)}
    }
    assert examples.detection.shape is Shape.BEIR
    assert examples.corpus is not None
    assert len(examples.corpus) == 3
    assert len(read_examples(folder, ReadOptions(split="test")).queries) == 1
    with pytest.raises(InputError, match="--columns and --sql belong to tables"):
        read_examples(folder, ReadOptions(columns={"query": "q"}, sql="pairs"))
    with pytest.raises(InputError, match="is one file, without splits"):
        read_examples(folder / "queries.jsonl", ReadOptions(split="train"))
    (folder / "qrels" / "train.tsv").unlink()
    with pytest.raises(InputError, match="has no split 'train'; name one with --split: test"):
        read_examples(folder)


def test_judgements_with_a_run(tmp_path: Path) -> None:
    folder = beir(tmp_path / "ferries")
    run = tmp_path / "run.trec"
    run.write_text("q1 Q0 d3 1 2.0 tag\nq1 Q0 d1 2 1.0 tag\n")
    options = ReadOptions(
        queries=folder / "queries.jsonl",
        documents=folder / "corpus.jsonl",
        qrels=folder / "qrels" / "train.tsv",
        run=run,
    )
    examples = read_examples(None, options)
    labels = {c.document.id: c.label for c in examples.queries[0].candidates}
    assert labels == {"d1": 2.0, "d2": 0.0, "d3": 0.0}
    assert examples.detection.shape is Shape.RUN
    assert ("unjudged_candidates", 1) in [(issue.code, issue.count) for issue in examples.issues]
    with pytest.raises(InputError, match="name these with --qrels"):
        read_examples(folder / "corpus.jsonl", ReadOptions(run=run))
    with pytest.raises(InputError, match="name the data"):
        read_examples(None)


def test_unknown_names_are_refused_and_can_be_named() -> None:
    rows = [{"left": "ferry", "right": "at nine", "y": 1}]
    with pytest.raises(InputError) as error:
        examples_of(rows)
    assert str(error.value) == (
        "data: no column is known to be the query or the document; the columns are left, right, y: name them, "
        "such as --columns query=COLUMN,document=COLUMN,label=COLUMN"
    )
    columns = parse_columns("query=left, document=right,label=y")
    examples = examples_of(rows, options=ReadOptions(columns=columns))
    assert contents(examples) == {"ferry": {"at nine": (1.0, None)}}
    with pytest.raises(InputError, match="no column 'lft'; did you mean 'left'"):
        examples_of(rows, options=ReadOptions(columns={"query": "lft"}))
    with pytest.raises(InputError, match="no role 'querry'; did you mean 'query'"):
        examples_of(rows, options=ReadOptions(columns={"querry": "left"}))
    with pytest.raises(InputError, match="ids alone are no texts"):
        examples_of([{"query_id": "1", "corpus_id": "2", "score": 1}])
    with pytest.raises(InputError, match="ROLE=COLUMN"):
        parse_columns("query")
    with pytest.raises(InputError, match="two columns"):
        parse_columns("query=a,query=b")


def test_columns_that_no_role_takes_are_named() -> None:
    examples = examples_of([{"query": "q", "document": "d", "label": 1, "source": "forum"}])
    assert "not used: 'source'" in examples.detection.sentence


def test_a_score_is_a_label_or_a_teachers() -> None:
    rows = [{"query": "q", "document": "a", "score": 2}, {"query": "q", "document": "b", "score": 0}]
    assert examples_of(rows).detection.label_kind is LabelKind.GRADED
    rows[1]["score"] = -3.5
    taught = examples_of(rows)
    assert contents(taught) == {"q": {"a": (None, 2.0), "b": (None, -3.5)}}
    assert taught.detection.label_kind is LabelKind.NONE
    assert taught.detection.columns["teacher"] == "score"
    stated = examples_of(rows, options=ReadOptions(columns={"label": "score"}))
    assert stated.detection.label_kind is LabelKind.CONTINUOUS
    both = examples_of([{"query": "q", "document": "a", "label": 1, "score": 0.5}])
    assert contents(both) == {"q": {"a": (1.0, 0.5)}}


def test_what_is_wrong_is_counted_and_named() -> None:
    rows = [
        {"query": "ferry", "document": "at nine", "label": 1},
        {"query": "ferry", "document": "at nine", "label": 1},
        {"query": "ferry", "document": "blue", "label": 1},
        {"query": "ferry", "document": "blue", "label": 0},
        {"query": "", "document": "red", "label": 0},
        {"query": "ferry", "document": " ", "label": 0},
        {"query": "ferry", "document": "old", "label": None},
        {"query": "ship", "document": "old", "label": float("nan")},
    ]
    examples = examples_of(rows)
    assert contents(examples) == {"ferry": {"at nine": (1.0, None)}}
    assert {issue.code: issue.count for issue in examples.issues} == {
        "contradictory_labels": 1, "empty_documents": 1, "empty_queries": 1, "no_label": 2, "repeated_pairs": 2,
        "queries_without_candidates": 1,
    }  # fmt: skip
    messages = {issue.code: issue.message for issue in examples.issues}
    assert messages["contradictory_labels"] == "1 pairs have two labels, and are left out, such as 'ferry' and 'blue'"
    assert messages["empty_queries"].endswith("such as data, row 5")
    with pytest.raises(InputError, match="data has no query with a candidate: 1 pairs are without a query"):
        examples_of(rows[4:5])
    with pytest.raises(InputError, match="data has no rows"):
        examples_of([])


def test_a_negative_that_is_a_positive_elsewhere_is_a_positive() -> None:
    examples = examples_of([
        {"query": "ferry", "positive": "at nine", "negative": "at ten"},
        {"query": "ferry", "positive": "at ten", "negative": "blue"},
    ])  # fmt: skip
    assert contents(examples)["ferry"]["at ten"] == (1.0, None)
    assert [(issue.code, issue.count) for issue in examples.issues] == [("positive_and_negative", 1)]


def test_labels_that_are_words_or_have_signs() -> None:
    rows = [{"query": "q", "document": "a", "label": "Relevant"}, {"query": "q", "document": "b", "label": "no"}]
    examples = examples_of(rows)
    assert contents(examples) == {"q": {"a": (1.0, None), "b": (0.0, None)}}
    assert examples.issues[0].message == "2 labels are words: 'no' is 0 (1x), 'relevant' is 1 (1x)"
    rows[0]["label"] = "E"
    with pytest.raises(InputError, match=r"row 1: the label 'E' is a word without a number; .* --labels e=1,OTHER=0"):
        examples_of(rows)
    worth = examples_of(rows, options=ReadOptions(labels=parse_labels("E=3, No=0")))
    assert worth.label_counts == {0.0: 1, 3.0: 1}
    signed = examples_of([{"query": "q", "document": "a", "label": -1}, {"query": "q", "document": "b", "label": 1}])
    assert signed.detection.label_kind is LabelKind.BINARY
    assert [issue.code for issue in signed.issues] == ["signed_labels"]
    with pytest.raises(InputError, match="WORD=NUMBER"):
        parse_labels("relevant")


def test_ids_group_and_must_have_one_text() -> None:
    rows = [
        {"query": "ferry", "query_id": 7, "document": "at nine", "doc_id": "a", "label": 1},
        {"query": "ferry", "query_id": 8, "document": "blue", "doc_id": "b", "label": 0},
    ]
    assert [q.query.id for q in examples_of(rows).queries] == ["7", "8"]
    with pytest.raises(InputError, match="the query id '7' has two texts, here 'bread'"):
        examples_of([*rows, {**rows[0], "query": "bread"}])
    with pytest.raises(InputError, match="the document id 'a' has two texts, here 'red'"):
        examples_of([*rows, {**rows[0], "document": "red"}])


WORDS = st.sampled_from(["ferry", "bread", "at nine", "blue", "red", "old", ""])


@given(
    st.lists(
        st.fixed_dictionaries({"query": WORDS, "document": WORDS, "label": st.sampled_from([0, 1, 2, None])}),
        min_size=1, max_size=12,
    ),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_the_order_of_rows_changes_nothing(rows: list[Row], random: Any) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    results = []
    for order in (rows, shuffled):
        try:
            examples = examples_of(order)
            results.append((examples.queries, [(issue.code, issue.count) for issue in examples.issues]))
        except InputError as error:
            results.append((type(error), []))
    assert results[0] == results[1]


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_columns_and_triplets_changes_nothing(triplets: list[tuple[str, str, str]], random: Any) -> None:
    rows = [{"anchor": a, "positive": p, "negative": n} for a, p, n in triplets]
    shuffled = [dict(reversed(row.items())) for row in rows]
    random.shuffle(shuffled)
    results = []
    for order in (rows, shuffled):
        try:
            results.append(examples_of(order).queries)
        except InputError:
            results.append(())
    assert results[0] == results[1]
    texts = [query.query.text for query in results[0]]
    assert len(texts) == len(set(texts))  # one group for each text


@pytest.mark.parametrize(
    ("rows", "loss"),
    [
        (PAIRS, "bce"),
        (PAIRS[:2], "mnrl"),
        ([{"query": "q", "document": "a", "label": 1}, {"query": "r", "document": "b", "label": 0}], "bce"),
        ([{"query": "q", "documents": ["a", "b", "c"], "labels": [2, 1, 0]}], "lambda"),
        ([{"query": "q", "document": "a", "label": 0.5}, {"query": "r", "document": "b", "label": 0}], "bce"),
        ([{"query": "q", "document": "a", "label": 3.5}, {"query": "r", "document": "b", "label": 0}], "mse"),
        ([{"query": "q", "positive": "a", "negative": "b"}], "bce"),
        ([{"query": "q", "positive": "a", "negative": "b", "score": 2.5}], "margin-mse"),
        ([{"query": "q", "pos": ["a"], "neg": ["b"], "pos_scores": [2], "neg_scores": [0.5]}], "teacher-mse"),
        ([{"query": "q", "document": "a", "click": 0, "position": 1},
          {"query": "q", "document": "b", "click": 1, "position": 2},
          {"query": "r", "document": "c", "click": 1, "position": 1}], "group-softmax"),
    ],
)  # fmt: skip
def test_the_loss_that_fits_is_the_one_that_training_takes(rows: list[Row], loss: str) -> None:
    examples = examples_of(rows)
    fits = describe(examples).losses
    assert (fits[0].loss, fits[0].why) == (loss, choose(facts_of(examples))[1]) and all(fit.why for fit in fits)
    assert {fit.loss for fit in fits} == set(fitting(facts_of(examples)))


def test_margins_are_no_scores() -> None:
    facts = facts_of(examples_of([{"query": "q", "positive": "a", "negative": "b", "score": 2.5}]))
    assert "margins" in obstacle(LOSSES["teacher-mse"], facts)
    assert obstacle(LOSSES["teacher-margin"], facts) == "" and obstacle(LATE_LOSSES["margin-mse"], facts) == ""


def test_a_description_counts() -> None:
    description = describe(examples_of(PAIRS))
    assert (description.queries, description.candidates, description.per_query) == (2, 3, (1, 1.5, 2))
    assert description.labels == {"0": 1, "1": 2}
    assert (description.positives, description.comparable, description.taught) == (2, 1, 0)
    assert len(description.examples) == 2
