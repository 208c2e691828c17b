"""Late interaction: query and document are encoded apart, and compared token by token with MaxSim."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import TypeVar

import numpy as np

from resift.engine.batching import MANY_CHARACTERS, Engine, FloatArray, Sequences, pack
from resift.engine.exact import ExactVectors
from resift.engine.maxsim import TokenVectors
from resift.engine.once import OfOneProcess
from resift.errors import InputError, NonFiniteScore, UnknownFamily
from resift.models.contract import Contract
from resift.models.folder import ModelFolder
from resift.models.inputs import LateInput
from resift.models.tokenizer import Tokens
from resift.protocols import Role, TokenStore
from resift.score.document_memory import DocumentMemory
from resift.score.language_fit import OfLanguages
from resift.score.options import LoadOptions, LongDocuments
from resift.score.pairs import NO_FLAGS, NON_FINITE, RESCORED, Distinct, distinct, overlapping, slices, spread
from resift.score.parts import open_parts
from resift.score.token_comparison import DocumentVectors, QueryVectors, compare
from resift.score.token_inputs import TextInputs, TokenInputs, WindowInput
from resift.text.clean import clean
from resift.text.sentences import widen
from resift.types import Document, Flag, Judgement, Pair, Scores, Span

WindowOutputs = tuple[FloatArray, FloatArray, FloatArray]  # of one window: vectors and weights around the pooled vector

TextVectors = TypeVar("TextVectors", QueryVectors, DocumentVectors)


class LateInteraction(OfLanguages, OfOneProcess):
    """Scores pairs by MaxSim over token vectors, which depend on one text alone and so can be kept.

    The model's outputs are token vectors (B, T, D), and where it has them pooled vectors (B, H), of length 1, and token
    weights (B, T). Where the contract gives the pooled vectors a share of the score, their cosine has it. The span is
    the sentences in which most of the score was won.
    A document over the window is encoded in overlapping windows, and the best one counts (flag "windowed"); with
    long_documents="truncate" only the first window is read (flag "truncated"). Of a text over a million characters the
    rest is never read, and documents are encoded in slices, so that memory is bounded.

    Vectors that are not finite are computed again by `exact`, the same model at f32; a document whose vectors still are
    not stays unscored (flag "non_finite"), as do all documents of such a query.
    """

    def __init__(
        self,
        contract: Contract,
        tokens: Tokens,
        engine: Engine,
        pad: int,
        long_documents: LongDocuments = "windows",
        exact: Engine | None = None,
        fingerprint: str = "",
    ) -> None:
        self.contract, self.long_documents = contract, long_documents
        self._input = contract.input_as(LateInput)
        self.info = contract.info(fingerprint, f"{engine.name} {engine.precision}", long_documents)
        self.tokens, self._engine, self._exact, self._pad = tokens, engine, exact, pad
        self._store: TokenStore | None = None
        self.memory: DocumentMemory[DocumentVectors] | None = None
        self._inputs = TokenInputs(contract, tokens)

    def score(self, pairs: Sequence[Pair]) -> Scores:
        """MaxSim of the pairs, a mean or sum of cosines (`LateInput.reduce`); an empty document has none.

        Raises:
            InputError: a query without any token.

        """
        work = distinct(pairs)
        queries = self.encode_queries(work.queries)
        tokens = sum(len(q.values) for q in queries)
        judgements: dict[int, Judgement] = {}
        for rows, part in _parts(work):
            documents = self._vectors_of(part)
            tokens += sum(d.tokens for d in documents)
            compared = compare(queries, documents, part, self._input.pooled_share)
            for row, judgement, (_, d) in zip(rows, compared, part.rows, strict=True):
                narrow = judgement.span
                span = Span(*widen(part.documents[d], narrow.start, narrow.end)) if narrow else None
                judgements[row] = replace(judgement, span=span)
        return spread(pairs, work, [judgements[row] for row in range(len(work.rows))], self.info, tokens)

    def encode_queries(self, texts: Sequence[str]) -> list[QueryVectors]:
        """Encode queries; one over the model's window is cut."""
        inputs = self._inputs.queries(texts)
        queries: list[QueryVectors] = []
        for text, ((values, pooled, weights), flags) in zip(inputs, self._run(inputs), strict=True):
            total = weights.sum() if self._input.reduce == "mean" else np.float32(1)
            with np.errstate(invalid="ignore"):  # infinity by infinity: such a query is flagged
                queries.append(QueryVectors(values, weights / total, pooled, text.cut, flags))
        return queries

    def _run(self, inputs: Sequence[TextInputs]) -> list[tuple[WindowOutputs, frozenset[Flag]]]:
        """The outputs of every window, in order; one that is not finite is computed again at f32, and gets a flag."""
        windows = [w for text in inputs for w in text.windows]
        outputs = self._outputs(self._engine, windows)
        flags = [NO_FLAGS if _finite(o) else NON_FINITE for o in outputs]
        broken = [i for i, flag in enumerate(flags) if flag]
        if broken and self._exact is not None:
            for i, exact in zip(broken, self._outputs(self._exact, [windows[i] for i in broken]), strict=True):
                outputs[i], flags[i] = exact, RESCORED if _finite(exact) else NON_FINITE
        return list(zip(outputs, flags, strict=True))

    def _outputs(self, engine: Engine, windows: Sequence[WindowInput]) -> list[WindowOutputs]:
        """Vectors and weights of the compared tokens, and the pooled vector, of every window, in order."""
        sequences = Sequences([w.ids for w in windows], None, [w.attended for w in windows])
        outputs: dict[int, WindowOutputs] = {}
        for batch, (vectors, *more) in engine.run(pack(sequences, self._pad)):
            pooled = more[0] if more else np.zeros((len(vectors), 0), np.float32)
            weights = more[1] if more[1:] else np.ones(vectors.shape[:2])
            for j, i in enumerate(batch.rows):
                keep = windows[i].compared
                outputs[i] = vectors[j][keep], pooled[j], weights[j][keep].astype(np.float32)
        return [outputs[i] for i in range(len(windows))]

    def with_store(self, store: TokenStore) -> LateInteraction:
        """The same model, which takes the token vectors of stored documents from `store` instead of encoding them."""
        stored = copy(self)
        stored._store = store
        stored.info = replace(self.info, settings=f"{self.info.settings} stored")  # rounded or merged: other scores
        return stored

    def remembering(self, limit: int) -> LateInteraction:
        """The same model, which keeps so many bytes of the vectors that it computes, in `memory`; scores are equal."""
        other = copy(self)
        other.memory = DocumentMemory(limit)
        return other

    def start_of(self, text: str, tokens: int) -> str:
        """The beginning of a text, `tokens` tokens at most."""
        return self.tokens.start_of(text, tokens)

    def with_engine(self, wrap: Callable[[Engine], Engine]) -> LateInteraction:
        """The same model over the engine that `wrap` gives for the present one."""
        other = copy(self)
        other._engine = wrap(self._engine)
        return other

    @property
    def name(self) -> str:
        """The model's name."""
        return self.info.name

    @cached_property
    def _sample(self) -> QueryVectors:
        return self.encode_queries(["a"])[0]

    @property
    def dims(self) -> int:
        """The pooled vector's dimensions; 0 where the model gives none."""
        return len(self._sample.pooled)

    @property
    def pools(self) -> bool:
        """Whether the model gives a vector of a whole text too, so that it embeds."""
        return self._input.pooled

    @property
    def token_dims(self) -> int:
        """A token vector's dimensions."""
        return int(self._sample.values.shape[1])

    def _vectors_of(self, work: Distinct) -> list[DocumentVectors]:
        """Stored vectors where there are any; the other documents are encoded, and rounded as stored ones are."""
        stored = [self._store.windows_of(d) if self._store else None for d in work.sources]
        missing = [text for text, windows_ in zip(work.documents, stored, strict=True) if windows_ is None]
        rounded = self._input.rounded or self._store is not None
        if self.memory is None:
            encoded = iter(self.encode_documents(missing, rounded))
        else:
            encoded = iter(self.memory.encode(missing, lambda texts: self.encode_documents(texts, rounded)))
        return [
            next(encoded) if windows is None else self._stored(source, windows)
            for source, windows in zip(work.sources, stored, strict=True)
        ]

    def _stored(self, document: Document, windows: tuple[TokenVectors, ...]) -> DocumentVectors:
        """What the store holds of a document; its pooled vector where that counts."""
        pooled = np.zeros(0, np.float32)
        if self._store and self._input.pooled_share and windows:
            pooled = self._store.pooled_of(document)
        return DocumentVectors(windows, pooled, 0, False)

    def embed(self, texts: Sequence[str], role: Role) -> FloatArray:
        """Pooled vectors (n, H) of length 1: the same pass that gives token vectors serves dense retrieval.

        Raises:
            NonFiniteScore: the model gave NaN or infinity.

        """
        cleaned = [clean(t) for t in texts]
        if role == "query":
            return np.stack([q.pooled for q in self.all_finite(self.encode_queries(cleaned))])
        pooled = [d.pooled for d in self.all_finite(self.encode_documents(cleaned))]
        return np.stack([p if len(p) else np.zeros(self.dims, np.float32) for p in pooled])

    def encode_documents(self, texts: Sequence[str], rounded: bool = True) -> list[DocumentVectors]:
        """Encode documents, each in as many windows as it needs; one without any token has none.

        Args:
            texts: the documents.
            rounded: to int8, as an index keeps them, or as they came out of the model.

        """
        parts = [texts[part.start : part.stop] for part in slices([len(t) for t in texts], self._engine.characters)]
        encoded = overlapping(
            parts,
            lambda part: self._inputs.documents(part, self.long_documents == "truncate"),
            self._run,
            lambda inputs, outputs: list(_documents(inputs, outputs, rounded)),
        )
        return [document for part in encoded for document in part]

    def all_finite(self, encoded: list[TextVectors]) -> list[TextVectors]:
        """The same vectors, after a check that an index can hold them all.

        Raises:
            NonFiniteScore: the model gave NaN or infinity for one of them.

        """
        if any(e.flags >= NON_FINITE for e in encoded):
            raise NonFiniteScore(
                f"{self.info.name} gave a vector that is not finite: its weights are damaged, or f32 is needed"
            )
        return encoded


