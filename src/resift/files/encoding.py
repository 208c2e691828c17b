"""Opens text files in the encoding that they are in."""

from __future__ import annotations

import codecs
import gzip
import io
import re
from pathlib import Path
from typing import TextIO

from resift.errors import InputError

_HEAD = 1 << 16  # bytes that decide about the encoding
_PROBED = 8192  # bytes among which a NUL means a binary file
_LEAST = 32  # bytes; fewer say too little about which language, hence which encoding, this is
# Those in wide use. Left free, charset-normalizer takes Japanese for Korean and German for old Macintosh Icelandic.
_LIKELY = "cp1252 cp1250 cp1257 cp1254 cp1251 koi8_r cp1253 cp1255 cp1256 cp932 euc_jp gb18030 big5 cp949".split()
# Letters beside a to z, by encoding. charset-normalizer hardly tells these encodings apart; what it calls Latin goes to
# the alphabet that most of the letters belong to, the earlier of two.
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


def open_text(path: Path) -> TextIO:
    """Open a text file, refusing binary ones; line ends stay as they are.

    UTF-8, UTF-16 with a byte-order mark, else what its first 64 KB look like; gzip is UTF-8.

    Raises:
        InputError: binary, or in no encoding that can be told.
        OSError: it can't be opened.

    """
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path, "rb"), encoding="utf-8")
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return path.open(encoding=_encoding(head, path), newline="")


def _encoding(head: bytes, path: Path) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\x00" in head[:_PROBED]:
        raise InputError(f"{path} is a binary file; give text, or one of the formats that docs/cli.md lists")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=len(head) < _HEAD)
    except UnicodeDecodeError as error:
        guessed = _guess(head)
        if guessed is None:
            raise InputError(
                f"{path} is not UTF-8 text (byte {error.start}) and its encoding can't be told; "
                "convert it: iconv -f ENCODING -t utf-8"
            ) from error
        return guessed
    return "utf-8-sig"


def _guess(head: bytes) -> str | None:
    """The encoding that charset-normalizer finds; among Latin ones the letters decide."""
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
    """How many of the letters beside a to z belong to an alphabet, 0 to 1."""
    letters = _FOREIGN.findall(head.decode(encoding, "replace").lower())
    return sum(c in alphabet for c in letters) / max(1, len(letters))
