"""The words that records use: kinds of score, flags, codes of notes, levels of relevance; `types` has them too."""

from __future__ import annotations

from enum import StrEnum


class ScoreKind(StrEnum):
    """What a number means; scores of different kinds are never compared."""

    LOGIT = "logit"  # a classifier's raw output, unbounded
    PROBABILITY = "probability"  # 0..1, from a logit by the logistic function, or from any score by a calibration
    RELEVANCE = "relevance"  # 0..1, of a server that does not say what it measures; good for an order alone
    COSINE = "cosine"  # -1..1
    MAXSIM = "maxsim"  # late interaction: a mean of cosines, -1..1
    MAXSIM_SUM = "maxsim_sum"  # late interaction: a sum of cosines, one per query token
    BM25 = "bm25"  # 0 and more, unbounded; depends on the collection
    FUSED = "fused"  # a combination of ranks and standardised scores of one query
    LEARNED = "learned"  # of ranking trees; it orders the candidates of one query, and means nothing beside another's


class Flag(StrEnum):
    """What there is to say about one candidate's judgement; a value of None always has a flag that explains it."""

    TRUNCATED = "truncated"  # the end of the document was not read
    WINDOWED = "windowed"  # the document was read in windows, and the best one counts
    QUERY_TRUNCATED = "query_truncated"  # the end of the query was not read
    REPLACED_CHARACTERS = "replaced_characters"  # what is no text (surrogates, control characters) was replaced
    RESCORED = "rescored"  # the fast precision gave no number, f32 did
    EMPTY = "empty"  # there is no text to score
    NON_FINITE = "non_finite"  # the model gave NaN or infinity
    FAILED = "failed"  # the model raised an error
    DEADLINE = "deadline"  # the time was up before the candidate's turn
    MEMORY = "memory"  # there was no room for it
    OVERLOAD = "overload"  # the server had no room for it in its queue


UNREACHED = frozenset({Flag.DEADLINE, Flag.MEMORY, Flag.OVERLOAD})  # nobody tried to judge such a candidate


class NoteCode(StrEnum):
    """Why a ranking was not reranked, or only partly: what programs read of a Note."""

    DEADLINE = "deadline"
    MEMORY = "memory"
    OVERLOAD = "overload"
    FAILED = "failed"  # a model failed on some candidates, or altogether
    CONSTANT = "constant"  # every score was the same
    NOTHING = "nothing"  # no candidate could be scored
    LANGUAGE = "language"  # the model was not made for these texts
    MODEL = "model"  # which of the default models was taken, and why
    REMOTE = "remote"  # what another server gave as its reason
    RELEVANCE = "relevance"  # a threshold of relevance left candidates out, or could not be applied
    WHEN = "when"  # a learned rule skipped reranking, or chose more candidates, or could not be applied
    BOOST = "boost"  # metadata that a boost needs are missing, can't be read, or lie in the future
    MISSING = "missing"  # a learned stage reads a signal or field that no candidate has
    DRIFT = "drift"  # most candidates have values that a learned stage did not see in training


class Level(StrEnum):
    """How relevant a candidate is, in words; a calibration says from which probability on."""

    HIGH = "high"
    SOME = "some"
    NONE = "none"
