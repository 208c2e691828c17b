"""Reads vocabulary files, and refuses those that are empty, cut short, repeated, or pointers to a large file."""

from __future__ import annotations

from collections.abc import Sequence

from resift.errors import BrokenModel
from resift.models.config_entries import whole
from resift.models.folder import ModelFolder

_POINTER = b"version https://git-lfs"


def read_bytes(folder: ModelFolder, name: str) -> bytes:
    """The content of a vocabulary file.

    Raises:
        BrokenModel: it can't be read, is empty, or is the pointer that Git LFS leaves in place of a file.

    """
    path = folder.path / name
    try:
        content = folder.content(name)
    except OSError as error:
        raise BrokenModel(f"{path} can't be read ({error.strerror or error}); fetch the model again") from error
    if content.startswith(_POINTER):
        raise BrokenModel(
            f"{path} is a Git LFS pointer, not the file itself; type in its repository: git lfs pull, or fetch the "
            "model with: hf download"
        )
    if not content.strip():
        raise BrokenModel(f"{path} is empty; fetch the model again")
    return content


def read_text(folder: ModelFolder, name: str) -> str:
    """The text of a vocabulary file; the ends of its lines are those of any system.

    Raises:
        BrokenModel: see `read_bytes`; or it is not UTF-8.

    """
    try:
        text = read_bytes(folder, name).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BrokenModel(f"{folder.path / name} is no UTF-8 text ({error}); fetch the model again") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def vocabulary_lines(folder: ModelFolder, name: str) -> list[str]:
    """One token for each line, whose number, counted from 0, is the token's id.

    Raises:
        BrokenModel: see `read_text`; or a line is there twice.

    """
    lines = read_text(folder, name).rstrip("\n").split("\n")
    check_end(folder, name, len(lines))
    check_unique(folder, name, lines)
    return lines


def check_end(folder: ModelFolder, name: str, tokens: int) -> None:
    """A file has its last line whole, if it has fewer tokens than config.json says; then an unfinished line is a cut.

    Raises:
        BrokenModel: it is cut.

    """
    rows = whole(folder.config, "vocab_size", folder.path / "config.json")
    if tokens < rows and not folder.content(name).endswith((b"\n", b"\r")):
        raise BrokenModel(
            f"{folder.path / name} is cut: it ends within a line and has {tokens} tokens, where config.json has "
            f"vocab_size {rows}; fetch the model again"
        )


def check_unique(folder: ModelFolder, name: str, tokens: Sequence[str]) -> None:
    """Each token is there once.

    Raises:
        BrokenModel: one is not; the message has the numbers of both lines.

    """
    if len(set(tokens)) == len(tokens):
        return
    lines: dict[str, int] = {}
    for i, token in enumerate(tokens, 1):
        if token in lines:
            raise BrokenModel(
                f"{folder.path / name} has {token!r} twice, in lines {lines[token]} and {i}, so that its ids are "
                "ambiguous; fetch the model again"
            )
        lines[token] = i


def complete_lines(folder: ModelFolder, name: str) -> list[str]:
    """The lines of a file that ends with the end of a line.

    Raises:
        BrokenModel: see `read_text`; or the last line is cut.

    """
    text = read_text(folder, name)
    if not text.endswith("\n"):
        raise BrokenModel(f"{folder.path / name} is cut in its last line; fetch the model again")
    return text[:-1].split("\n")
