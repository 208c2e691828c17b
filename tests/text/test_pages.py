"""HTML as a reader sees it, front matter, headings, and pictures that were written into text."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from resift import files
from resift.types import Document

Read = Callable[[str, str], list[Document]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def documents(name: str, content: str) -> list[Document]:
        (tmp_path / name).write_text(content, encoding="utf-8", newline="")
        return list(files.read_file(tmp_path / name))

    return documents


def titles(documents: list[Document]) -> list[tuple[str, str]]:
    return [(d.title, d.text) for d in documents]


# --- headings --------------------------------------------------------------------------------------------------------


def test_headings_with_many_spaces_take_no_time(read: Read) -> None:
    begun = time.perf_counter()
    for spaces in (" ", "\t", "# ", " #"):
        found = read("a.md", f"## Pump{spaces * 20_000}A\n\nText.\n")
        assert "Text." in found[-1].text
    assert time.perf_counter() - begun < 2


def test_a_row_of_marks_ends_a_heading_but_not_a_word(read: Read) -> None:
    content = "# C#\na\n## F# #\nb\n## Plain ##   \nc\n## ##\nd\n"
    assert titles(read("a.md", content)) == [
        ("C#", "a"), ("C# > F#", "b"), ("C# > Plain", "c"), ("C# > ", "d"),
    ]  # fmt: skip


# --- front matter ----------------------------------------------------------------------------------------------------

YAML = "---\n{}date: 2024-03-01\ntags: [ops, nginx]\n---\n"


@pytest.mark.parametrize(
    "front",
    [
        YAML.format("title: Behind a proxy\n"),
        YAML.format('title: "Behind a proxy"\n'),
        YAML.format("title: >-\n  Behind\n  a proxy\n"),
        YAML.format("title: Behind a proxy\n").replace("\n", "\r\n"),
        "+++\ntitle = 'Behind a proxy'\ndate: 2024-03-01\ntags: [ops, nginx]\n+++\n".replace(": ", " = "),
    ],
)
def test_front_matter_gives_the_title(read: Read, front: str) -> None:
    found = read("a.md", front + "\nSet the headers.\n\n### Timeouts\n\nRaise them.\n\n# Last\n\nEnd.\n")
    assert titles(found) == [
        ("Behind a proxy", "Set the headers."),
        ("Behind a proxy > Timeouts", "Raise them."),
        ("Behind a proxy > Last", "End."),
    ]
    assert "tags" in found[0].metadata["front_matter"] and "date" in found[0].metadata["front_matter"]
    assert all("front_matter" not in d.metadata for d in found[1:])


def test_a_first_heading_that_repeats_the_title_is_not_said_twice(read: Read) -> None:
    found = read("a.md", "---\ntitle: Proxy\n---\n# Proxy\n\nText.\n\n## More\n\nEnd.\n")
    assert titles(found) == [("Proxy", "Text."), ("Proxy > More", "End.")]


def test_front_matter_alone_is_kept(read: Read) -> None:
    assert titles(read("a.md", "---\ntitle: Proxy\n---\n")) == [("", "Proxy")]
    assert [d.text for d in read("a.md", "---\nsummary: what proxies do\nweight: 3\n---\n")] == [
        "summary: what proxies do\nweight: 3"
    ]


@pytest.mark.parametrize(
    "content",
    [
        "---\nA rule stands above this.\n---\nAnd below.\n",
        "---\ntitle: never closed\n\nText.\n",
        "---\n---\nText.\n",
        "---\n" + "key: value\n" * 400 + "---\nText.\n",
    ],
)
def test_what_is_no_front_matter_is_text(read: Read, content: str) -> None:
    found = read("a.md", content)
    assert not any("front_matter" in d.metadata for d in found)
    words = " ".join(f"{d.title} {d.text}" for d in found).split()
    assert set(content.replace("---", " ").split()) <= set(words)


# --- data: URIs ------------------------------------------------------------------------------------------------------

PICTURE = "data:image/png;base64," + "iVBORw0KGgo/AAAA+NSUhEUg" * 200


@pytest.mark.parametrize("name", ["a.md", "a.txt", "a.rst", "a.html"])
@pytest.mark.parametrize("pixels", [1, 20])
def test_pictures_in_text_are_left_out(read: Read, name: str, pixels: int) -> None:
    picture = PICTURE + "iVBORw0KGgo/AAAA+NSUhEUg" * 200 * (pixels - 1)
    content = f"The pump failed.\n\n![chart]({picture}) Then it was mended.\n\nThe end.\n"
    text = " ".join(" ".join(d.text for d in read(name, content)).split())
    assert text == "The pump failed. ![chart]() Then it was mended. The end."


@pytest.mark.parametrize("before", range(65_500, 65_560, 3))
def test_pictures_across_pieces_of_a_line_are_left_out(read: Read, before: int) -> None:
    text = ("word " * 20_000)[: before - 1] + "("
    found = read("a.md", f"{text}{PICTURE}) end")
    assert "".join("".join(d.text for d in found).split()) == "".join(f"{text})end".split())


def test_written_out_pictures_are_left_out_and_examples_stay(read: Read) -> None:
    drawing = "data:image/svg+xml;utf8,%3Csvg%20" + "x" * 300
    content = f"![a]({drawing}) and `data:text/plain,hello` and data:image/gif;base64,R0lGOD and metadata: d"
    assert [d.text for d in read("a.md", content)] == [content.replace(drawing, "")]


def test_pictures_in_notebooks_and_code_are_left_out(read: Read) -> None:
    cells = [{"cell_type": t, "source": f"The pump ![]({PICTURE}) failed."} for t in ("markdown", "code")]
    assert [d.text for d in read("a.ipynb", json.dumps({"cells": cells}))] == ["The pump ![]() failed."] * 2
    assert [d.text for d in read("a.py", f'def f():\n    return "{PICTURE}"\n')] == ['def f():\n    return ""']


# --- HTML ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "piece",
    [
        "<!--", "<!--\n", "<a ", "<a\n", "<a href='", "<a b='\n", "<a b=c ", "<a b='c' d", "</a ", "<![CDATA[", "<?",
        "<!", "<script>a<b\n", "<title>a\n", "<b>\n", "<p hidden>\n", "</x><b>", "a",
    ],
)  # fmt: skip
def test_pages_take_time_by_their_length(read: Read, piece: str) -> None:
    begun = time.perf_counter()
    read("a.html", "<p>The pump failed.</p><a" + piece * 30_000)
    assert time.perf_counter() - begun < 4  # some took minutes


def test_text_behind_a_quote_that_never_closes_is_kept(read: Read) -> None:
    lines = "".join(f"some words of line {i}\n" for i in range(8000))
    begun = time.perf_counter()
    found = read("a.html", f"<p>The pump failed.</p>\n<a title='never closed\n{lines}<h2>More</h2><p>the &amp; end")
    assert time.perf_counter() - begun < 2
    text = " ".join(d.text for d in found)
    assert all(f"line {i}" in text for i in range(8000))
    assert (found[-1].title, found[-1].text) == ("More", "the & end")


@pytest.mark.parametrize(
    "hidden",
    [
        "<p hidden>secret</p>",
        "<p style='color: red; DISPLAY : none'>secret</p>",
        '<div style="visibility:hidden"><p>secret</p><br><img src=x>secret</div>',
        "<div aria-hidden=true>secret <div>secret</div> secret</div>",
        "<p hidden>secret",
        "<ul><li hidden>secret<li>seen</ul>",
        "<ul><li>seen<li hidden>secret</ul>",
        "<div><span hidden>secret</div>",
        "<table><tr><td hidden>secret<td>seen</table>",
        "<dl><dt hidden>secret<dd>seen</dl>",
        "<input type=hidden value=secret>",
    ],
)
def test_what_is_hidden_on_a_page_is_left_out(read: Read, hidden: str) -> None:
    text = " ".join(d.text for d in read("a.html", f"<body><p>before</p>{hidden}<p>behind</p></body>"))
    assert text.split() == ["before", *(["seen"] if "seen" in hidden else []), "behind"]


@pytest.mark.parametrize(
    "page",
    [
        "<body style='display:none'><p>seen</p></body>",  # until a script shows it
        "<p hidden=until-found>seen</p>",
        "<p aria-hidden=false>seen</p>",
        "<p style='display:none-of-these'></p><p>seen</p>",
        "<details><summary>seen</summary></details>",
        "<template>x</template></template><p>seen",
    ],
)
def test_what_can_be_seen_stays(read: Read, page: str) -> None:
    assert [d.text for d in read("a.html", page)] == ["seen"]
