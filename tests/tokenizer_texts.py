"""Two thousand lines on which tokenizers are compared: four languages, and all that is odd in real texts.

Only the standard library is needed, so that the script that records reference ids can run it anywhere.
"""

import json
import shutil
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any
from zlib import crc32

DATA = Path(__file__).parent / "data" / "tokenizers"
CASES = DATA / "cases.json"  # made by bench/token_ids.py
BLOCK = 20  # lines for each checksum
SPECIAL = "<s> </s> <unk> <pad> <mask> [CLS] [SEP] [MASK] [UNK] [PAD] <extra_id_0> <extra_id_99> <0x0A> <bos> @@ </w> ▁"
EMOJI = "😀 👍🏽 👩‍👩‍👧‍👦 🇻🇳 ❤️ ☃ 🤖 é️⃣ 🥑 ✂️".split()
KANA = "".join(chr(0x3042 + (i * i) % 80) for i in range(250))
ODD = [
    "", " ", "  ", "\t", "\n", "\r\n", "　", "a", "▁", "▁▁a", " a", "a ", "  a  b  ", "\u200b", "a\u200bb", "a\u200db",
    "\u00a0a\u00a0", "\ufeffa", "a\u00adb", "\u2028", "a\u2028b", "a\u0001b", "\u007f", "a\u0085b", "\ufffd", "\ue000",
    "e\u0302\u0301", "e\u0323\u0302", "ê\u0301", "e\u0301\u0302", "a\u0327\u0301", "\u0301", " \u0301", "ﬁ\u0301",
    "ｶﾞｷﾞｸﾞﾊﾟﾊﾞ", "ｱｲｳｴｵ", "か\u3099", "は\u309a", "ＡＢＣ１２３", "～〜~", "½ ⅓ x² ₂", "①②③", "㍿ ㌔ ㎏", "ﷺ", "Ｗ3",
    "ｈｔｔｐ：／／ｅｘａｍｐｌｅ．ｃｏｍ", "각\u1100\u1161\u11a8", "한국어", "Ünïcödé", "ÀÉÎõü", "İstanbul",
    "ΣΑΣ ΣΊΣΥΦΟΣ", "ßẞ",
    "1,000,000.50", "9,9", "12, 13", "3,x", "``quoted''", "don't can't I'll we've", "C++ C# .NET", "a/b\\c", "x" * 300,
    KANA, "漢" * 120, "supercalifragilisticexpialidocious" * 5, "\n\nnew\n paragraph\r\nline\n", "tab\tin\ttext",
    "sinh_viên đại_học ở Hà_Nội", "sinh_viên\nđại_học\n", "newword newwordnewword anewword", "NewWord, newword.",
    "한\u0301", "क्षि", "ไทย", "עברית", "العربية", "Ångström Å", "ǅ ǆ", "𝐀𝔅𝒞", "𠮷野家", "々〆〤", "・ー", "…——",
]  # fmt: skip


def full_width(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else "\u3000" if c == " " else c for c in text)


def lines(count: int = 2000) -> list[str]:
    """The same lines at every call: the odd ones, the passages, then pieces of them, mixed and damaged."""
    random, texts = Random(7), (DATA / "texts.txt").read_text("utf-8").splitlines()
    everything = [*ODD, *texts]
    specials = SPECIAL.split()
    changes = [
        str, str, str.upper, str.title, full_width,
        lambda t: unicodedata.normalize("NFD", t),
        lambda t: unicodedata.normalize("NFKD", t),
        lambda t: t.replace(" ", random.choice(["  ", "\t", "　", "_", ""])),
        lambda t: t.replace(" ", "\u200d", 2),
        lambda t: random.choice(specials).join(t.split(" ", 2)),
        lambda t: " ".join([t, random.choice(specials), t[:9]]),
        lambda t: "".join([*t[:20], random.choice(ODD), t[20:]]),
        lambda t: f"{random.choice(EMOJI)} {t}{random.choice(EMOJI)}",
        lambda t: "".join(c + "\u0301" if random.random() < 0.1 else c for c in t),
    ]  # fmt: skip
    while len(everything) < count:
        parts = []
        for _ in range(random.randint(1, 3)):
            text = random.choice(texts)
            begin = random.randrange(len(text))
            parts.append(random.choice(changes)(text[begin : begin + random.randint(1, 60)]))
        everything.append(random.choice(["", " ", " ", ", ", "\n"]).join(parts))
    return everything


def checksums(rows: Sequence[Sequence[int]]) -> list[int]:
    """One for each block of lines."""
    return [crc32(json.dumps(rows[i : i + BLOCK]).encode()) for i in range(0, len(rows), BLOCK)]


def write_folder(folder: Path, files: dict[str, str], settings: dict[str, Any]) -> Path:
    """A folder with these vocabularies, by their names in tests/data/tokenizers/, and settings."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in files.items():
        shutil.copyfile(DATA / source, folder / name)
    for name, entries in settings.items():
        (folder / name).write_text(json.dumps(entries, ensure_ascii=False), "utf-8")
    return folder
