"""Resift puts what a first search found in the right order, and says what that order is worth."""

from resift.api import Index, search
from resift.errors import InputError, ModelError, ResiftError, ScoreError
from resift.loading import load
from resift.reranker import Reranker
from resift.score.cache import PairCache
from resift.types import Candidate, Document, Query, Ranking, Score, ScoreKind, Scores, Signal, Span, Trace

__version__ = "0.1.0"

__all__ = [
    "Candidate",
    "Document",
    "Index",
    "InputError",
    "ModelError",
    "PairCache",
    "Query",
    "Ranking",
    "Reranker",
    "ResiftError",
    "Score",
    "ScoreError",
    "ScoreKind",
    "Scores",
    "Signal",
    "Span",
    "Trace",
    "load",
    "search",
]
