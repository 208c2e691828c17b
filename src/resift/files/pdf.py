"""The text layer of PDF files, page by page."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from resift.errors import InputError
from resift.files.encoding import open_binary
from resift.text.clean import clean
from resift.text.passages import Line, passages
from resift.types import Document

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

_SILENT = logging.NullHandler()  # pypdf's warnings about sloppy files go to handlers of the application, not to stderr
# The documentation of pypdf says that a broken file "might cause other Exceptions". Mutated files raised these:
_MUTATED = (ArithmeticError, AssertionError, AttributeError, NotImplementedError, TypeError)
_BROKEN = (*_MUTATED, LookupError, RecursionError, ValueError, zlib.error)  # and its source raises these


def read_pdf(path: Path) -> Iterator[Document]:
    """Stream the passages of a PDF; metadata: path and page (from 1). No passage goes across pages.

    Raises:
        InputError: encrypted, broken, or without text on any page.

    """
    with open_binary(path) as file:
        pages = _pages(file, path)
        empty = True
        for number, page in enumerate(pages, 1):
            for p in passages(_lines(_text(page, number, path))):
                empty = False
                place = {"path": str(path), "page": number}
                yield Document(f"{path}#page={number}:{p.start}-{p.end}", clean(p.text), "", place)
    if empty:
        raise InputError(f"{path} has no text on any page (a scan?); recognise it first: ocrmypdf IN.pdf OUT.pdf")


def _pages(file: BinaryIO, path: Path) -> Iterator[PageObject]:
    """The pages one after the other; every error of pypdf becomes an InputError."""
    from pypdf.errors import DependencyError, DeprecationError, PyPdfError

    logging.getLogger("pypdf").addHandler(_SILENT)
    try:
        reader = _reader(file, path)
        count = len(reader.pages)
    except DependencyError as error:
        raise _needs_cryptography(path) from error
    except (PyPdfError, DeprecationError, *_BROKEN) as error:
        raise _broken(path, error) from error
    for i in range(count):
        try:
            page = reader.pages[i]
        except (PyPdfError, DeprecationError, *_BROKEN) as error:
            raise _broken(path, error, i + 1) from error
        yield page


def _reader(file: BinaryIO, path: Path) -> PdfReader:
    from pypdf import PdfReader

    reader = PdfReader(file)
    if reader.is_encrypted and not reader.decrypt(""):
        raise _locked(path)
    return reader


def _text(page: PageObject, number: int, path: Path) -> str:
    from pypdf.errors import DependencyError, DeprecationError, PyPdfError

    try:
        return page.extract_text()
    except DependencyError as error:
        raise _needs_cryptography(path) from error
    except (PyPdfError, DeprecationError, *_BROKEN) as error:
        raise _broken(path, error, number) from error


def _lines(text: str) -> Iterator[Line]:
    at = 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        yield Line(line, number, at)
        at += len(line)


def _locked(path: Path) -> InputError:
    return InputError(f"{path} is encrypted; save it without its password: qpdf --decrypt --password=… IN.pdf OUT.pdf")


def _needs_cryptography(path: Path) -> InputError:
    """Also for files that any viewer opens: AES with an empty password."""
    return InputError(
        f"{path} is encrypted with AES, which needs another library: pip install 'pypdf[crypto]'; "
        "or save it without encryption: qpdf --decrypt IN.pdf OUT.pdf"
    )


def _broken(path: Path, error: Exception, page: int = 0) -> InputError:
    where = f" at page {page}" if page else ""
    what = " ".join(str(error).split())[:200] or type(error).__name__
    return InputError(f"{path} is a broken PDF{where} ({what}); get it anew or try: qpdf IN.pdf OUT.pdf")
