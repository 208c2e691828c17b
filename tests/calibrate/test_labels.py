"""Bad labels and bad scores: one sentence each, counted and named."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from resift.calibrate.fit import FitOptions, calibrate, sample_of
from resift.calibrate.labelled_pairs import LabelledPair
from resift.errors import InputError, KindError, NonFiniteScore, NotCalibrated
from resift.evaluate import DataFiles, read_dataset
from resift.evaluate.labels import Labels, read_labels
from resift.types import Document, ModelInfo, Pair, Query, ScoreKind, Scores


class Lengths:
    """A fake scorer: the score is the length of the text; an empty text has none."""

    def __init__(self, kind: ScoreKind = ScoreKind.LOGIT) -> None:
        self.info = ModelInfo("lengths", kind, fingerprint="f00d", runs_on="python")

    def score(self, pairs: Sequence[Pair]) -> Scores:
        texts = [c.document.text for _, c in pairs]
        return Scores.of([float(len(text)) if text else None for text in texts], self.info)


def pair(query: int, document: str, grade: float) -> LabelledPair:
    return LabelledPair(Query(f"what is {query}", f"q{query}"), Document(f"d{len(document)}", document), grade)


def good(queries: int = 8) -> list[LabelledPair]:
    """Longer texts are relevant, mostly."""
    sizes = (3, 5, 8, 12)
    return [pair(q, "x" * (n + q % 3), float(n + q % 3 > 7 and q + n != 9)) for q in range(queries) for n in sizes]


def write(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def row(i: int, grade: object) -> dict[str, object]:
    return {"query_id": i, "query": f"what is {i}", "document": {"id": f"d{i}", "text": "text"}, "grade": grade}


def read(path: Path, split: str | None = None, unjudged: int = 0) -> Labels:
    return read_labels(DataFiles(path, split=split), unjudged)


def test_formats_say_the_same(tmp_path: Path) -> None:
    """A pair on each line, as JSONL or as a table, and a query with all its documents on each."""
    rows = [(i, f"what is {i // 2}", f"text, {i}", i % 2) for i in range(4)]
    pairs = [{"query_id": i // 2, "query": t, "document": d, "grade": g} for i, t, d, g in rows]
    of_one = [{**row, "document_id": f"d{i}", "text": row["document"]} for i, row in enumerate(pairs)]
    whole = [
        {"query": {"id": q, "text": f"what is {q}"}, "negatives": [f"text, {2 * q}"], "pos": f"text, {2 * q + 1}"}
        for q in range(2)
    ]
    table = tmp_path / "a.csv"
    table.write_text("query_id,query,text,label\n" + "".join(f'{i // 2},{t},"{d}",{g}\n' for i, t, d, g in rows))
    expected = [(str(i // 2), t, d, float(g)) for i, t, d, g in rows]
    for path in (write(tmp_path / "a.jsonl", pairs), table, write(tmp_path / "b.jsonl", of_one)):
        assert [(p.query.id, p.query.text, p.document.text, p.grade) for p in read(path).pairs] == expected
        assert sum(len(grades) for grades in read_dataset(DataFiles(path)).qrels.values()) == 4
    assert [p.document.id for p in read(tmp_path / "b.jsonl").pairs] == ["d0", "d1", "d2", "d3"]
    assert sorted((p.query.id, p.document.text, p.grade) for p in read(write(tmp_path / "c.jsonl", whole)).pairs) == [
        (q, d, g) for q, _, d, g in expected
    ]
    flags = write(tmp_path / "d.jsonl", [{"query": "q", "document": {"title": "T", "text": "d"}, "relevant": True}])
    (pair,) = read(flags).pairs
    assert pair.grade == 1 and pair.document.title == "T" and read(flags).notes == ()


def folder(tmp_path: Path) -> Path:
    corpus = [{"_id": f"d{i}", "text": f"lamp {'bread ' * i}"} for i in range(6)]
    (tmp_path / "corpus.jsonl.gz").write_bytes(gzip.compress("".join(f"{json.dumps(d)}\n" for d in corpus).encode()))
    write(tmp_path / "queries.jsonl", [{"_id": "q1", "text": "lamp"}, {"_id": "q2", "text": "bread"}])
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td0\t1\nq2\td3\t2\n")
    return tmp_path


def test_a_folder_and_what_nobody_judged(tmp_path: Path) -> None:
    place = folder(tmp_path)
    expected = [("lamp", "d0", 1), ("bread", "d3", 2)]
    assert [(p.query.text, p.document.id, p.grade) for p in read(place).pairs] == expected
    more = read(place, unjudged=2).pairs[2:]
    assert [p.query.id for p in more] == ["q1", "q1", "q2", "q2"] and {p.grade for p in more} == {0.0}
    assert not {("q1", "d0"), ("q2", "d3")} & {(p.query.id, p.document.id) for p in more}
    (place / "qrels.txt").write_text("q1 0 d0 1\nq2 0 d3 2\n")
    parts = DataFiles(
        queries=place / "queries.jsonl", documents=place / "corpus.jsonl.gz", qrels=place / "qrels.txt"
    )  # fmt: skip
    assert [(p.query.text, p.document.id, p.grade) for p in read_labels(parts).pairs] == expected


def test_what_a_folder_misses_is_counted_and_named(tmp_path: Path) -> None:
    """And queries of which nothing is relevant stay: a threshold should leave out all that is found for them."""
    place = folder(tmp_path)
    assert read(place).notes == ("split test",)
    lines = ("q1\td9\t1", "q1\td0\t0", "q9\td0\t1")
    (place / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(lines))
    labels = read(place, "dev")
    assert [(p.query.id, p.document.id, p.grade) for p in labels.pairs] == [("q1", "d0", 0)]
    assert labels.notes == (
        "split dev",
        "1 judged queries have no text and were left out (q9)",
        "1 judged documents are not among the documents, and left out (d9)",
        "1 queries have no judgements here (q2)",
    )
    with pytest.raises(InputError, match="has no split 'train'; it has dev, test"):
        read(place, "train")
    (place / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td9\t1\n")
    with pytest.raises(InputError, match=r"none of 1 judged documents \(first: 'd9'\)"):
        read(place, "dev")
    (place / "corpus.jsonl.gz").unlink()
    with pytest.raises(InputError, match=r"has no corpus\.jsonl"):
        read(place)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "has no documents"),
        ([row(2, 1), row(1, "yes")], r"a\.jsonl:2: the grade 'yes' is no whole number"),
        ([row(1, None)], "the grade None is no whole number"),
        ([{"query": "q", "document": "d"}], r"a\.jsonl:1: no grade"),
        ([row(1, "nan")], "the grade 'nan' is no whole number"),
        ([row(1, 0.5)], "the grade 0.5 is no whole number"),
        ([{"document": "d", "grade": 1}], r"a\.jsonl:1: no query"),
        ([{"query": "q", "grade": 1}], r"a\.jsonl:1: no documents"),
        ([[1]], "no object"),
        ([row(1, 1), row(1, 0)], "document 'd1' has the grade 0, and 1 before"),
    ],
)
def test_lines_that_are_no_labels(tmp_path: Path, rows: Sequence[object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(write(tmp_path / "a.jsonl", rows))


def test_a_line_that_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{\n")
    with pytest.raises(InputError, match=r"a\.jsonl:1: not a JSON value"):
        read(tmp_path / "a.jsonl")
    with pytest.raises(InputError, match="leave --split out"):
        read(tmp_path / "a.jsonl", "test")


@pytest.mark.parametrize(
    ("pairs", "options", "message"),
    [
        (good()[:3], FitOptions(), "all 3 pairs are irrelevant|3 labelled pairs of 1 queries"),
        (good(2), FitOptions(), "8 labelled pairs of 2 queries, 3 of them relevant, are too few"),
        ([pair(q, "x" * q, 1.0) for q in range(1, 30)], FitOptions(), "all 29 pairs are relevant .*--unjudged 20"),
        (good(), FitOptions(relevant_from=2), "all 32 pairs are irrelevant .* --relevant-from to one of the grades 0"),
    ],
)
def test_labels_from_which_nothing_can_be_fitted(pairs: list[LabelledPair], options: FitOptions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        calibrate(Lengths(), pairs, options)


def notes_of(pairs: list[LabelledPair], options: FitOptions = FitOptions()) -> str:  # noqa: B008 - it is frozen
    return "; ".join(calibrate(Lengths(), pairs, options).data.notes)


def test_what_is_left_out_is_counted_and_named() -> None:
    assert notes_of(good()) == ""
    twice = [*good(), good()[0], good()[1]]
    assert "split dev; pairs that are there again" in "; ".join(
        calibrate(Lengths(), twice, notes=("split dev",)).data.notes
    )
    assert "there again with the same label, counted once: 2" in notes_of(twice)
    contradiction = [*good(), pair(0, good()[0].document.text, 1.0)]
    assert "relevant and irrelevant, left out: 1, such as query 'q0' and document 'd3'" in notes_of(contradiction)
    assert "without a score, left out: 1 (empty: 1), such as query 'q0' and document 'd0'" in notes_of(
        [*good(), pair(0, "", 1.0)]
    )
    silent = [*good(), *(pair(100, "x" * n, 0.0) for n in (2, 4))]
    assert "1 of 9 queries have no relevant pair, such as 'q100'" in notes_of(silent)
    graded = [pair(int(p.query.id[1:]), p.document.text, 3 * p.grade) for p in good()]
    assert "the grades are 0 (17 pairs), 3 (15 pairs); 1 or more is relevant" in notes_of(graded)


def test_scores_that_are_none() -> None:
    pairs = good()
    with pytest.raises(NonFiniteScore, match="2 of 32 scores are not finite, such as that of query 'q0'"):
        sample_of(pairs, [float("nan"), float("inf"), *range(30)])
    with pytest.raises(NotCalibrated, match="all 32 scores are 0.5"):
        sample_of(pairs, [0.5] * 32)
    with pytest.raises(KindError, match="a bm25 score means nothing outside"):
        calibrate(Lengths(ScoreKind.BM25), pairs)


@pytest.mark.parametrize("limit", [0, 1, -1, 2, float("nan")])
def test_a_limit_that_is_none(limit: Any) -> None:
    from resift.calibrate.thresholds import Aim, Intent

    with pytest.raises(InputError, match="above 0 and below 1"):
        Intent(Aim.MIN_RECALL, limit)
