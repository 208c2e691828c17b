import gzip
from pathlib import Path

import pytest

from resift import InputError, files

TEXTS = [
    ("cp1252", "L'été dernier, nous avons visité la forêt où les élèves étudiaient déjà. Ça a été agréable, à Noël."),
    ("cp1252", "Die Straße führt über grüne Hügel, größer als gewöhnlich. Während der Übung bleiben die Türen zu."),
    (
        "cp1250",
        "Zeszłego lata odwiedziliśmy las, w którym uczyli się studenci. Biblioteka była zamknięta, źle się działo.",
    ),
    (
        "cp1250",
        "Loni v létě jsme navštívili les, kde studovali žáci. Městská knihovna byla zavřená, ředitel řekl proč.",
    ),
    (
        "cp1250",
        "Tavaly nyáron meglátogattuk az erdőt, ahol a diákok tanultak. A könyvtár zárva volt, túl hűvös idő jött.",
    ),
    ("cp1254", "Geçen yaz öğrencilerin çalıştığı ormanı ziyaret ettik. Şehir kütüphanesi kapalıydı, ışık yoktu."),
    ("cp1257", "Praėjusią vasarą aplankėme mišką, kuriame mokėsi studentai. Biblioteka buvo uždaryta, šviesų nebuvo."),
    (
        "cp1252",
        "El verano pasado visitamos el bosque donde estudiaban los niños. La biblioteca cerró; habrá más días, ¿no?",
    ),
    ("cp1252", "Förra sommaren besökte vi skogen där eleverna läste. Stadsbiblioteket var stängt, så vi åkte hem."),
    ("cp1252", "The café was closed, and the manager’s note said: “back at noon”. Nobody believed it."),
    ("cp1251", "Прошлым летом мы посетили лес, где учились студенты. Городская библиотека была закрыта."),
    ("koi8_r", "Прошлым летом мы посетили лес, где учились студенты. Городская библиотека была закрыта."),
    ("cp1253", "Το περασμένο καλοκαίρι επισκεφθήκαμε το δάσος όπου σπούδαζαν οι φοιτητές. Ήταν ευχάριστο."),
    ("cp932", "去年の夏、私たちは学生たちが勉強している森を訪れました。市立図書館は工事のため閉まっていました。"),
    ("euc_jp", "去年の夏、私たちは学生たちが勉強している森を訪れました。市立図書館は工事のため閉まっていました。"),
    ("gb18030", "去年夏天，我们参观了学生们学习的森林。市图书馆因维修而关闭，市长宣布酒店将继续营业。"),
    ("big5", "去年夏天，我們參觀了學生們學習的森林。市圖書館因維修而關閉，市長宣佈酒店將繼續營業。"),
    ("cp949", "지난 여름 우리는 학생들이 공부하는 숲을 방문했습니다. 시립 도서관은 공사로 문을 닫았습니다."),
]


@pytest.mark.parametrize(("encoding", "text"), TEXTS, ids=[f"{e}-{i}" for i, (e, _) in enumerate(TEXTS)])
def test_encodings_are_found(tmp_path: Path, encoding: str, text: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode(encoding))
    assert [d.text for d in files.read_file(path)] == [text]
    path.write_bytes(f"{text}\n".encode(encoding) * 1500)  # decided by the first 64 KB, whole characters of them
    assert sum(d.text.count(text) for d in files.read_file(path)) == 1500


def test_utf8_is_not_guessed_at_a_character_cut_by_the_head(tmp_path: Path) -> None:
    text = "x" + "é" * 70_000
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    assert "".join(d.text for d in files.read_file(tmp_path / "a.txt")) == text


def test_other_formats_are_decoded_too(tmp_path: Path) -> None:
    text = TEXTS[0][1]
    (tmp_path / "a.csv").write_bytes(f"id,text\n1,{text.replace(',', '')}\n".encode("cp1252"))
    (tmp_path / "a.py").write_bytes(f"# -*- coding: latin-1 -*-\ndef f():\n    '''{text}'''\n".encode("latin-1"))
    assert [d.id for d in files.read_file(tmp_path / "a.csv")] == ["1"]
    assert text in [*files.read_file(tmp_path / "a.py")][-1].text


