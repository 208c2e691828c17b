"""MaxSim, the score of late interaction: for each query token its best cosine in the document, averaged by weight.

Khattab & Zaharia, ColBERT (2020), eq. 3, with a weighted mean instead of the sum, so that scores lie in -1..1.

Documents are ragged: each is a range of rows, read where it lies (in a memory-mapped file as well), never padded.
Against int8 documents a query token's best match is found with the token rounded to int8; the cosine of that match is
then computed with the token in int16. All these sums are exact, so the compiled kernel and NumPy give equal scores.
Where several rows match equally well to within the int8 rounding, the match may be another than in f32, and the cosine
lower by less than that rounding (docs/performance.md). Against f16 documents the query and all sums are f32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from resift.engine.batching import FloatArray
from resift.engine.native.maxsim_library import HALVES, Kernel, Work, kernel
from resift.machine import cores

_BLOCK = 1 << 16  # document tokens that NumPy multiplies at once: bounds the memory of the similarity matrix
_ALONE = 1 << 26  # multiply-adds that are not worth a second thread: about 0.1 ms

Stored = npt.NDArray[np.int8] | npt.NDArray[np.float16]
Best = tuple[npt.NDArray[np.int32], FloatArray]  # places and cosines, (n, Q) each


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """Unit vectors of one text's tokens as int8, each with the factor that restores it.

    values: (T, D) int8; scales: (T,) f32; spans: (T, 2) characters of the text that each token covers.
    """

    values: npt.NDArray[np.int8]
    scales: FloatArray
    spans: npt.NDArray[np.int32]

    @classmethod
    def quantized(cls, vectors: FloatArray, spans: npt.NDArray[np.int32]) -> TokenVectors:
        """Round (T, D) vectors to int8, symmetric, one scale per token."""
        return cls(*rounded(vectors), spans)

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Ragged:
    """Token vectors of n documents in one array: document i is the rows starts[i]..ends[i], at least one.

    values: (T, D) int8, or f16 unit vectors; may be memory-mapped. scales: (T,) f32, with int8. starts, ends: (n,);
    they may overlap and come in any order. skip: (T,) marks rows that match nothing.
    """

    values: Stored
    scales: FloatArray | None
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    skip: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def factors(self) -> FloatArray:
        """(T,) what each row's product is multiplied by: NaN, which never wins, where it is skipped."""
        scales = np.ones(len(self.values), np.float32) if self.scales is None else self.scales
        return scales if self.skip is None else np.where(self.skip, np.float32(np.nan), scales)


Documents = Sequence[TokenVectors] | Ragged


def maxsim(query: FloatArray, weights: FloatArray, documents: Documents) -> tuple[FloatArray, *Best]:
    """Score one query, or several at once, against n documents.

    Args:
        query: (Q, D) unit vectors of the query's tokens.
        weights: (Q,) share of each query token, summing to 1; or (Q, B) for the tokens of B queries below each other,
            where column b has the shares of query b, and 0 for the tokens of the others.
        documents: none of them empty.

    Returns:
        scores (n,) or (n, B) in -1..1; per document the position of each query token's best match, (n, Q), the
        earliest where several are equal; and its cosine, (n, Q).

    Raises:
        ValueError: a document without a token to compare, rows outside the array, or other dimensions than the query.

    """
    compiled = kernel()
    if compiled and (compiled.level >= HALVES or not _halves(documents)):
        places, cosines = best_compiled(compiled, query, documents)
    else:
        places, cosines = best_numpy(query, documents)
    if isinstance(documents, Ragged) and documents.skip is not None and np.isneginf(cosines).any():
        raise ValueError("a document without a token to compare; leave such documents out")
    return cosines @ weights, places, cosines


