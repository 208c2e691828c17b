"""What a first stage's ranking tells about its query before any model is asked: gaps, agreement, form of the query."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from resift.text.analysis import Analyzer
from resift.types import Candidate, Ranking, ScoreKind

_PLACES = 10
_QUESTION = re.compile(r"^(?:who|what|when|where|which|why|how|whose|is|are|do|does|did|can)\b|[?？]\s*$", re.I)
_QUOTED = re.compile(r"[\"“”«»「」`]")
_DIGIT = re.compile(r"\d")
# snake_case, camelCase, dotted names, paths, and letters beside digits, as in part numbers
_IDENTIFIER = re.compile(r"\w_\w|[a-z][A-Z]|\w[./:\\]\w|[^\W\d]-?\d|\d-?[^\W\d_]")

_List = Sequence[tuple[str, float]]  # documents of a retriever and its scores, best first


def query_signals(ranking: Ranking) -> dict[str, float]:
    """Signals by name, of a ranking that no model has seen.

    `lexical_gap_2`, `lexical_gap_10`: by how much BM25's second and tenth score are below its first, as a share of the
    first. `dense_gap_2`, `dense_gap_10`: the same of cosines, as a difference. `overlap_10`, `tau`: how many of their
    first ten the two lists share, and Kendall's tau of the documents that both have. `words`: log(1 + words of the
    query). `question`, `quoted`, `digits`, `identifier`: 1 where the query is or has one. `coverage`: the share of its
    words that the first document has. What needs a retriever that was not asked is left out.
    """
    text = ranking.query.text
    analyzer = _analyzer()
    words = set(analyzer.words(text))
    first = f"{ranking[0].document.title} {ranking[0].document.text}" if len(ranking) else ""
    values = {
        "words": math.log1p(len(words)),
        "question": float(bool(_QUESTION.search(text))),
        "quoted": float(bool(_QUOTED.search(text))),
        "digits": float(bool(_DIGIT.search(text))),
        "identifier": float(bool(_IDENTIFIER.search(text))),
        "coverage": len(words & set(analyzer.words(first))) / max(1, len(words)),
    }
    lexical, dense = (_list(ranking.candidates, kind) for kind in (ScoreKind.BM25, ScoreKind.COSINE))
    if lexical:
        values |= {f"lexical_gap_{k}": _gap(lexical, k) / max(lexical[0][1], 1e-9) for k in (2, _PLACES)}
    if dense:
        values |= {f"dense_gap_{k}": _gap(dense, k) for k in (2, _PLACES)}
    return values | (_agreement(lexical, dense) if lexical and dense else {})


@lru_cache(maxsize=1)
def _analyzer() -> Analyzer:
    return Analyzer()


def _list(candidates: Sequence[Candidate], kind: ScoreKind) -> _List:
    """What the retriever with this kind of score said."""
    ranked = [
        (signal.rank, candidate.document.id, signal.score.value)
        for candidate in candidates
        for signal in candidate.signals
        if signal.score is not None and signal.score.kind is kind and not signal.score.stage
    ]
    return [(document, value) for _, document, value in sorted(ranked)]


def _gap(retrieved: _List, k: int) -> float:
    return retrieved[0][1] - retrieved[min(k, len(retrieved)) - 1][1]


def _agreement(lexical: _List, dense: _List) -> dict[str, float]:
    from resift.measures import kendall_tau, overlap  # NumPy, which `import resift` does not load

    scores = dict(dense)
    both = [(value, scores[document]) for document, value in lexical if document in scores]
    first, second = zip(*both, strict=True) if both else ((), ())
    shared = overlap([document for document, _ in lexical], [document for document, _ in dense], _PLACES)
    return {"overlap_10": shared, "tau": kendall_tau(first, second)}


def retrievers_of(ranking: Ranking) -> tuple[str, ...]:
    """The sources of a first stage's scores, in order; those of fusions are left out."""
    kinds = (ScoreKind.BM25, ScoreKind.COSINE)
    sources = {
        s.source
        for c in ranking
        for s in c.signals
        if s.score is not None and s.score.kind in kinds and not s.score.stage
    }
    return tuple(sorted(sources))


def weighted(signals: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """The sum of weight x signal."""
    return math.fsum(weight * signals[name] for name, weight in weights.items())
