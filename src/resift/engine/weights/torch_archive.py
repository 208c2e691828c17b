"""State dicts that torch.save wrote, read without torch and without running what a pickle may ask for.

The format (torch/serialization.py, torch 1.6 and newer): a zip file, uncompressed, that holds one folder with data.pkl,
the pickled state dict, and data/KEY, the raw numbers of each storage. In the pickle a storage is a persistent id
("storage", class, key, device, numbers), and a tensor the call _rebuild_tensor_v2(storage, offset, size, stride, …).
Older versions wrote five pickles into a plain file, a magic number, a version, facts of the machine, the state dict and
the keys of its storages, and behind them each storage: how many numbers it has in 8 bytes, and the numbers.
"""

from __future__ import annotations

import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from resift.errors import BrokenModel

_STORAGES = {
    "FloatStorage": "<f4", "HalfStorage": "<f2", "BFloat16Storage": "bf16", "DoubleStorage": "<f8",
    "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1",
    "BoolStorage": "?",
}  # fmt: skip
_OLDER = (0x1950A86A20F9469CFC6C, 1001)  # magic number and version
_READ = ("<f4", "<f2", "bf16")  # the kinds that weights come in; counters and positions are left out
_DAMAGED = (
    pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError, OSError,
    EOFError, LookupError, TypeError, ValueError, AttributeError, MemoryError, OverflowError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Storage:
    kind: str
    key: str
    numbers: int


@dataclass(frozen=True, slots=True)
class SavedTensor:
    """A tensor as it stands in the archive: a view of a storage, all counted in numbers and not in bytes."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def saved_tensors(file: Path) -> Mapping[str, SavedTensor]:
    """Names and shapes of a state dict, without its data; tensors that are no floats of 16 or 32 bits are left out.

    Raises:
        BrokenModel: no such archive, damaged, or its pickle asks for anything but the parts of a state dict.

    """
    try:
        if _is_older(file):
            with file.open("rb") as stream:
                state, _ = _older_state(stream, file)
        else:
            with zipfile.ZipFile(file) as archive:
                state = _Unpickler(BytesIO(archive.read(_entry(archive, "data.pkl"))), file).load()
    except _DAMAGED as error:
        raise _damaged(file, error) from error
    if not isinstance(state, dict) or not all(isinstance(t, SavedTensor) for t in state.values()):
        raise BrokenModel(f"{file} holds no state dict (names and tensors); save the model as safetensors")
    return {str(name): t for name, t in state.items() if t.storage.kind in _READ}


def read_archive(file: Path) -> dict[str, npt.NDArray[np.float32]]:
    """All tensors of `saved_tensors`, as f32.

    Raises:
        BrokenModel: see `saved_tensors`; or a tensor reaches beyond its storage.

    """
    tensors = saved_tensors(file)
    try:
        if _is_older(file):
            numbers = _older_numbers(file)
            return {name: _view(numbers[t.storage.key], t) for name, t in tensors.items()}
        with zipfile.ZipFile(file) as archive:
            if any(n.endswith("/byteorder") and archive.read(n) != b"little" for n in archive.namelist()):
                raise BrokenModel(f"{file} was written on a big-endian machine; save the model as safetensors")
            storages = {
                s: _numbers(archive.read(_entry(archive, f"data/{s.key}")), s)
                for s in {t.storage for t in tensors.values()}
            }
        return {name: _view(storages[t.storage], t) for name, t in tensors.items()}
    except _DAMAGED as error:
        raise _damaged(file, error) from error


def _is_older(file: Path) -> bool:
    """Whether a file is no zip archive and begins as a pickle does."""
    with file.open("rb") as stream:
        return stream.read(2) == b"\x80\x02"


def _older_state(stream: IO[bytes], file: Path) -> tuple[Any, list[str]]:
    """The state dict and the keys of its storages, behind which the stream then stands."""
    magic, version, machine, state, keys = (_Unpickler(stream, file).load() for _ in range(5))
    if (magic, version) != _OLDER:
        raise ValueError("its first numbers are not those of torch.save")
    if not machine["little_endian"]:
        raise BrokenModel(f"{file} was written on a big-endian machine; save the model as safetensors")
    return state, list(keys)


def _older_numbers(file: Path) -> dict[str, npt.NDArray[np.float32]]:
    """The numbers of each storage, by its key; those that are not read as weights are left out."""
    with file.open("rb") as stream:
        state, keys = _older_state(stream, file)
        kinds = {tensor.storage.key: tensor.storage for tensor in state.values()}
        storages = {}
        for key in keys:
            width = 2 if kinds[key].kind == "bf16" else np.dtype(kinds[key].kind).itemsize
            data = stream.read(int.from_bytes(stream.read(8), "little") * width)
            if kinds[key].kind in _READ:
                storages[key] = _numbers(data, kinds[key])
    return storages


def _damaged(file: Path, error: Exception) -> BrokenModel:
    reason = f"{type(error).__name__}: {error}"
    return BrokenModel(f"{file} is no undamaged archive of torch.save ({reason}); fetch the model again")


def _entry(archive: zipfile.ZipFile, name: str) -> str:
    """The archive's entry of this name in its one folder."""
    (entry,) = [n for n in archive.namelist() if n.partition("/")[2] == name]
    return entry


def _numbers(data: bytes, storage: _Storage) -> npt.NDArray[np.float32]:
    if storage.kind == "bf16":
        numbers = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    else:
        numbers = np.frombuffer(data, storage.kind).astype(np.float32, copy=False)
    if len(numbers) != storage.numbers:
        raise ValueError(f"storage {storage.key} holds {len(numbers)} numbers and not {storage.numbers}")
    return numbers


def _view(numbers: npt.NDArray[np.float32], tensor: SavedTensor) -> npt.NDArray[np.float32]:
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, np.float32)
    if min((tensor.offset, *tensor.shape, *tensor.strides)) < 0 or last >= len(numbers):
        raise ValueError(f"a tensor of shape {tensor.shape} reaches beyond its storage")
    steps = tuple(4 * step for step in tensor.strides)
    return np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.shape, steps, writeable=False)


class _Unpickler(pickle.Unpickler):
    """Knows the parts of a state dict by name, as inert stand-ins made here; every other name is refused."""

    def __init__(self, stream: IO[bytes], file: Path) -> None:
        super().__init__(stream)
        self._file = file

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        """The stand-in for a global of the pickle."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Rebuild()
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise BrokenModel(
            f"{self._file} asks for {module}.{name}, which is no part of a state dict and could run code: nothing of "
            "it was run; use another copy of the model, in safetensors"
        )

    def persistent_load(self, pid: Any) -> _Storage:  # noqa: ANN401
        """The stand-in for a storage."""
        _, kind, key, _, numbers, *_ = pid
        return _Storage(_text(kind), _text(key), _whole(numbers))


class _Rebuild:
    """In place of torch._utils._rebuild_tensor_v2."""

    __slots__ = ()

    def __call__(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> SavedTensor:  # noqa: ANN401
        """Check and keep what would be a tensor."""
        if not isinstance(storage, _Storage):
            raise TypeError("a tensor of no storage")
        return SavedTensor(storage, _whole(offset), tuple(map(_whole, size)), tuple(map(_whole, stride)))


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no whole number")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
