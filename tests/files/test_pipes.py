"""What can be read once only: named pipes, and what a shell hands over as a file."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from resift import Index, InputError, files
from tests.files import make


@contextmanager
def piped(path: Path, content: bytes) -> Iterator[Path]:
    """A named pipe into which the content is written once."""
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=[content], daemon=True)
    writer.start()
    yield path
    writer.join(10)
    assert not writer.is_alive()


LINES = [f'{{"id": "d{i}", "text": "passage {i} is about number {i}"}}\n' for i in range(4000)]


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    with piped(tmp_path / "a.txt", b"Oslo is the capital of Norway.\n") as path:
        assert [d.text for d in files.read_file(path)] == ["Oslo is the capital of Norway."]
    with piped(tmp_path / "long", "".join(LINES).encode()) as path:
        assert list(files.read_lines(str(path))) == LINES
    with piped(tmp_path / "a.py", b"def f():\n    pass\n") as path:
        assert [d.title for d in files.read_file(path)] == ["f"]


def test_a_pipe_without_a_suffix_is_jsonl_by_its_content(tmp_path: Path) -> None:
    with piped(tmp_path / "records", "".join(LINES).encode()) as path:
        assert [d.id for d in files.read_paths([path])] == [f"d{i}" for i in range(4000)]
    with piped(tmp_path / "words", b"{this} is text\n") as path:
        assert [d.text for d in files.read_paths([path])] == ["{this} is text"]


def test_a_record_longer_than_the_beginning_is_jsonl_too(tmp_path: Path) -> None:
    (tmp_path / "records").write_text(f'{{"id": "d", "text": "{"word " * 20_000}"}}\n')
    assert [d.id for d in files.read_file(tmp_path / "records")] == ["d"]


def test_pdf_and_word_files_through_pipes(tmp_path: Path) -> None:
    with piped(tmp_path / "a.pdf", make.pdf(["Oslo"])) as path:
        assert [d.text for d in files.read_file(path)] == ["Oslo"]
    written = make.docx(tmp_path / "whole.docx", make.paragraph("Oslo")).read_bytes()
    with piped(tmp_path / "a.docx", written) as path:
        assert [d.text for d in files.read_file(path)] == ["Oslo"]


def test_an_index_refuses_a_pipe_without_reading_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(InputError, match=r"a\.txt is a device or pipe.*save it as a file"):
        Index.build(tmp_path / "i", [tmp_path / "a.txt"])
