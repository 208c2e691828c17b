"""Cross-encoders: query and document in one input, one logit out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from resift.engine.batching import Engine, Sequences, pack
from resift.engine.once import OfOneProcess
from resift.errors import BrokenModel, InputError
from resift.models.contract import Contract
from resift.models.folder import ModelFolder
from resift.models.inputs import EncoderInput
from resift.models.tokenizer import Encoded, Tokens
from resift.score.language_fit import OfLanguages
from resift.score.options import LoadOptions, LongDocuments
from resift.score.pairs import NO_FLAGS, NON_FINITE, RESCORED, Distinct, distinct, overlapping, slices, spread
from resift.score.parts import open_parts
from resift.text.segment import joined_places
from resift.text.windows import strides, windows
from resift.types import Flag, Judgement, Pair, Scores, Span


@dataclass(slots=True)
class _PairInputs:
    """The inputs of some rows: ids, segment ids and characters of each input; inputs and flags of each row."""

    ids: list[list[int]] = field(default_factory=list)
    segments: list[list[int]] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    parts_of: list[range] = field(default_factory=list)
    flags: list[frozenset[Flag]] = field(default_factory=list)


class CrossEncoderScorer(OfLanguages, OfOneProcess):
    """Scores pairs with a sequence classifier.

    A pair over the window is scored in overlapping windows of the document; the best logit counts, and its window is
    the span (flag "windowed"). They are of equal length, or with long_documents="strides" laid as BCEmbedding does.
    The query is cut to three quarters of the window at most (flag "query_truncated"). With long_documents="truncate"
    only what fits is read, by the contract's rule (flag "truncated"). Of a text over a million characters the rest is
    never read (flag "truncated"). Pairs are scored in slices, so that memory is bounded.

    A pair whose logit is not finite is scored again by `exact`, the same model at f32. If that gives no number either,
    the pair stays unscored (flag "non_finite"), and the other pairs keep their scores.
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
        self._input = contract.input_as(EncoderInput)
        self.info = contract.info(fingerprint, f"{engine.name} {engine.precision}", long_documents)
        self.tokens, self._engine, self._exact, self._pad = tokens, engine, exact, pad

    def score(self, pairs: Sequence[Pair]) -> Scores:
        """Logits of the pairs; a pair with an empty document has none.

        Raises:
            InputError: a query without any token.
            BrokenModel: the head has another number of labels than the config says.

        """
        work = distinct(pairs)
        queries = self._tokenised(work.queries, self.tokens.encode)
        sizes = [len(work.documents[d]) for _, d in work.rows]
        parts = [work.rows[part.start : part.stop] for part in slices(sizes, self._engine.characters)]
        slices_ = overlapping(parts, lambda rows: self._inputs(work, queries, rows), self._logits, _judgements)
        judgements = [judgement for part in slices_ for judgement in part]
        return spread(pairs, work, judgements, self.info, sum(j.tokens for j in judgements))

    def _inputs(self, work: Distinct, queries: Sequence[Encoded], rows: Sequence[tuple[int, int]]) -> _PairInputs:
        """The inputs of some rows."""
        places = sorted({d for _, d in rows})
        documents = dict(zip(places, self._encoded([work.documents[d] for d in places], queries), strict=True))
        inputs = _PairInputs()
        for q, d in rows:
            parts, flags = self._parts(queries[q], documents[d])
            inputs.flags.append(flags)
            inputs.parts_of.append(range(len(inputs.ids), len(inputs.ids) + len(parts)))
            for query_ids, start, end in parts:
                ids, segments = self.tokens.template.pair(query_ids, documents[d].ids[start:end])
                inputs.ids.append(ids)
                inputs.segments.append(segments)
                inputs.spans.append(_characters(documents[d], start, end))
        return inputs

    def _encoded(self, documents: Sequence[str], queries: Sequence[Encoded]) -> list[Encoded]:
        if self.long_documents != "truncate":
            return self._tokenised(documents, self.tokens.encode)
        enough = max([self.contract.max_tokens, *(len(q.ids) for q in queries)])  # which is longer decides what is cut
        return self._tokenised(documents, lambda texts: self.tokens.encode_start(texts, enough))

    def _tokenised(self, texts: Sequence[str], encode: Callable[[Sequence[str]], list[Encoded]]) -> list[Encoded]:
        """Tokens of the texts, their words joined first where the model was trained so (PhoBERT)."""
        language = self._input.segmenter
        if not language:
            return encode(texts)
        joined = [joined_places(text, language) for text in texts]
        return [
            Encoded(e.ids, [(places[a], places[b - 1] + 1) if b > a else (0, 0) for a, b in e.offsets])
            for e, (_, places) in zip(encode([text for text, _ in joined]), joined, strict=True)
        ]

    def _logits(self, inputs: _PairInputs) -> tuple[npt.NDArray[np.float64], set[int]]:
        """One logit per input, and which inputs were computed again at f32 because theirs was not finite."""
        ids, segments = inputs.ids, inputs.segments
        logits = self._run(self._engine, ids, segments)
        broken = np.flatnonzero(~np.isfinite(logits)).tolist()
        if not broken or self._exact is None:
            return logits, set()
        logits[broken] = self._run(self._exact, [ids[i] for i in broken], [segments[i] for i in broken])
        return logits, set(broken)

    def _run(self, engine: Engine, ids: Sequence[list[int]], segments: Sequence[list[int]]) -> npt.NDArray[np.float64]:
        logits = np.empty(len(ids))
        for batch, (output,) in engine.run(pack(Sequences(ids, segments), self._pad)):
            if output.shape[1] != self._input.labels:
                raise BrokenModel(
                    f"{self.info.name} gives {output.shape[1]} outputs, and its config speaks of "
                    f"{self._input.labels}; correct id2label"
                )
            wide = output.astype(np.float64)
            with np.errstate(invalid="ignore"):  # infinity minus infinity: the caller scores it again
                logits[batch.rows] = wide[:, 0] if self._input.labels == 1 else wide[:, 1] - wide[:, 0]
        return logits

    def start_of(self, text: str, tokens: int) -> str:
        """The beginning of a text, `tokens` tokens at most."""
        return self.tokens.start_of(text, tokens)

    def with_engine(self, wrap: Callable[[Engine], Engine]) -> CrossEncoderScorer:
        """The same model over the engine that `wrap` gives for the present one."""
        other = copy(self)
        other._engine = wrap(self._engine)
        return other

    def _parts(self, query: Encoded, document: Encoded) -> tuple[list[tuple[list[int], int, int]], frozenset[Flag]]:
        """(query ids, start, end) of each input that the pair needs, and the flags of the pair."""
        if not query.ids:
            raise InputError("the query has no token that the model can read; ask with at least one word")
        if self.long_documents == "truncate":
            first, second = self._lengths(len(query.ids), len(document.ids))
            cut = {Flag.QUERY_TRUNCATED: first < len(query.ids), Flag.TRUNCATED: second < len(document.ids)}
            return [(query.ids[:first], 0, second)], frozenset(f for f, true in cut.items() if true) or NO_FLAGS
        room = self.contract.max_tokens - self.tokens.template.size
        if len(query.ids) + len(document.ids) <= room:
            return [(query.ids, 0, len(document.ids))], NO_FLAGS
        query_ids = query.ids[: self.contract.max_tokens * 3 // 4]
        flags = {Flag.QUERY_TRUNCATED} if len(query_ids) < len(query.ids) else set()
        size = min(room - len(query_ids), self.contract.window_tokens)
        layout = strides if self.long_documents == "strides" else windows
        ranges = layout(len(document.ids), size, min(80, size // 4))
        flags |= {Flag.WINDOWED} if len(ranges) > 1 else set()
        return [(query_ids, start, end) for start, end in ranges], frozenset(flags)

    def _lengths(self, first: int, second: int) -> tuple[int, int]:
        """How many tokens of query and document are read when neither is windowed."""
        limit = self.contract.max_tokens
        room = limit - self.tokens.template.size
        if self._input.truncation == "longest_first":
            return longest_first(first, second, room) if first + second > room else (first, second)
        first = min(first, limit * 3 // 4)  # also where the pair would fit, as FlagEmbedding does
        return first, min(second, room - first)


def open_scorer(folder: ModelFolder, contract: Contract, options: LoadOptions) -> CrossEncoderScorer:
    """The cross-encoder of a folder; for errors see `score.load.load_scorer`."""
    if options.truncation is not None:
        record = replace(contract.input_as(EncoderInput), truncation=options.truncation)
        contract = replace(contract, input=record)
    parts = open_parts(folder, contract, options)
    return CrossEncoderScorer(
        contract, parts.tokens, parts.engine, parts.pad, options.long_documents, parts.exact, folder.fingerprint
    )


def _judgements(inputs: _PairInputs, computed: tuple[npt.NDArray[np.float64], set[int]]) -> list[Judgement]:
    """The judgement of each row."""
    logits, recomputed = computed
    judgements = []
    for parts, flags in zip(inputs.parts_of, inputs.flags, strict=True):
        tokens = sum(len(inputs.ids[part]) for part in parts)
        rescored = flags | RESCORED if recomputed & set(parts) else flags
        judgements.append(replace(_best(logits, inputs.spans, parts, rescored), tokens=tokens))
    return judgements


def _best(
    logits: npt.NDArray[np.float64], spans: Sequence[tuple[int, int]], parts: range, flags: frozenset[Flag]
) -> Judgement:
    """The best of a pair's inputs; ties go to the first, and none counts when one of them has no number."""
    if not np.isfinite(logits[parts.start : parts.stop]).all():
        return Judgement(None, flags=flags | NON_FINITE)
    best = max(parts, key=lambda part: logits[part])
    return Judgement(float(logits[best]), Span(*spans[best]) if Flag.WINDOWED in flags else None, flags)


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """Lengths left of a pair when tokens are taken from the longer text until both fit (rule of `tokenizers`)."""
    short, long = sorted((first, second))
    long = max(short, room - short) if short <= room else short
    if short + long > room:
        short, long = room // 2, room - room // 2
    return (short, long) if first <= second else (long, short)


def _characters(document: Encoded, start: int, end: int) -> tuple[int, int]:
    """The characters that the tokens start..end cover."""
    return (document.offsets[start][0], document.offsets[end - 1][1]) if end > start else (0, 0)
