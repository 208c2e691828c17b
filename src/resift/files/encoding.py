"""Opens text files, pipes and gzip archives once, in their encoding."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import sys
from pathlib import Path
from typing import BinaryIO, cast

from resift.errors import InputError

_HEAD = 1 << 16  # bytes from which the encoding is determined
_DECLARATION = 4096  # bytes of a page, or of a Python file's first lines, that may declare an encoding
_PROBED = 8192  # bytes among which a NUL means a binary file
_LEAST = 32  # bytes; from fewer the language, and so the encoding, can't be guessed
# Those in wide use. Left free, charset-normalizer takes Japanese for Korean and German for old Macintosh Icelandic.
_LIKELY = "cp1252 cp1250 cp1257 cp1254 cp1251 koi8_r cp1253 cp1255 cp1256 cp932 euc_jp gb18030 big5 cp949".split()
# Letters beside a to z, by encoding. charset-normalizer confuses these encodings; where it says Latin, the alphabet of
# most of the letters decides, and the earlier of two equal ones.
_ALPHABETS = (
    ("cp1252", "éèàùâêîôûëïüÿçœæ"),  # French
    ("cp1252", "äöüß"),  # German
    ("cp1252", "áéíóúüñª°"),  # Spanish
    ("cp1252", "ãõáéíóúâêôàç"),  # Portuguese
    ("cp1252", "àèéìòù"),  # Italian
    ("cp1252", "åäöæøé"),  # the Nordic languages
    ("cp1252", "áéíóúýþæöð"),  # Icelandic
    ("cp1250", "ąćęłńóśźż"),  # Polish
    ("cp1250", "áčďéěíňóřšťúůýž"),  # Czech
    ("cp1250", "áäčďéíĺľňóôŕšťúýž"),  # Slovak
    ("cp1250", "áéíóöőúüű"),  # Hungarian
    ("cp1250", "čćđšž"),  # Croatian, Slovene
    ("cp1250", "ăâîşţ"),  # Romanian
    ("cp1254", "çğıöşüâî"),  # Turkish
    ("cp1257", "ąčęėįšųūž"),  # Lithuanian
    ("cp1257", "āčēģīķļņšūž"),  # Latvian
    ("cp1257", "äõöüšž"),  # Estonian
)
_LATIN = frozenset(encoding for encoding, _ in _ALPHABETS)
_FOREIGN = re.compile(
    r"[^\W\d_a-z]|(?<=[^\W\d_])[\u00a1-\u00bf\u00d7\u00f7\ufffd](?=[^\W\d_])"
)  # or a symbol in a word


_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before that of UTF-16, with which it begins
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_GZIP = b"\x1f\x8b"
_UNZIPPABLE = frozenset({".pdf", ".docx"})  # these are not text, and are not read through gzip
_CHARSET = re.compile(rb"<(?:meta|\?xml)\b[^<>]*?\b(?:charset|encoding)\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_COOKIE = re.compile(rb"\A(?:#[^\n]*\n)?[ \t\f]*#[^\n]*?coding[:=][ \t]*([-\w.]+)")
# The encodings that browsers use for these names: pages that declare the standard use the larger code page.
_WIDER = {
    "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874", "tis-620": "cp874",
    "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "utf-16": "utf-8",
}  # fmt: skip
_OTHER_NAMES = {"x-sjis": "cp932", "iso-8859-8-i": "iso8859-8", "x-gbk": "gb18030", "ks_c_5601-1987": "cp949"}
_DECLARABLE = re.compile(
    r"utf-8|iso8859-\d+|iso2022_(?:jp|kr)\w*|cp\d+|koi8-[rut]|big5\w*|gb\w+|euc_\w+|shift_jis\w*|mac-\w+|johab|hz"
)


class OpenText(io.TextIOWrapper):
    """An open text file; `head` is the beginning of its text, which `read` still gives."""

    head: str = ""


class _Whole(io.RawIOBase):
    """A stream whose first bytes were read: it gives them again, then the rest.

    Closing it closes the stream and the one under it.
    """

    def __init__(self, head: bytes, rest: BinaryIO, under: BinaryIO) -> None:
        self._head, self._rest, self._under = head, rest, under

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        part = self._head[: len(buffer)]
        self._head = self._head[len(part) :]
        part = part or self._rest.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self._rest.close()
        self._under.close()
        super().close()


def kind(path: Path) -> str:
    """The suffix that decides how a file is read; for text in gzip it is the one before `.gz`."""
    suffix = path.suffix.lower()
    inner = Path(path.stem).suffix.lower() if suffix == ".gz" else ""
    return inner if inner and inner not in _UNZIPPABLE else suffix


def open_text(path: Path) -> OpenText:
    """Open a text file, refusing binary ones; line ends stay as they are. It is opened once, so that pipes work.

    The encoding is that of a byte-order mark, else the one that HTML or Python declares, else UTF-8, else a guess from
    the first 64 KB. Files in gzip are decompressed, whatever their name is.

    Raises:
        InputError: the file is binary, or its encoding is unknown.
        OSError: it can't be opened.
        EOFError: its gzip is damaged.

    """
    return _text(path.open("rb"), path)


def open_stdin() -> OpenText:
    """Open stdin in the same way as files, whatever the locale is.

    Raises:
        InputError: stdin is closed or binary, or its encoding is unknown.

    """
    if sys.stdin is None:
        raise InputError("stdin is closed; name a file, or give it something to read")
    return _text(cast(BinaryIO, sys.stdin.buffer), Path("stdin"))


def open_binary(path: Path) -> BinaryIO:
    """Open a file for reading in any order; the content of a pipe is held whole."""
    file = path.open("rb")
    if file.seekable():
        return file
    with file:
        return io.BytesIO(file.read())


def _text(file: BinaryIO, path: Path) -> OpenText:
    try:
        stream, head = file, file.read(_HEAD)
        if head.startswith(_GZIP):
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=io.BufferedReader(_Whole(head, file, file))))
            head = stream.read(_HEAD)
        encoding = _encoding(head, path)
        rest = (
            stream if len(head) == _HEAD else io.BytesIO()
        )  # a terminal would have to say twice that it is at its end
        text = OpenText(io.BufferedReader(_Whole(head, rest, file)), encoding=encoding, newline="")
        text.head = codecs.getincrementaldecoder(encoding)("replace").decode(head[:_PROBED])
    except BaseException:
        file.close()
        raise
    return text


def _encoding(head: bytes, path: Path) -> str:
    mark_encoding = next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)
    if mark_encoding:
        return mark_encoding
    if b"\x00" in head[:_PROBED]:
        raise InputError(f"{path} is a binary file; give text, or one of the formats that docs/cli.md lists")
    declaration = _declared_encoding(head, kind(path))
    if declaration:
        return declaration
    try:
        _decode(head, "utf-8")
    except UnicodeDecodeError as error:
        guess = _guess(head)
        if guess is None:
            raise InputError(
                f"{path} is not UTF-8 text (byte {error.start}) and its encoding can't be told; "
                "convert it: iconv -f ENCODING -t utf-8"
            ) from error
        return guess
    return "utf-8"


def _decode(head: bytes, encoding: str) -> str:
    return codecs.getincrementaldecoder(encoding)().decode(head, final=len(head) < _HEAD)


def _declared_encoding(head: bytes, suffix: str) -> str | None:
    """The encoding that a page or a Python file declares, if it exists and the beginning of the file decodes in it."""
    pattern = {".html": _CHARSET, ".htm": _CHARSET, ".py": _COOKIE}.get(suffix)
    match = pattern.search(head[:_DECLARATION]) if pattern else None
    if not match:
        return None
    label = match[1].decode("ascii", "replace").lower()
    try:
        name = codecs.lookup(_OTHER_NAMES.get(label, label)).name
        name = _WIDER.get(name, name)
        if not _DECLARABLE.fullmatch(name):
            return None
        _decode(head, name)
    except (LookupError, UnicodeError):
        return None
    return name


def _guess(head: bytes) -> str | None:
    """The encoding by charset-normalizer; among Latin encodings the letters decide."""
    if len(head) < _LEAST:
        return None
    from charset_normalizer import from_bytes

    if len(head) == _HEAD:
        head = head[: head.rfind(b"\n") + 1] or head  # not within a character of several bytes
    best = from_bytes(head, cp_isolation=_LIKELY).best()
    if best is None or best.encoding not in _LATIN:
        return best.encoding if best else None
    return max(_ALPHABETS, key=lambda row: _share(head, *row))[0]


def _share(head: bytes, encoding: str, alphabet: str) -> float:
    """The share of the letters beside a to z that belong to an alphabet, 0 to 1."""
    letters = _FOREIGN.findall(head.decode(encoding, "replace").lower())
    return sum(c in alphabet for c in letters) / max(1, len(letters))
