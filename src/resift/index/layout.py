"""The files of an index folder, and how a new generation of them takes the place of the old one.

INDEX/CURRENT            the name of the generation that readers open
INDEX/lock               held while one process writes
INDEX/g000001/           one generation: never changed once CURRENT names it
    manifest.json        versions, settings, and the size and CRC-32 of everything beside it
    files.jsonl          the files that were read, in order, with the passages that each gave
    passages.jsonl       one passage per line, passages_at.npy: where each line starts (N + 1), ids.npy: hashes of ids
    terms.npy terms_at.npy vocabulary.json    the analysed words, from which the BM25 matrix is rebuilt
    bm25/                the matrix (bm25s)
    vectors.npy          (N, D) f32, one unit vector per passage; hnsw/: a graph over them, see `graph`
    tokens.npy scales.npy spans.npy tokens_at.npy windows_at.npy    token vectors, see `tensors`
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from resift.errors import InputError
from resift.retrieve.bm25 import K1, B

FORMAT = 2
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # errors of writing to a full disk
_CHECKED_AT_OPEN = 1 << 22  # bytes: smaller files are read through when an index is opened


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """What the vectors and words of an index depend on. An index is extended with the same settings, or built anew.

    Attributes:
        analyzer: the signature of the analyzer that cuts texts into words.
        model: the name or path of the model that computed the token vectors, or where there are none, the vectors.
        fingerprint: of the model's files.
        tensors: whether token vectors are stored.
        pool: how many neighbouring tokens share one vector.
        embedder: the model of the vectors, where that is not `model`; else empty.
        embedder_fingerprint: of the embedder's files.
        hnsw: whether the index has a graph over its vectors; None: that depends on their number. This setting may
            change from one generation to the next, and so may the next two, which only the matrix of words depends on.
        k1, b: of BM25.

    """

    analyzer: str
    model: str
    fingerprint: str
    tensors: bool
    pool: int
    embedder: str = ""
    embedder_fingerprint: str = ""
    hnsw: bool | None = None
    k1: float = K1
    b: float = B


@dataclass(frozen=True, slots=True)
class Manifest:
    """The description of one generation.

    Attributes:
        settings: of the index.
        passages: how many there are.
        unbuilt: how many vectors came or went since the graph was built; None where there is no graph.
        contents: size in bytes and CRC-32 of each file, by its path in the generation.
        format: the version of the layout.

    """

    settings: IndexSettings
    passages: int
    unbuilt: int | None = None
    contents: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    format: int = FORMAT

    def write(self, folder: Path) -> None:
        """Write `manifest.json` with the sizes and check sums of the folder's files.

        The files of a graph are left out, since its engine changes them when it reads.
        """
        paths = [p for p in _contents(folder) if p.relative_to(folder).parts[0] != "hnsw"]
        contents = {str(p.relative_to(folder)): (p.stat().st_size, _crc(p)) for p in paths}
        value = asdict(self) | {"contents": contents}
        (folder / "manifest.json").write_text(json.dumps(value, indent=1), "utf-8")


def _contents(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "manifest.json")


def _crc(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            value = zlib.crc32(block, value)
    return value


def current(folder: Path) -> Path:
    """The generation that readers open.

    Raises:
        InputError: not an index.

    """
    name = ""
    while True:
        name_before = name
        try:
            name = (folder / "CURRENT").read_text("utf-8").strip()
        except OSError as error:
            raise InputError(f"{folder} is not an index; make one: resift index PATH… -o {folder}") from error
        if (folder / name / "manifest.json").exists():
            return folder / name
        if name == name_before:  # else a newer generation may have taken its place since the name was read
            raise InputError(f"{folder} is damaged: generation {name!r} is gone; index again into a new folder")


def settings_of(folder: Path) -> IndexSettings | None:
    """The settings of the index in a folder; None where there is none yet.

    Raises:
        InputError: it is damaged or of another format.

    """
    return read_manifest(current(folder)).settings if (folder / "CURRENT").exists() else None


def read_manifest(generation: Path) -> Manifest:
    """Read and check a generation: its format, every file's size, and every byte of the small ones.

    Raises:
        InputError: of another format, or damaged; the message names the file.

    """
    index = generation.parent
    try:
        value: dict[str, Any] = json.loads((generation / "manifest.json").read_text("utf-8"))
        if value["format"] != FORMAT:
            remedy = "update Resift" if value["format"] > FORMAT else "index again into a new folder"
            raise InputError(f"{index} has format {value['format']}; this Resift reads {FORMAT}: {remedy}")
        manifest = Manifest(
            IndexSettings(**value["settings"]),
            value["passages"],
            value["unbuilt"],
            {name: (size, crc) for name, (size, crc) in value["contents"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{index} is damaged: manifest.json can't be read ({error}); index again") from error
    for name, (size, crc) in manifest.contents.items():
        path = generation / name
        if not path.exists() or path.stat().st_size != size:
            raise InputError(f"{index} is damaged: {name} is missing or cut short; index again into a new folder")
        if size <= _CHECKED_AT_OPEN and _crc(path) != crc:
            raise InputError(
                f"{index} is damaged: {name} was changed since it was written; index again into a new folder"
            )
    return manifest


@contextmanager
def writing(folder: Path) -> Iterator[Path]:
    """Give an empty folder for the next generation.

    The generation becomes current when the block ends without an error and has written a manifest; else it is removed.

    Raises:
        InputError: another process is writing, or the disk is full; what was current stays.

    """
    import fcntl

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"can't make the folder {folder}: {error.strerror or error}; name another") from error
    if any(folder.iterdir()) and not (folder / "lock").exists():
        raise InputError(f"{folder} holds other files; name an empty folder or an index")
    with _blamed_on(folder), (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"another process is writing {folder}; wait for it, or stop it") from error
        generation = folder / _next_name(folder)
        shutil.rmtree(generation, ignore_errors=True)  # left by a process that died before it was named
        generation.mkdir()
        try:
            yield generation
            if (generation / "manifest.json").exists():
                _publish(folder, generation)
        finally:
            if not _is_current(folder, generation):
                shutil.rmtree(generation, ignore_errors=True)


@contextmanager
def _blamed_on(folder: Path) -> Iterator[None]:
    """Turn what the operating system refuses while an index is written into one sentence about its folder."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise InputError(f"the disk that holds {folder} is full; the index is as it was before") from error
        raise InputError(f"can't write {folder}: {error.strerror or error}; the index is as it was before") from error


def _next_name(folder: Path) -> str:
    try:
        number = int((folder / "CURRENT").read_text("utf-8").strip().removeprefix("g"))
    except (OSError, ValueError):
        number = 0
    return f"g{number + 1:06d}"


def _is_current(folder: Path, generation: Path) -> bool:
    try:
        return (folder / "CURRENT").read_text("utf-8").strip() == generation.name
    except OSError:
        return False


def _flush(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _publish(folder: Path, generation: Path) -> None:
    """Flush the generation, name it in CURRENT in one step, and remove older ones.

    A reader that has an older generation open keeps its memory-mapped files; one that was about to open it tries again.
    """
    for path in [*_contents(generation), generation / "manifest.json"]:
        _flush(path)
    part = folder / "CURRENT.part"
    part.write_text(generation.name + "\n", "utf-8")
    _flush(part)
    os.replace(part, folder / "CURRENT")
    _flush(folder)
    for other in folder.glob("g[0-9]*"):
        if other != generation:
            shutil.rmtree(other, ignore_errors=True)
