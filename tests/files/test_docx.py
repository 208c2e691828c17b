import random
import zipfile
from pathlib import Path

import pytest

from resift import InputError, files
from tests.files import make
from tests.files.make import paragraph, table


def test_headings_paragraphs_and_tables(tmp_path: Path) -> None:
    rows = [[paragraph("Lamp"), paragraph("Oil") + paragraph("or gas")], [paragraph("Tower"), paragraph("")]]
    body = [
        paragraph("Skarvoy", "Heading1"),
        paragraph("An island &amp; its light."),
        paragraph("Parts", "Heading2"),
        table(rows),
        paragraph("After the table."),
        paragraph("Visits", "Heading1"),
        paragraph("By boat."),
    ]
    path = make.docx(tmp_path / "a.docx", "".join(body))
    found = list(files.read_file(path))
    assert [(d.title, d.text, d.metadata["paragraph"]) for d in found] == [
        ("Skarvoy", "An island & its light.", 2),
        ("Skarvoy > Parts", "Lamp | Oil or gas\nTower\n\nAfter the table.", 4),
        ("Visits", "By boat.", 11),
    ]
    assert found[0].metadata["path"] == str(path)
    assert len({d.id for d in found}) == 3


def test_heading_styles_of_other_languages_go_by_their_name(tmp_path: Path) -> None:
    styles = '<w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>'
    path = make.docx(tmp_path / "a.docx", paragraph("Licht", "berschrift1") + paragraph("Es brennt."), styles)
    assert [(d.title, d.text) for d in files.read_file(path)] == [("Licht", "Es brennt.")]


def test_text_boxes_are_read_once_and_deleted_text_not(tmp_path: Path) -> None:
    box = paragraph("in the box")
    body = (
        f"<w:p><w:r><w:t>before </w:t><w:Choice>{box}</w:Choice><w:Fallback>{box}</w:Fallback></w:r>"
        "<w:r><w:delText>gone</w:delText><w:t>a</w:t><w:tab/><w:t>b</w:t></w:r></w:p>"
    )
    text = "\n".join(d.text for d in files.read_file(make.docx(tmp_path / "a.docx", body)))
    assert text.count("in the box") == 1
    assert "before a\tb" in text
    assert "gone" not in text


def test_nested_tables_are_text_of_the_outer_cell(tmp_path: Path) -> None:
    inner = table([[paragraph("x"), paragraph("y")]])
    path = make.docx(tmp_path / "a.docx", table([[paragraph("a") + inner, paragraph("b")]]))
    assert [d.text for d in files.read_file(path)] == ["a x y | b"]


def test_a_long_document_is_cut(tmp_path: Path) -> None:
    path = make.docx(tmp_path / "a.docx", "".join(paragraph(f"Paragraph {i} says nothing. " * 5) for i in range(300)))
    found = list(files.read_file(path))
    assert len({d.id for d in found}) == len(found) > 20
    assert all(f"Paragraph {d.metadata['paragraph'] - 1} says" in d.text[:25] for d in found)


def test_bad_files_get_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "bad.docx"
    whole = make.docx(tmp_path / "whole.docx", paragraph("text " * 500)).read_bytes()
    cases = [(b"", "broken"), (b"PK\x03\x04", "broken"), (whole[:200], "broken"), (b"\xd0\xcf\x11\xe0", "encrypted")]
    for content, message in cases:
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            list(files.read_file(path))
    make.docx(path, "<w:p>")
    with pytest.raises(InputError, match="broken"):
        list(files.read_file(path))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.xml", "<a/>")
    with pytest.raises(InputError, match="no Word text"):
        list(files.read_file(path))


def test_damage_is_survived_or_refused(tmp_path: Path) -> None:
    whole = make.docx(tmp_path / "whole.docx", paragraph("A", "Heading1") + paragraph("text")).read_bytes()
    path, chance = tmp_path / "a.docx", random.Random(0)
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
        try:
            list(files.read_file(path))
        except InputError as error:
            assert str(path) in str(error)
