"""MaxSim, the score of late interaction: for each query token its best cosine in the document, averaged by weight.

Khattab & Zaharia, ColBERT (2020), eq. 3, with a weighted mean instead of the sum, so that scores lie in -1..1.

Documents have any length: each is a range of rows, read where it lies (in a memory-mapped file too) and never padded.
Against int8 documents a query token in int8 finds the best match, and the same token in int16 gives its cosine. All
these sums are exact, so the compiled kernel and NumPy give equal scores. Where several rows match equally well to
within the int8 rounding, the match may differ from that in f32, and its cosine is lower by less than that rounding
(docs/performance.md). Against f16 documents the query and all sums are f32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from resift.engine.batching import FloatArray
from resift.engine.native.maxsim_library import HALVES, Kernel, MaxSimWork, kernel
from resift.engine.rounding import round_symmetric
from resift.machine import cores

_BLOCK = 1 << 16  # document tokens that NumPy multiplies at once; it limits the memory of the similarity matrix
_ALONE = 1 << 26  # multiply-adds per thread, about 0.1 ms: fewer are not worth starting another thread

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
class StackedVectors:
    """Token vectors of n documents in one array; document i is the rows starts[i] to ends[i] (exclusive), at least one.

    values: (T, D) int8, or f16 unit vectors; they may be memory-mapped. scales: (T,) f32 for int8 values. starts, ends:
    (n,); documents may overlap and come in any order. skip: (T,) is true for rows that match nothing.
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
        """(T,) the factor of each row's product; NaN, which never wins, for rows that are skipped."""
        scales = np.ones(len(self.values), np.float32) if self.scales is None else self.scales
        return scales if self.skip is None else np.where(self.skip, np.float32(np.nan), scales)


Documents = Sequence[TokenVectors] | StackedVectors


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
    if compiled and (compiled.level >= HALVES or not _are_halves(documents)):
        places, cosines = best_compiled(compiled, query, documents)
    else:
        places, cosines = best_numpy(query, documents)
    if isinstance(documents, StackedVectors) and documents.skip is not None and np.isneginf(cosines).any():
        raise ValueError("a document without a token to compare; leave such documents out")
    return cosines @ weights, places, cosines


