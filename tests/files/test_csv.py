"""Tables: what stands between their cells, and that no cell is lost."""

from pathlib import Path

import pytest

from resift import InputError, files
from resift.types import Document


def rows(path: Path, content: str) -> list[Document]:
    path.write_text(content, newline="")
    return list(files.read_file(path))


TEXT = "Oslo is the capital of Norway, and its largest city."


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", f"id;title;text\n1;Oslo;{TEXT}\n"),
        ("a.csv", f"id\ttitle\ttext\r\n1\tOslo\t{TEXT}\r\n"),
        ("a.csv", f"id|title|text\n1|Oslo|{TEXT}\n"),
        ("a.csv", f"sep=;\r\nid;title;text\r\n1;Oslo;{TEXT}\r\n"),
        ("a.csv", f"id,title,text\n1,Oslo,{TEXT}\n"),
        ("a.csv", f'id, title, text\n1, Oslo, "{TEXT}"\n'),
        ("a.csv", f"id, title, text\n1, Oslo, {TEXT}\n"),
        ("a.csv", f'ID,Title,Text\n1,Oslo,"{TEXT}"\n'),
        ("a.csv", f'\n id ,TITLE ,text\n1,Oslo,"{TEXT}",,\n'),
        ("a.tsv", f"id\ttitle\ttext\n1\tOslo\t{TEXT}\n"),
        ("a.TSV", f'id\ttitle\ttext\n1\tOslo\t"{TEXT}"\n'),
    ],
)
def test_separators_are_seen(tmp_path: Path, name: str, content: str) -> None:
    assert [(d.id, d.title, d.text) for d in rows(tmp_path / name, content)] == [("1", "Oslo", TEXT)]


def test_a_row_longer_than_its_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.csv:3: 4 cells under a header of 3; put quotes .* ','"):
        rows(tmp_path / "a.csv", "id,text,author\n1,bread,Ann\n2,Oslo, the capital,Bob\n")


def test_rows_of_one_column_keep_their_commas(tmp_path: Path) -> None:
    assert [d.text for d in rows(tmp_path / "a.csv", "details\nOslo, Norway\n")] == ["Oslo, Norway"]


def test_columns_without_a_known_name_keep_it(tmp_path: Path) -> None:
    (found,) = rows(tmp_path / "a.csv", "ticket,details,state,,state\nT-17,The lamp is out,open,x,urgent\n")
    assert found.text == "ticket: T-17\ndetails: The lamp is out\nstate: open\ncolumn 4: x\nstate (column 5): urgent"


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_table_without_a_header_loses_no_row(tmp_path: Path, name: str) -> None:
    separator = "," if name == "a.csv" else "\t"
    content = separator.join(["1048", "when was Oslo founded"]) + "\n" + separator.join(["2", "bread"]) + "\n"
    assert [(d.id, d.text) for d in rows(tmp_path / name, content)] == [
        ("1048", "when was Oslo founded"),
        ("2", "bread"),
    ]
    content = separator.join(["q1", "capital of Norway"]) + "\n"
    assert [(d.id, d.text) for d in rows(tmp_path / name, content)] == [("q1", "capital of Norway")]
    (found,) = rows(tmp_path / name, separator.join(["7", "Oslo", "Norway"]) + "\n")
    assert found.text == "column 1: 7\ncolumn 2: Oslo\ncolumn 3: Norway"


def test_quotes_in_tsv_are_text(tmp_path: Path) -> None:
    content = 'id\ttext\n1\t"Oslo" is a city\n2\t5" pipe\n3\t"a ""lamp"""\n4\t"open\n'
    assert [d.text for d in rows(tmp_path / "a.tsv", content)] == ['"Oslo" is a city', '5" pipe', 'a "lamp"', '"open']


def test_lines_are_counted_below_a_separators_line(tmp_path: Path) -> None:
    found = rows(tmp_path / "a.csv", 'sep=;\nid;text\n1;bread\n2;"two\nlines"\n')
    assert [d.metadata["line"] for d in found] == [3, 5]
    with pytest.raises(InputError, match=r"a\.csv:4: a quote that is opened in line 3"):
        rows(tmp_path / "a.csv", 'sep=;\nid;text\n1;"bread\n2;lamp\n')