@pytest.mark.parametrize("content", [b"caf\xe9", bytes(b for b in range(1, 256)) * 4, b"\xff\xfd\x81\x8d" * 30])
def test_what_can_not_be_told_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(InputError, match="not UTF-8 .* encoding can't be told; convert it: iconv"):
        list(files.read_file(tmp_path / "a.txt"))


def test_a_late_surprise_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"plain text\n" * 10_000 + b"caf\xe9\n")
    with pytest.raises(InputError, match="not UTF-8 text throughout"):
        list(files.read_file(tmp_path / "a.txt"))


PAGES = [
    ("iso-8859-8", "iso-8859-8", "ירושלים היא בירת ישראל."),
    ("iso-8859-2", "iso-8859-2", "Warszawa jest stolicą Polski, położona nad Wisłą."),
    ("iso-2022-jp", "iso-2022-jp", "東京は日本の首都である。"),
    ("tis-620", "cp874", "เมืองหลวงของประเทศไทยคือกรุงเทพมหานคร"),
    ("cp866", "cp866", "Москва является столицей России."),
    ("ISO-8859-1", "cp1252", "The café’s note said “noon”."),
    ("x-sjis", "cp932", "東京は日本の首都である。"),
]


@pytest.mark.parametrize(("declared", "encoding", "text"), PAGES, ids=[p[0] for p in PAGES])
def test_what_a_page_declares_counts_first(tmp_path: Path, declared: str, encoding: str, text: str) -> None:
    path = tmp_path / "a.html"
    for meta in (
        f'<meta charset="{declared}">',
        f"<META http-equiv=Content-Type content='text/html; charset={declared}'>",
        f'<?xml version="1.0" encoding="{declared}"?>',
    ):
        path.write_bytes(f"{meta}<p>{text}</p>".encode(encoding))
        assert [d.text for d in files.read_file(path)] == [text]


@pytest.mark.parametrize("declared", ["utf-16", "klingon", "rot13", "unicode_escape", "iso-2022-jp", "utf-8"])
def test_a_declaration_that_can_not_be_is_passed_over(tmp_path: Path, declared: str) -> None:
    (tmp_path / "a.html").write_text(f"<meta charset={declared}><p>Ça a été fermé.</p>", encoding="utf-8")
    assert [d.text for d in files.read_file(tmp_path / "a.html")] == ["Ça a été fermé."]


def test_python_declares_its_encoding(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes('#!/usr/bin/python\n# vim: set fileencoding=koi8-r :\n"""лес"""\n'.encode("koi8-r"))
    assert "лес" in next(files.read_file(tmp_path / "a.py")).text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("packed", [False, True])
def test_byte_order_marks(tmp_path: Path, encoding: str, packed: bool) -> None:
    content = "Oslo is naïve".encode(encoding)
    (tmp_path / "a.txt").write_bytes(gzip.compress(content) if packed else content)
    assert [d.text for d in files.read_file(tmp_path / "a.txt")] == ["Oslo is naïve"]


def test_damaged_gzip_is_an_archives_fault(tmp_path: Path) -> None:
    whole = gzip.compress(b"Oslo is the capital of Norway.\n" * 9000)
    for name, content in (
        ("cut", whole[:-20]),
        ("changed", whole[:60] + b"\x00" * 30 + whole[90:]),
        ("more", whole + b"x"),
    ):
        (tmp_path / f"{name}.txt.gz").write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}\.txt\.gz is a damaged archive"):
            list(files.read_file(tmp_path / f"{name}.txt.gz"))
        with pytest.raises(InputError, match=rf"{name}\.txt\.gz is a damaged archive"):
            list(files.read_lines(str(tmp_path / f"{name}.txt.gz")))
