"""The compiled encoder (`encoder.c`): BERT and models alike, without padding, on processors with AVX-512 BF16."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resift import machine
from resift.engine.batching import FloatArray
from resift.engine.graphs.bert import OFFSET_TYPES
from resift.engine.graphs.names import NamedTensors
from resift.engine.native.library import load
from resift.engine.rounding import round_weights
from resift.errors import BrokenModel

LIBRARY = Path(__file__).with_name("_encoder.so")
MODEL_TYPES = ("bert", "electra", "distilbert", *OFFSET_TYPES)
_PANEL, _GROUP = 32, 32  # PANEL and GROUP in encoder.c: outputs side by side; inputs that share a scale at int8
_LEAST = -174 / 1024  # LEAST in encoder.c: the least result of GELU at bf16
_LINE = 64  # bytes of a register, to which weights are aligned
_CHUNK = 512  # tokens that a thread takes at a time: few enough for its cache, many enough to read weights seldom

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
Tail = tuple[FloatArray, FloatArray]


class _Matrix(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in ("inputs", "outputs", "scaled")),
        *((name, ctypes.c_void_p) for name in ("panels", "bias", "scales")),
    ]


class _Layer(ctypes.Structure):
    _fields_ = [
        *((name, _Matrix) for name in ("qkv", "merge", "up", "down")),
        *((name, ctypes.c_void_p) for name in ("gain1", "bias1", "gain2", "bias2")),
    ]


class _EncoderModel(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in ("hidden", "heads", "layers")),
        ("epsilon", ctypes.c_float),
        *((name, ctypes.c_void_p) for name in ("words", "places", "kinds", "gain", "bias")),
        ("layer", ctypes.c_void_p),
        ("tail", _Matrix),
    ]


class _EncoderWork(ctypes.Structure):
    _fields_ = [
        ("model", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("n", "chunk", "threads")),
        *((name, ctypes.c_void_p) for name in ("starts", "attended", "ids", "segments", "hidden", "tail")),
        *((name, ctypes.c_int) for name in ("first_only", "failed")),
        ("next", ctypes.c_int64),
    ]


_CALLS = 2  # CALLS in encoder.c
_RECORDS = (_Matrix, _Layer, _EncoderModel, _EncoderWork)


@cache
def _library() -> ctypes.CDLL | None:
    """The compiled encoder; None where the wheel has none, it is of another version, or the processor can't run it."""
    library = load(LIBRARY, "resift_encoder", _CALLS, _RECORDS)
    if library is None or not library.resift_encoder_level():
        return None
    return library if not machine.cpu_level() or "avx512_bf16" in machine.features() else None


def available() -> bool:
    """Whether there is a compiled encoder that this processor runs."""
    return _library() is not None