def best_compiled(compiled: Kernel, query: FloatArray, documents: Documents, level: int | None = None) -> Best:
    """Each query token's best match in each document, on as many threads as the work is worth.

    `level` is that of the processor; a test may ask for a lower one.
    """
    lengths = _checked(query, documents)
    places, cosines = _empty(query, lengths)
    values, scales, _held = _addresses(documents)
    halves = _halves(documents)
    arrays: dict[str, npt.NDArray[Any]] = {
        "values": values,
        "scales": scales,
        "lengths": lengths,
        "places": places,
        "cosines": cosines,
    }
    arrays["query"] = np.ascontiguousarray(query, np.float32) if halves else rounded(query)[0]
    if not halves:
        arrays["fine"], arrays["fine_scales"] = _fine(query)
    work = Work(len(lengths), query.shape[1], len(query), level=level or compiled.level)
    for name, array in arrays.items():
        setattr(work, name, array.ctypes.data)
    compiled.run(work, threads=min(cores(), int(lengths.sum()) * query.size // _ALONE + 1))
    return places, cosines


def best_numpy(query: FloatArray, documents: Documents) -> Best:
    """The same in NumPy: what runs where there is no compiled kernel, and what that one is tested against."""
    lengths = _checked(query, documents)
    places, cosines = _empty(query, lengths)
    tokens = query if _halves(documents) else rounded(query)[0].astype(np.float32)
    rows = _rows(documents)
    for start, end in _blocks(lengths.tolist()):
        values, scales = (np.concatenate(part) for part in zip(*rows[start:end], strict=True))
        similarity = tokens @ values.astype(np.float32).T * scales
        similarity[:, np.isnan(scales)] = -np.inf
        at = 0
        for i in range(start, end):
            own = similarity[:, at : at + int(lengths[i])]
            places[i], cosines[i] = own.argmax(axis=1), own.max(axis=1)
            at += own.shape[1]
    if not _halves(documents):
        fine, factors = _fine(query)
        for i, (values, scales) in enumerate(rows):
            products = (fine.astype(np.float64) * values[places[i]]).sum(axis=1).astype(np.float32)
            cosines[i] = np.where(np.isneginf(cosines[i]), cosines[i], products * scales[places[i]] * factors)
    return places, cosines


def rounded(vectors: FloatArray) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """(T, D) vectors as int8, symmetric, and the (T,) factors that restore them."""
    integers, scales = _integers(vectors, 127)
    return integers.astype(np.int8), scales


def _integers(vectors: FloatArray, largest: int) -> tuple[FloatArray, FloatArray]:
    scales = np.maximum(np.abs(vectors).max(axis=1, initial=0.0), 1e-12).astype(np.float32) / np.float32(largest)
    return np.rint(vectors / scales[:, None]), scales


def _fine(query: FloatArray) -> tuple[npt.NDArray[np.int16], FloatArray]:
    """The query in int16, small enough for the sum of its products with int8 to fit 32 bits."""
    integers, scales = _integers(query, min(32767, (2**31 - 1) // (127 * query.shape[1])))
    return integers.astype(np.int16), scales


def _halves(documents: Documents) -> bool:
    return isinstance(documents, Ragged) and documents.values.dtype == np.float16


def _empty(query: FloatArray, lengths: npt.NDArray[np.int64]) -> Best:
    shape = (len(lengths), len(query))
    return np.empty(shape, np.int32), np.empty(shape, np.float32)


def _checked(query: FloatArray, documents: Documents) -> npt.NDArray[np.int64]:
    """The documents' lengths, once their addresses are known to be right."""
    if isinstance(documents, Ragged):
        lengths, widths = (documents.ends - documents.starts).astype(np.int64), {documents.values.shape[1]}
        outside = len(lengths) and (documents.starts.min() < 0 or documents.ends.max() > len(documents.values))
        if outside or documents.values.dtype not in (np.int8, np.float16):
            raise ValueError("documents are rows of an int8 or f16 array, starts and ends within it")
        beside = [x for x in (documents.scales, documents.skip) if x is not None]
        if any(len(x) != len(documents.values) for x in beside):
            raise ValueError("scales and skip have one entry per row")
    else:
        lengths = np.array([len(d) for d in documents], np.int64)
        if [len(d.scales) for d in documents] != lengths.tolist():
            raise ValueError("token vectors have one scale each")
        widths = {d.values.shape[1] for d in documents}
    if widths - {query.shape[1]}:
        raise ValueError(f"the query has {query.shape[1]} dimensions, documents have {sorted(widths)}")
    if (lengths < 1).any():
        raise ValueError("a document without a token to compare; leave such documents out")
    return lengths


def _addresses(documents: Documents) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64], object]:
    """Where each document's values and scales lie, and the arrays that must live as long as these are used."""
    if isinstance(documents, Ragged):
        values, scales = np.ascontiguousarray(documents.values), np.ascontiguousarray(documents.factors, np.float32)
        starts = documents.starts.astype(np.uint64)
        first = np.uint64(values.ctypes.data), np.uint64(scales.ctypes.data)
        return first[0] + starts * np.uint64(values.strides[0]), first[1] + starts * np.uint64(4), (values, scales)
    held = [(np.ascontiguousarray(d.values, np.int8), np.ascontiguousarray(d.scales, np.float32)) for d in documents]
    located = [[a.__array_interface__["data"][0] for a in own] for own in zip(*held, strict=True)] or [[], []]
    return np.array(located[0], np.uint64), np.array(located[1], np.uint64), held


def _rows(documents: Documents) -> Sequence[tuple[Stored, FloatArray]]:
    if not isinstance(documents, Ragged):
        return [(d.values, d.scales) for d in documents]
    factors = documents.factors
    bounds = zip(documents.starts.tolist(), documents.ends.tolist(), strict=True)
    return [(documents.values[a:b], factors[a:b]) for a, b in bounds]


def _blocks(lengths: Sequence[int]) -> list[tuple[int, int]]:
    blocks, start, size = [], 0, 0
    for i, length in enumerate(lengths):
        if size and size + length > _BLOCK:
            blocks.append((start, i))
            start, size = i, 0
        size += length
    if lengths:
        blocks.append((start, len(lengths)))
    return blocks


def densest(places: npt.NDArray[np.int32], gains: FloatArray, width: int) -> npt.NDArray[np.int32]:
    """First and last matched token, (n, 2), of the stretch of at most `width` tokens that holds the most gain.

    `places` and `gains` (n, Q) are each query token's best match in n documents, and what it is worth; what is worth
    less than nothing counts as nothing. Ties go to the earliest stretch.
    """
    order = np.argsort(places, axis=1, kind="stable")
    at, worth = (np.take_along_axis(x, order, axis=1) for x in (places, np.maximum(gains, 0.0)))
    total = np.pad(np.cumsum(worth, axis=1, dtype=np.float64), ((0, 0), (1, 0)))
    ends = (at[:, None, :] < at[:, :, None] + width).sum(axis=2)  # of the stretch that begins at each match
    first = np.argmax(np.take_along_axis(total, ends, axis=1) - total[:, :-1], axis=1)[:, None]
    last = np.take_along_axis(ends, first, axis=1) - 1
    return np.concatenate([np.take_along_axis(at, i, axis=1) for i in (first, last)], axis=1)
