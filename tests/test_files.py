import gzip
import io
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resift import InputError, Reranker, files
from resift.files.answers import as_json
from resift.retrieve.bm25 import BM25Retriever
from resift.types import Candidate, Document, Query, Ranking


def by_id(path: Path) -> dict[str, Document]:
    return {d.id: d for d in files.read_file(path)}


def test_markdown_passages_know_their_heading_and_place(corpus: Path) -> None:
    path = corpus / "lighthouse.md"
    text = path.read_text()
    found = list(files.read_file(path))
    assert [d.title for d in found] == [
        "The lighthouse at Skarvoy",
        "The lighthouse at Skarvoy > The lamp",
        "The lighthouse at Skarvoy > Visiting",
        "The lighthouse at Skarvoy > Birds",
    ]
    for d in found:
        assert text[d.metadata["start"] : d.metadata["end"]] == d.text
        assert text.count("\n", 0, d.metadata["start"]) + 1 == d.metadata["line"]
    assert "# this is a comment in a fenced block" in found[2].text


def test_rst_titles_by_underline(corpus: Path) -> None:
    found = list(files.read_file(corpus / "network.rst"))
    assert [d.title for d in found] == [
        "Fixing a home network",
        "Fixing a home network > Slow wireless",
        "Fixing a home network > No address",
    ]
    assert "===" not in "".join(d.text for d in found)


def test_html_is_visible_text(corpus: Path) -> None:
    source = (corpus / "garden.html").read_text()
    found = list(files.read_file(corpus / "garden.html"))
    assert [d.title for d in found] == ["Tomatoes & basil", "Tomatoes & basil > Blight"]
    assert "Plant tomatoes after the last frost, sixty centimetres apart." in found[0].text
    assert not any("secret" in d.text or "color" in d.text for d in found)
    assert "last frost" in source[found[0].metadata["start"] : found[0].metadata["end"]]


def test_a_long_cell_is_read_whole(tmp_path: Path) -> None:
    text = "the keeper lit the lamp\n" * 20_000
    (tmp_path / "a.csv").write_text(f'id,text\n1,"{text}"\n2,bread\n')
    assert [d.text for d in files.read_file(tmp_path / "a.csv")] == [text, "bread"]


def test_a_quote_that_is_never_closed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id,text\n1,bread\n2,"a lamp\n3,water\n4,oslo\n')
    with pytest.raises(InputError, match=r"a\.csv:5: a quote that is opened in line 3 or behind it is never closed"):
        list(files.read_file(path))
    path.write_text('id,"text\n1,bread\n')
    with pytest.raises(InputError, match=r"opened in line 1 or behind"):
        list(files.read_file(path))
    path.write_text('id,text\n1,"a ""lamp""\nand bread"\n2,5" pipe\n')
    assert [d.text for d in files.read_file(path)] == ['a "lamp"\nand bread', '5" pipe']


def test_jsonl_and_csv_fields(corpus: Path) -> None:
    faq = by_id(corpus / "faq.jsonl")
    assert faq["faq-1"].title == "How do I reset my password?"
    assert faq["faq-1"].text.startswith("Open the sign-in page")
    assert faq["faq-2"].metadata["line"] == 2
    parts = by_id(corpus / "parts.csv")
    place = {"path": str(corpus / "parts.csv"), "line": 3}
    assert parts["p2"] == Document("p2", "Aluminium clamp for a 34.9 mm seat tube", "Saddle clamp", place)


def test_objects_without_a_text_field_are_all_their_strings(tmp_path: Path) -> None:
    (tmp_path / "odd.jsonl").write_text('{"colour": "red", "weight": 3, "shape": "round"}\n')
    found = next(files.read_paths([tmp_path]))
    assert found.text == "colour: red\nshape: round"
    assert found.metadata["weight"] == 3  # what is no string is not lost
    (tmp_path / "odd.jsonl").write_text('{"words": "red"}\n')
    assert next(files.read_paths([tmp_path])).text == "red"


