import io
import random
from pathlib import Path

import pytest
from pypdf import PdfReader, PdfWriter
from pypdf.errors import DependencyError

from resift import InputError, files
from tests.files import make

PAGES = ["The lamp of the lighthouse\nis lit at dusk.", "", "Visitors come by boat."]


def encrypted(user: str) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(make.pdf(PAGES))))
    writer.encrypt(user, "owner", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_passages_know_their_page(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(make.pdf(PAGES))
    found = list(files.read_file(path))
    assert [(d.text, d.metadata) for d in found] == [
        ("The lamp of the lighthouse\nis lit at dusk.", {"path": str(path), "page": 1}),
        ("Visitors come by boat.", {"path": str(path), "page": 3}),
    ]
    assert len({d.id for d in found}) == 2


def test_long_pages_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(make.pdf(["\n".join(f"Line {i} of a long page, ended here." for i in range(100))]))
    found = list(files.read_file(path))
    assert len({d.id for d in found}) == len(found) > 1
    assert {d.metadata["page"] for d in found} == {1}
    assert "Line 99 of" in found[-1].text


def test_only_a_password_that_is_asked_for_hinders(tmp_path: Path) -> None:
    (tmp_path / "open.pdf").write_bytes(encrypted(""))
    assert len(list(files.read_file(tmp_path / "open.pdf"))) == 2
    (tmp_path / "shut.pdf").write_bytes(encrypted("secret"))
    with pytest.raises(InputError, match=r"shut\.pdf is encrypted.*qpdf --decrypt"):
        list(files.read_file(tmp_path / "shut.pdf"))


def test_what_only_cryptography_opens_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise DependencyError("cryptography>=3.1 is required for AES algorithm")

    monkeypatch.setattr(PdfReader, "decrypt", refuse)
    (tmp_path / "a.pdf").write_bytes(encrypted(""))
    with pytest.raises(InputError, match=r"encrypted with AES.*pypdf\[crypto\].*qpdf --decrypt"):
        list(files.read_file(tmp_path / "a.pdf"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (make.pdf(["", ""]), r"no text on any page.*ocrmypdf"),
        (b"", "broken PDF"),
        (b"not a PDF at all", "broken PDF"),
        (make.pdf(PAGES)[:300], "broken PDF"),
    ],
)
def test_bad_files_get_a_sentence(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.pdf"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(files.read_file(path))
    skipped: list[files.Skipped] = []
    assert list(files.read_paths([tmp_path], skipped.append)) == []
    assert [s.path for s in skipped] == [str(path)]


def test_damage_is_survived_or_refused(tmp_path: Path) -> None:
    whole, path, chance = make.pdf(PAGES), tmp_path / "a.pdf", random.Random(0)
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 12)):
            content[chance.randrange(len(content))] = chance.choice(b"\x00 /<>[]()0129RTfx\xff")
        path.write_bytes(content)
        try:
            list(files.read_file(path))
        except InputError as error:
            assert str(path) in str(error)
