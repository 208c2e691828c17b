"""Judgements for queries without any: what several pipelines return is pooled, shown blind, and graded by a person."""

from resift.judge.judge_folder import JudgeFolder
from resift.judge.pool import Pool, pooled
from resift.judge.read_queries import read_queries
from resift.judge.session import JudgingSession, Standing
from resift.judge.synthetic import synthetic_queries

__all__ = [
    "JudgeFolder",
    "JudgingSession",
    "Pool",
    "Standing",
    "pooled",
    "read_queries",
    "synthetic_queries",
]