def open_scorer(folder: ModelFolder, contract: Contract, options: LoadOptions) -> LateInteraction:
    """The late-interaction model of a folder; for errors see `score.load.load_scorer`."""
    if options.truncation or options.long_documents == "strides":
        raise InputError(
            f"{contract.name} reads query and document apart: truncation and strides are of cross-encoders"
        )
    parts = open_parts(folder, contract, options)
    return LateInteraction(
        contract, parts.tokens, parts.engine, parts.pad, options.long_documents, parts.exact, folder.fingerprint
    )


def open_embedder(folder: ModelFolder, contract: Contract, options: LoadOptions) -> LateInteraction:
    """The same as an embedder.

    Raises:
        UnknownFamily: the model has no pooled vectors; for other errors see `score.load.load_embedder`.

    """
    if not contract.input_as(LateInput).pooled:
        raise UnknownFamily(
            f"{contract.name} has vectors of tokens and none of whole texts; use it to rerank, and an embedder to find"
        )
    return open_scorer(folder, contract, options)


def _documents(
    inputs: Sequence[TextInputs], outputs: Sequence[tuple[WindowOutputs, frozenset[Flag]]], rounded: bool
) -> Iterator[DocumentVectors]:
    """Each document's vectors, put together from the outputs of its windows."""
    results = iter(outputs)
    for text in inputs:
        results_of_text = [next(results) for _ in text.windows]
        flags = frozenset(flag for _, flags_of_window in results_of_text for flag in flags_of_window)
        vectors = [] if flags >= NON_FINITE else [o for o, _ in results_of_text]
        pairs = [(v, w.spans) for (v, _, _), w in zip(vectors, text.windows, strict=False)]
        windows: tuple[TokenVectors, ...] | tuple[ExactVectors, ...]
        if rounded:
            windows = tuple(TokenVectors.quantized(v, spans) for v, spans in pairs)
        else:
            windows = tuple(ExactVectors(v, spans) for v, spans in pairs)
        pooled = np.mean([p for _, p, _ in vectors], axis=0) if vectors else np.zeros(0, np.float32)
        length = float(np.linalg.norm(pooled)) or 1.0
        yield DocumentVectors(windows, pooled / length, text.tokens, text.cut, flags)


def _finite(outputs: WindowOutputs) -> bool:
    return all(bool(np.isfinite(o).all()) for o in outputs)


def _parts(work: Distinct) -> Iterator[tuple[list[int], Distinct]]:
    """The rows of a slice of documents, and the same as work of its own; each document is in one part."""
    order = sorted(range(len(work.rows)), key=lambda row: work.rows[row][1])
    at = 0
    for part in slices([len(d) for d in work.documents], MANY_CHARACTERS):
        first, rows = part.start, []
        while at < len(order) and work.rows[order[at]][1] < part.stop:
            rows.append(order[at])
            at += 1
        pairs = [(q, d - first) for q, d in (work.rows[row] for row in rows)]
        documents, sources = work.documents[first : part.stop], work.sources[first : part.stop]
        yield rows, Distinct(work.queries, documents, sources, pairs, [])
