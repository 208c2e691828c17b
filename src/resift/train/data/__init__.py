"""Reads training data as people have them: tables, JSON, databases, hub data sets, BEIR folders, runs, click logs."""

from resift.train.data.describe import Description, LossFit, describe
from resift.train.data.judged import read_measured
from resift.train.data.read import ReadOptions, examples_of, read_examples
from resift.train.data.split import QuerySplit, split_by_query

__all__ = [
    "Description",
    "LossFit",
    "QuerySplit",
    "ReadOptions",
    "describe",
    "examples_of",
    "read_examples",
    "read_measured",
    "split_by_query",
]