def test_folders_are_sorted_and_hidden_files_left_out(corpus: Path, tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", ".hidden.txt", "image.png"):
        (tmp_path / name).write_text(name)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "c.txt").write_text("c")
    skipped: list[files.Skipped] = []
    assert [d.text for d in files.read_paths([tmp_path], skipped.append)] == ["a.txt", "b.txt"]
    assert [Path(s.path).name for s in skipped] == ["image.png"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.txt", None, "no such file"),
        ("binary.txt", b"\x7fELF\x00\x00", "binary"),
        ("latin.txt", b"caf\xe9", "not UTF-8"),
        ("broken.jsonl", b'{"text": "a"}\n{"text": ', "broken.jsonl:2"),
        ("number.jsonl", b"3\n", "type int"),
        ("untexted.jsonl", b'{"n": 1}\n', "has no text"),
    ],
)
def test_bad_files_get_a_sentence(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(files.read_paths([tmp_path / name]))
    if content is not None:  # in a folder it is left out instead, and said so
        skipped: list[files.Skipped] = []
        list(files.read_paths([tmp_path], skipped.append))
        assert message in skipped[0].reason


def test_utf16_and_byte_order_marks(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("naïve".encode("utf-16"))
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbfplain")
    assert [d.text for d in files.read_paths([tmp_path])] == ["naïve", "plain"]


def test_unsafe_characters_are_replaced_in_place(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a\\u0000b\\ud800c"}\n')
    assert next(files.read_paths([tmp_path])).text == "a\x00b\ud800c"  # the scorer replaces and flags it
    (tmp_path / "b.txt").write_text("x\x07y")
    assert [d.text for d in files.read_file(tmp_path / "b.txt")] == ["x�y"]


# Tracing costs some microseconds for each line: many short lines are as telling in a smaller file.
@pytest.mark.parametrize(
    ("line", "size"), [("word " * 15 + "\n", 4_000_000), ("endless ", 4_000_000), ("\n\n", 400_000)]
)
def test_a_large_file_is_streamed(tmp_path: Path, line: str, size: int) -> None:
    path = tmp_path / "large.txt"
    path.write_text(line * (size // len(line)))
    tracemalloc.start()
    total = sum(len(d.text) for d in files.read_file(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 2
    assert total > size * 0.9 or not line.strip()


prose = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]) | st.sampled_from("\n\n\n #=-`. "), max_size=3000
)


@settings(max_examples=200, deadline=None)
@given(prose)
def test_plain_text_loses_nothing(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("t") / "a.txt"
    path.write_text(text, newline="")
    found = list(files.read_file(path))
    assert "".join("".join(d.text for d in found).split()) == "".join(text.removeprefix("\ufeff").split())
    text = text.removeprefix("\ufeff")
    assert all(text[d.metadata["start"] : d.metadata["end"]] == d.text for d in found)


@settings(max_examples=200, deadline=None)
@given(prose, st.sampled_from([".md", ".rst", ".html"]))
def test_markup_never_fails(tmp_path_factory: pytest.TempPathFactory, text: str, suffix: str) -> None:
    path = tmp_path_factory.mktemp("t") / f"a{suffix}"
    path.write_text(text, newline="")
    for d in files.read_file(path):
        assert d.text.strip() == d.text != ""
        assert 0 <= d.metadata["start"] <= d.metadata["end"] <= len(text)
        assert d.metadata["line"] >= 1


def test_markdown_words_all_survive(corpus: Path) -> None:
    found = list(files.read_file(corpus / "lighthouse.md"))
    words = set("".join(f" {d.title} {d.text}" for d in found).split())
    assert set((corpus / "lighthouse.md").read_text().replace("#", " ").split()) - words <= {"```"}


def test_headings_without_text_become_passages(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# One\n## Two\n## Three\ntext\n# Four\n")
    found = [(d.title, d.text) for d in files.read_file(tmp_path / "a.md")]
    assert found == [("One", "Two"), ("One > Three", "text"), ("", "Four")]


def test_runs_round_trip() -> None:
    ranking = Ranking(Query("text", "q1"), tuple(Candidate(Document(f"d{i}", "")) for i in range(3)))
    out = io.StringIO()
    files.write_run([ranking], "tag", out)
    run = files.read_run(out.getvalue().splitlines(), "-")
    assert [line.document for line in run["q1"]] == ["d0", "d1", "d2"]
    assert [line.score for line in run["q1"]] == [2.0, 1.0, 0.0]
    with pytest.raises(InputError, match="-:1"):
        files.read_run(["q1 d0"], "-")


def test_qrels_of_both_dialects(tmp_path: Path) -> None:
    (tmp_path / "beir.tsv").write_text("query-id\tcorpus-id\tscore\n1\td1\t2\n")
    (tmp_path / "trec.txt").write_text("1 0 d1 2\n")
    assert files.read_qrels(tmp_path / "beir.tsv") == files.read_qrels(tmp_path / "trec.txt") == {"1": {"d1": 2}}


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        '{"query": "q"}',
        '{"query": 3, "documents": []}',
        '{"query": "q", "documents": [3]}',
        '{"query": "q", "documents": "d"}',
        '{"query": "q", "documents": {"id": "a", "text": "d"}}',
        '{"query": {"txet": "q"}, "documents": ["d"]}',
        '{"query": "q", "id": 1.5, "documents": ["d"]}',
    ],
)
def test_bad_requests_name_their_line(line: str) -> None:
    good = json.dumps({"query": "q", "documents": ["d"]})
    with pytest.raises(InputError, match="f:2: "):
        list(files.read_requests([good, line], "f"))


@pytest.mark.parametrize(
    ("field", "meant"), [("topk", ""), ("document", "documents"), ("Query", "query"), ("_id", "id")]
)
def test_an_unknown_field_of_a_request_is_refused(field: str, meant: str) -> None:
    line = json.dumps({"query": "q", "documents": ["d"], field: 1})
    suggestion = f"; did you mean '{meant}'\\?" if meant else ""
    with pytest.raises(
        InputError, match=f"f:1: there is no field '{field}'{suggestion}; there are id, query, documents"
    ):
        list(files.read_requests([line], "f"))


def test_metadata_has_one_layer() -> None:
    nested = files.document({"id": "a", "text": "x", "metadata": {"year": 2021}}, "0")
    beside = files.document({"id": "a", "text": "x", "year": 2021}, "0")
    assert nested == beside == Document("a", "x", metadata={"year": 2021})
    assert files.document({"text": "x", "metadata": None}, "0").metadata == {}
    assert files.document({"text": "x", "metadata": ["a"]}, "0").metadata == {"metadata": ["a"]}
    both = files.document({"text": "x", "year": 1, "metadata": {"year": 2, "page": 3}}, "0").metadata
    assert both == {"year": 1, "page": 3, "metadata": {"year": 2}}


def test_what_is_no_text_stays_metadata_where_all_strings_are_the_text() -> None:
    found = files.document({"note": "x", "price": 5, "metadata": {"year": 2021}}, "0")
    assert (found.text, dict(found.metadata)) == ("x", {"price": 5, "year": 2021})


def test_an_answer_is_a_request_again(mini: Reranker) -> None:
    request = {
        "id": "q1",
        "query": "capital of Norway",
        "documents": [
            "Bread is baked.",
            {"id": "b", "title": "Norway", "text": "Oslo is its capital.", "metadata": {"year": 2021, "rank": 7}},
            {"id": "c", "text": "", "score": 3},
        ],
    }
    ((query, documents),) = files.read_requests([json.dumps(request)], "f")
    once = mini.rerank(query, documents)
    ((again, results),) = files.read_requests([json.dumps(as_json(once))], "f")
    assert again == query and results == [c.document for c in once]
    assert dict(results[0].metadata) == {"year": 2021, "rank": 7} and documents[2].metadata["score"] == 3
    direct = mini.rerank(query, as_json(once)["results"])
    assert [c.document for c in direct] == results


def test_run_lines_of_other_lengths() -> None:
    for line, message in (
        ("q1 Q0 d1 1 2.0", r"-:1: 5 columns; a TREC run line is"),
        ("q1 d1 2.0", r"-:1: 3 columns; a TREC run line is"),
        ("q1 Q0 d1 first 2.0 tag", r"rank 'first' or score '2\.0' is no number"),
        ('{"query": "q", "documents": ["one two three four"]}', r"this is JSON: leave --queries and --documents out"),
    ):
        with pytest.raises(InputError, match=message):
            files.read_run([line], "-")
    (line,) = files.read_run(["q1 Q0 d1 1 2.0 my tag of words"], "-")["q1"]
    assert (line.document, line.rank, line.score) == ("d1", 1, 2.0)


def test_qrels_of_two_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("q1 1\n")
    with pytest.raises(InputError, match=r"a\.txt:1: expected query, document.*there are 2 columns"):
        files.read_qrels(tmp_path / "a.txt")


def one(path: Path, value: object) -> Document:
    path.write_text(json.dumps(value) + "\n")
    (found,) = files.read_file(path)
    return found


def test_lists_are_text_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    assert one(path, {"doc_id": 7, "title": "T", "abstract": ["One.", "Two."]}).text == "One.\nTwo."
    assert one(path, {"id": "a", "content": [{"type": "text", "text": "Oslo"}]}).text == "Oslo"
    assert one(path, {"sentences": ["One.", "Two."]}).text == "One.\nTwo."
    assert one(path, {"text": "x", "tags": ["a"]}).metadata["tags"] == ["a"]
    for bad in ([1, 2], [{"type": "image"}], [["a"]]):
        with pytest.raises(InputError, match=r"a\.jsonl:1 has a 'content' that is a list of something else"):
            one(path, {"title": "T", "content": bad})


def test_names_of_fields_are_known_in_capitals(tmp_path: Path) -> None:
    found = one(tmp_path / "a.jsonl", {"ID": "7", "Title": "Oslo", "TEXT": "The capital."})
    assert (found.id, found.title, found.text) == ("7", "Oslo", "The capital.")
    found = one(tmp_path / "a.jsonl", {"Text": "other", "text": "The capital.", "sku": "P007"})
    assert (found.id, found.text, found.metadata["Text"]) == ("P007", "The capital.", "other")


def test_a_passage_has_its_own_id_beside_its_documents(tmp_path: Path) -> None:
    found = one(tmp_path / "a.jsonl", {"pid": "p_10", "passage": "Oslo.", "spans": "(0,5)", "docid": "d_5"})
    assert (found.id, found.text, found.metadata["docid"]) == ("p_10", "Oslo.", "d_5")


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl", "a.ndjson.gz", "packed"])
def test_gzip_is_taken_off(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b'{"id": "a", "text": "Oslo"}\n{"id": "b", "text": "Bread"}\n'))
    assert [d.id for d in files.read_file(tmp_path / name)] == ["a", "b"]
    assert [d.id for d in files.read_paths([tmp_path])] == ["a", "b"]


def test_gzip_of_markdown_has_titles(tmp_path: Path) -> None:
    (tmp_path / "a.md.gz").write_bytes(gzip.compress(b"# Oslo\nThe capital.\n"))
    assert [(d.title, d.text) for d in files.read_paths([tmp_path])] == [("Oslo", "The capital.")]


def test_files_without_a_suffix_are_read_if_they_hold_text(tmp_path: Path) -> None:
    (tmp_path / "copyright").write_text("Copyright: somebody.\nLicense: GPL-2\n")
    (tmp_path / "program").write_bytes(b"\x7fELF\x00\x01")
    (tmp_path / "noise").write_bytes(b"\x01\x02 words \x10\n" * 40)
    (tmp_path / "cut").write_bytes(gzip.compress(b"words")[:12])
    skipped: list[files.Skipped] = []
    assert [d.text for d in files.read_paths([tmp_path], skipped.append)] == ["Copyright: somebody.\nLicense: GPL-2"]
    assert [Path(s.path).name for s in skipped] == ["cut", "noise", "program"]
    assert all("is not read" in s.reason for s in skipped)


def test_records_are_found_by_their_ids(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"sku": "P{i:03}", "name": "part", "description": "a part"}}\n' for i in range(40)))
    documents = list(files.read_file(path))
    (ranking,) = BM25Retriever(documents).retrieve([Query("P007")], 3)
    assert [c.document.id for c in ranking] == ["P007"]
    passages = [Document(f"{path}:0-4", "lamp", metadata={"path": str(path)}), Document("oslo", "lamp")]
    assert len(BM25Retriever(passages).retrieve([Query("jsonl oslo")], 3)[0]) == 0  # neither paths nor callers' own ids