def unsupported(config: Mapping[str, Any]) -> str:
    """The part of a config that the compiled encoder lacks, in words; empty where it runs the model."""
    kind = config.get("model_type")
    if kind not in MODEL_TYPES:
        return f"model_type {kind!r}"
    if config.get("position_embedding_type", "absolute") != "absolute":
        return f"position_embedding_type {config['position_embedding_type']!r}"
    activation = config.get("activation" if kind == "distilbert" else "hidden_act", "gelu")
    if activation != "gelu":
        return f"activation {activation!r}"
    values = [config.get(old) or config.get(new) for old, new in _SIZES]
    if not all(values):
        return "a config.json without " + ", ".join(
            new for (_, new), size in zip(_SIZES, values, strict=True) if not size
        )
    hidden, heads, wide = map(int, values)  # type: ignore[arg-type]
    if hidden % _GROUP or wide % _GROUP or hidden % heads or (hidden // heads) % _PANEL:
        return f"a hidden size of {hidden} in {heads} heads, {wide} between"
    if int(config.get("embedding_size") or hidden) != hidden:
        return "embeddings of another size than the layers"
    return ""


def fits_tail(weight: FloatArray) -> bool:
    """Whether the kernel multiplies hidden states with a matrix (D, H)."""
    return not any(size % unit for size, unit in zip(weight.shape, (_PANEL, _GROUP), strict=True))


_SIZES = (("dim", "hidden_size"), ("n_heads", "num_attention_heads"), ("hidden_dim", "intermediate_size"))


@dataclass(frozen=True, slots=True)
class JoinedSequences:
    """Sequences one behind the other.

    Attributes:
        ids: token ids (T,).
        segments: segment ids (T,).
        starts: the position of each sequence's first token, and T at the end (n + 1,).
        attended: the number of tokens of each sequence, from its first, that attention sees (n,).

    """

    ids: Int32Array
    segments: Int32Array
    starts: Int64Array
    attended: Int64Array


class CompiledEncoder:
    """A checkpoint's encoder with matrices in the precision and order of the kernel.

    Args:
        config: under BERT's names; `unsupported` is empty for it.
        weights: its tensors under BERT's names.
        root: the prefix of the encoder's tensors, such as "bert.".
        rounded: the feed-forward products, two thirds of the work, are int8. All other products are bf16, because
            attention loses most by rounding (docs/log.md).
        tail: weight (D, H) and bias (D,) of a last product, which `fits_tail`.

    Raises:
        BrokenModel: a tensor is missing or has another shape than the config has.

    """

    def __init__(
        self, config: Mapping[str, Any], weights: NamedTensors, root: str, rounded: bool, tail: Tail | None
    ) -> None:
        library = _library()
        if library is None:
            raise RuntimeError("there is no compiled encoder for this processor")
        self._library, self._weights, self._root = library, weights, root
        self._arrays: list[npt.NDArray[Any]] = []  # the structures point to their memory
        self.hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        first = int(config.get("pad_token_id") or 0) + 1 if config["model_type"] in OFFSET_TYPES else 0
        self._wide = int(config["intermediate_size"])
        words = self._tensor("embeddings.word_embeddings.weight", self.hidden)
        places = self._tensor("embeddings.position_embeddings.weight", self.hidden)[first:]
        kind = "embeddings.token_type_embeddings.weight"
        self._segmented = root + kind in weights  # false for DistilBERT, whose tokenizer gives segments nevertheless
        kinds = self._tensor(kind, self.hidden) if self._segmented else np.zeros((1, self.hidden), np.float32)
        self._limits = len(words), len(places), len(kinds)
        layers = [self._layer(f"encoder.layer.{i}", heads, rounded) for i in range(int(config["num_hidden_layers"]))]
        self._layers = (_Layer * len(layers))(*layers)
        self._model = _EncoderModel(
            self.hidden, heads, len(layers), float(config.get("layer_norm_eps", 1e-12)),
            self._keep(words), self._keep(places), self._keep(kinds),
            *self._norm("embeddings.LayerNorm"), ctypes.addressof(self._layers),
            self._matrix(*tail) if tail else _Matrix(),
        )  # fmt: skip
        self._weights = {}

    def run(self, sequences: JoinedSequences, first_only: bool, threads: int) -> tuple[FloatArray, FloatArray]:
        """Last hidden states (T, H), or of each sequence's first token (n, H), and the tail's products (T or n, D).

        Other Python threads run meanwhile.

        Raises:
            BrokenModel: an id, a segment or a length that the model has no embedding for.
            ValueError: a sequence of which attention sees no token.
            MemoryError: no memory for the activations.

        """
        n = len(sequences.attended)
        if sequences.attended.min(initial=1) < 1:
            raise ValueError("a sequence without a token that is attended to")
        segments = sequences.segments if self._segmented else np.zeros_like(sequences.segments)
        longest = int(np.diff(sequences.starts).max(initial=0))
        most = (int(sequences.ids.max(initial=0)), longest - 1, int(segments.max(initial=0)))
        for what, value, limit in zip(("token id", "position", "segment"), most, self._limits, strict=True):
            if value >= limit:
                raise BrokenModel(f"{what} {value}: the model has {limit}; tokenizer and weights don't belong together")
        hidden = np.empty((n if first_only else len(sequences.ids), self.hidden), np.float32)
        tail = np.empty((len(hidden), self._model.tail.outputs), np.float32)
        work = _EncoderWork(
            ctypes.addressof(self._model), n, _CHUNK, max(1, threads), sequences.starts.ctypes.data,
            sequences.attended.ctypes.data, sequences.ids.ctypes.data, segments.ctypes.data, hidden.ctypes.data,
            tail.ctypes.data, first_only, 0, 0,
        )  # fmt: skip
        self._library.resift_encode(ctypes.byref(work))
        if work.failed:
            raise MemoryError(f"no memory for the activations of {longest} tokens")
        return hidden, tail

    def _layer(self, name: str, heads: int, rounded: bool) -> _Layer:
        h, wide = self.hidden, self._wide
        scale = np.float32((h // heads) ** -0.5)  # of attention's scores; the queries are multiplied by it
        query, *others = (self._linear(f"{name}.attention.self.{part}", h, h) for part in ("query", "key", "value"))
        scaled_query = (query[0] * scale, query[1] * scale)
        weights, biases = zip(scaled_query, *others, strict=True)
        qkv: Tail = np.concatenate(weights), np.concatenate(biases)
        merge = self._linear(f"{name}.attention.output.dense", h, h)
        up = self._linear(f"{name}.intermediate.dense", wide, h)
        down = self._linear(f"{name}.output.dense", h, wide)
        if rounded:
            products = self._byte_matrix(*up), self._byte_matrix(*down, after_gelu=True)
        else:
            products = self._matrix(*up), self._matrix(*down)
        return _Layer(
            self._matrix(*qkv), self._matrix(*merge), *products,
            *self._norm(f"{name}.attention.output.LayerNorm"), *self._norm(f"{name}.output.LayerNorm"),
        )  # fmt: skip

    def _norm(self, name: str) -> tuple[int, int]:
        gain, bias = (self._tensor(f"{name}.{end}", self.hidden) for end in ("weight", "bias"))
        return self._keep(gain), self._keep(bias)

    def _linear(self, name: str, outputs: int, inputs: int) -> Tail:
        return self._tensor(f"{name}.weight", outputs, inputs), self._tensor(f"{name}.bias", outputs)

    def _matrix(self, weight: FloatArray, bias: FloatArray) -> _Matrix:
        """A matrix (outputs, inputs) at bf16 in the order of the kernel."""
        panels, weight = self._panels(weight.size * 2), np.ascontiguousarray(weight)
        self._library.resift_encoder_pack(*_packed(weight), ctypes.c_void_p(panels))
        return _Matrix(weight.shape[1], len(weight), 0, panels, self._keep(bias), None)

    def _byte_matrix(self, weight: FloatArray, bias: FloatArray, after_gelu: bool = False) -> _Matrix:
        """A matrix at int8; the kernel counts inputs that are `after_gelu` from the least result of it."""
        (outputs, inputs), panels = weight.shape, self._panels(weight.size)
        whole, scales = round_weights(np.ascontiguousarray(weight), _GROUP)
        if after_gelu:
            sums = whole.reshape(*scales.shape, -1).sum(axis=2, dtype=np.int32)
            with np.errstate(invalid="ignore"):  # a weight that is not finite makes the bias so, too
                bias = bias + np.float32(_LEAST) * (sums * scales).sum(axis=1)
        raised = ctypes.c_int(0 if after_gelu else 128)
        self._library.resift_encoder_pack_bytes(*_packed(whole), raised, ctypes.c_void_p(panels))
        side_by_side = scales.reshape(outputs // _PANEL, _PANEL, -1).transpose(0, 2, 1)
        scaled = inputs // scales.shape[1]
        return _Matrix(inputs, outputs, scaled, panels, self._keep(bias), self._keep(side_by_side))

    def _panels(self, size: int) -> int:
        """The address of `size` bytes that live as long as this object."""
        self._arrays.append(_aligned(size))
        return int(self._arrays[-1].ctypes.data)

    def _tensor(self, name: str, *shape: int) -> FloatArray:
        """A tensor whose last axes have these lengths, which the kernel does not check."""
        tensor = self._weights.get(self._root + name)
        if tensor is None:
            raise BrokenModel(f"the checkpoint has no tensor {self._root + name}; its files are incomplete")
        if tensor.shape[-len(shape) :] != shape or tensor.ndim > 2:
            raise BrokenModel(
                f"{self._root + name} has the shape {tensor.shape}, and config.json tells {shape}: not of one model"
            )
        return tensor

    def _keep(self, values: FloatArray) -> int:
        """The address of an array that lives as long as this object."""
        self._arrays.append(np.ascontiguousarray(values, np.float32))
        return int(self._arrays[-1].ctypes.data)


def _packed(matrix: npt.NDArray[Any]) -> tuple[Any, ...]:
    """What a function that packs a matrix takes of it: the address, outputs and inputs."""
    return ctypes.c_void_p(matrix.ctypes.data), *map(ctypes.c_int64, matrix.shape)


def _aligned(size: int) -> npt.NDArray[np.uint8]:
    """`size` bytes that begin at a multiple of a register's size."""
    memory = np.empty(size + _LINE, np.uint8)
    at = -memory.ctypes.data % _LINE
    return memory[at : at + size]
