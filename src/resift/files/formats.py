"""The reader of each suffix, and the errors for files that can't be read."""

from __future__ import annotations

import errno
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from gzip import BadGzipFile
from pathlib import Path

from resift.errors import InputError
from resift.files import code, csv_tables, docx, notebook, pdf, tables, text
from resift.files.encoding import kind, open_stdin, open_text
from resift.types import Document

_READERS: dict[str, Callable[[Path], Iterator[Document]]] = {
    **dict.fromkeys(text.MARKUP, text.read_text),
    **dict.fromkeys(code.SUFFIXES, code.read_code),
    ".csv": csv_tables.read_csv,
    ".docx": docx.read_docx,
    ".ipynb": notebook.read_notebook,
    ".jsonl": tables.read_jsonl,
    ".ndjson": tables.read_jsonl,
    ".pdf": pdf.read_pdf,
    ".tsv": csv_tables.read_csv,
}
SUFFIXES = frozenset(_READERS)
_CONTROLS = frozenset(map(chr, [*range(0x00, 0x09), *range(0x0E, 0x1B), 0x7F]))  # text has none, but terminal colours


def read_file(path: Path) -> Iterator[Document]:
    """Stream the passages of a file; its suffix decides how it is read, and any unknown suffix means plain text.

    A file without a suffix, such as a pipe, is JSONL if it begins with an object. `.gz` behind a suffix of text is
    ignored. Every file is opened once.

    Raises:
        InputError: the file is unreadable, binary, encrypted, of no known encoding, or malformed; the message says
            where and what to do.

    """
    reader = _READERS.get(kind(path), _untyped)
    with blamed_on(path):
        yield from reader(path)


def read_lines(file: str) -> Iterator[str]:
    """Stream the lines of a text file; "-" is stdin, read as a file is.

    Raises:
        InputError: as `read_file` says.

    """
    path = Path("stdin" if file == "-" else file)
    with blamed_on(path), open_stdin() if file == "-" else open_text(path) as lines:
        yield from lines


def is_text(path: Path) -> bool:
    """Whether the beginning of a file of unknown type is text; False where it can't be opened."""
    try:
        with open_text(path) as file:
            return not _CONTROLS.intersection(file.head)
    except (InputError, OSError, EOFError, zlib.error):
        return False


def _untyped(path: Path) -> Iterator[Document]:
    with open_text(path) as file:
        jsonl = kind(path) in ("", ".gz") and tables.looks_like_jsonl(file.head)
        yield from tables.jsonl_documents(file, path) if jsonl else text.text_documents(file, path)


@contextmanager
def blamed_on(path: Path) -> Iterator[None]:
    """Turn errors that occur while a file is read into an InputError about that file."""
    try:
        yield
    except (BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is a damaged archive ({error}); fetch it again") from error
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not {error.encoding.upper()} text throughout ({error.reason}); convert it: iconv -t utf-8"
        ) from error


def unreadable(path: Path, error: OSError) -> InputError:
    """The error of the operating system about a path, with a remedy."""
    if error.errno == errno.ELOOP:
        return InputError(f"{path} is a link that leads back to itself; remove it or link it to a file")
    if error.errno == errno.ENOENT and path.is_symlink():
        return InputError(f"{path} is a link to a file that is not there; remove it or link it to a file")
    if error.errno == errno.ENOENT:
        return InputError(f"no such file: {path}; if it was there a moment ago, it was moved or deleted: run again")
    return InputError(f"can't read {path}: {error.strerror or error}; check that you may open it and its folder")
