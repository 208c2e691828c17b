"""Which suffix is read how, and what is said when it can't be."""

from __future__ import annotations

import errno
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from resift.errors import InputError
from resift.files import code, docx, notebook, pdf, tables, text
from resift.types import Document

_READERS: dict[str, Callable[[Path], Iterator[Document]]] = {
    **dict.fromkeys(text.MARKUP, text.read_text),
    **dict.fromkeys(code.SUFFIXES, code.read_code),
    ".csv": tables.read_csv,
    ".docx": docx.read_docx,
    ".ipynb": notebook.read_notebook,
    ".jsonl": tables.read_jsonl,
    ".pdf": pdf.read_pdf,
}
SUFFIXES = frozenset(_READERS)


def read_file(path: Path) -> Iterator[Document]:
    """Stream one file's passages; its suffix says how it is read, any other suffix than those known is plain text.

    Raises:
        InputError: unreadable, binary, encrypted, of no known encoding, or malformed; the message says where and what
            to do.

    """
    read = _READERS.get(path.suffix.lower(), text.read_text)
    try:
        yield from read(path)
    except (EOFError, zlib.error) as error:
        raise InputError(f"{path} is a damaged archive ({error}); fetch it again") from error
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not {error.encoding.upper()} text throughout ({error.reason}); convert it: iconv -t utf-8"
        ) from error


def unreadable(path: Path, error: OSError) -> InputError:
    """What the operating system said about a path, with a remedy."""
    if error.errno == errno.ELOOP:
        return InputError(f"{path} is a link that leads back to itself; remove it or link it to a file")
    if error.errno == errno.ENOENT and path.is_symlink():
        return InputError(f"{path} is a link to a file that is not there; remove it or link it to a file")
    if error.errno == errno.ENOENT:
        return InputError(f"no such file: {path}; if it was there a moment ago, it was moved or deleted: run again")
    return InputError(f"can't read {path}: {error.strerror or error}; check that you may open it and its folder")
