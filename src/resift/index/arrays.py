"""Arrays that grow on disk: .npy files whose header is completed when the last row is written."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt


class GrowingArray:
    """Appends rows to a .npy file; `close` writes how many there are.

    Rows are written by write(2), so that a full disk is an OSError here, and not a signal at a mapped page.
    """

    def __init__(self, path: Path, dtype: npt.DTypeLike, row: tuple[int, ...] = ()) -> None:
        self.rows, self._dtype, self._row = 0, np.dtype(dtype), row
        self._file = path.open("wb")
        self._file.write(self._header())

    def append(self, rows: npt.ArrayLike) -> None:
        """Append (n, *row) values, converted to the array's type."""
        array = np.ascontiguousarray(rows, self._dtype)
        self._file.write(array.data)
        self.rows += len(array)

    def close(self) -> None:
        """Write the final header."""
        self._file.seek(0)
        self._file.write(self._header())
        self._file.close()

    def _header(self) -> bytes:
        """NumPy pads a header so that its length does not change when the first axis grows."""
        buffer = BytesIO()
        shape = (self.rows, *self._row)
        fields = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(buffer, fields)
        return buffer.getvalue()

    def __enter__(self) -> GrowingArray:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()


def save(path: Path, array: npt.NDArray[Any]) -> None:
    """Write a .npy file. `np.save` hides why writing failed; here the error says that the disk is full."""
    with GrowingArray(path, array.dtype, array.shape[1:]) as file:
        file.append(array)
        file.close()