def best_compiled(compiled: Kernel, query: FloatArray, documents: Documents, level: int | None = None) -> Best:
    """Each query token's best match in each document, on as many threads as the work is worth.

    `level` is the processor's by default; tests pass a lower one.
    """
    lengths = _checked_lengths(query, documents)
    places, cosines = _empty(query, lengths)
    values, scales, _arrays = _addresses(documents)
    halves = _are_halves(documents)
    arrays: dict[str, npt.NDArray[Any]] = {
        "values": values,
        "scales": scales,
        "lengths": lengths,
        "places": places,
        "cosines": cosines,
    }
    arrays["query"] = np.ascontiguousarray(query, np.float32) if halves else rounded(query)[0]
    if not halves:
        arrays["query_int16"], arrays["int16_scales"] = _int16_query(query)
    work = MaxSimWork(len(lengths), query.shape[1], len(query), level=level or compiled.level)
    for name, array in arrays.items():
        setattr(work, name, array.ctypes.data)
    compiled.run(work, threads=min(cores(), int(lengths.sum()) * query.size // _ALONE + 1))
    return places, cosines


def best_numpy(query: FloatArray, documents: Documents) -> Best:
    """The same in NumPy, for computers without a compiled kernel, and as the reference in its tests."""
    lengths = _checked_lengths(query, documents)
    places, cosines = _empty(query, lengths)
    tokens = query if _are_halves(documents) else rounded(query)[0].astype(np.float32)
    rows = _rows(documents)
    for start, end in _blocks(lengths.tolist()):
        values, scales = (np.concatenate(part) for part in zip(*rows[start:end], strict=True))
        similarity = tokens @ values.astype(np.float32).T * scales
        similarity[:, np.isnan(scales)] = -np.inf
        at = 0
        for i in range(start, end):
            document = similarity[:, at : at + int(lengths[i])]
            places[i], cosines[i] = document.argmax(axis=1), document.max(axis=1)
            at += document.shape[1]
    if not _are_halves(documents):
        integers, factors = _int16_query(query)
        for i, (values, scales) in enumerate(rows):
            products = (integers.astype(np.float64) * values[places[i]]).sum(axis=1).astype(np.float32)
            cosines[i] = np.where(np.isneginf(cosines[i]), cosines[i], products * scales[places[i]] * factors)
    return places, cosines


def rounded(vectors: FloatArray) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """(T, D) vectors as int8, symmetric, and the (T,) factors that restore them."""
    integers, scales = round_symmetric(vectors, axis=1)
    return integers, scales[:, 0]


def _int16_query(query: FloatArray) -> tuple[npt.NDArray[np.int16], FloatArray]:
    """The query in int16, small enough for the sum of its products with int8 to fit 32 bits, and its scales."""
    largest = min(32767, (2**31 - 1) // (127 * query.shape[1]))
    integers, scales = round_symmetric(query, axis=1, largest=largest, dtype=np.int16)
    return integers, scales[:, 0]


def _are_halves(documents: Documents) -> bool:
    return isinstance(documents, StackedVectors) and documents.values.dtype == np.float16


def _empty(query: FloatArray, lengths: npt.NDArray[np.int64]) -> Best:
    shape = (len(lengths), len(query))
    return np.empty(shape, np.int32), np.empty(shape, np.float32)


def _checked_lengths(query: FloatArray, documents: Documents) -> npt.NDArray[np.int64]:
    """The documents' lengths, after a check that all rows lie within their arrays."""
    if isinstance(documents, StackedVectors):
        lengths, widths = (documents.ends - documents.starts).astype(np.int64), {documents.values.shape[1]}
        outside = len(lengths) and (documents.starts.min() < 0 or documents.ends.max() > len(documents.values))
        if outside or documents.values.dtype not in (np.int8, np.float16):
            raise ValueError("documents are rows of an int8 or f16 array, starts and ends within it")
        per_row = [x for x in (documents.scales, documents.skip) if x is not None]
        if any(len(x) != len(documents.values) for x in per_row):
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
    """The addresses of each document's values and scales, and the arrays that must live while these are used."""
    if isinstance(documents, StackedVectors):
        values, scales = np.ascontiguousarray(documents.values), np.ascontiguousarray(documents.factors, np.float32)
        starts = documents.starts.astype(np.uint64)
        first = np.uint64(values.ctypes.data), np.uint64(scales.ctypes.data)
        return first[0] + starts * np.uint64(values.strides[0]), first[1] + starts * np.uint64(4), (values, scales)
    arrays = [(np.ascontiguousarray(d.values, np.int8), np.ascontiguousarray(d.scales, np.float32)) for d in documents]
    columns = [[a.__array_interface__["data"][0] for a in column] for column in zip(*arrays, strict=True)] or [[], []]
    return np.array(columns[0], np.uint64), np.array(columns[1], np.uint64), arrays


def _rows(documents: Documents) -> Sequence[tuple[Stored, FloatArray]]:
    if not isinstance(documents, StackedVectors):
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

    `places` and `gains` (n, Q) are the best match of each query token in n documents and its gain; a negative gain
    counts as 0. Ties go to the earliest stretch.
    """
    order = np.argsort(places, axis=1, kind="stable")
    at, worth = (np.take_along_axis(x, order, axis=1) for x in (places, np.maximum(gains, 0.0)))
    total = np.pad(np.cumsum(worth, axis=1, dtype=np.float64), ((0, 0), (1, 0)))
    ends = (at[:, None, :] < at[:, :, None] + width).sum(axis=2)  # of the stretch that begins at each match
    first = np.argmax(np.take_along_axis(total, ends, axis=1) - total[:, :-1], axis=1)[:, None]
    last = np.take_along_axis(ends, first, axis=1) - 1
    return np.concatenate([np.take_along_axis(at, i, axis=1) for i in (first, last)], axis=1)
