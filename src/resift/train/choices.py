"""What a caller of training chooses by a word; nothing heavy is imported here, since commands list it in their help."""

from __future__ import annotations

from enum import StrEnum

BM25, DENSE = "bm25", "dense"  # the retrievers of mining that have a name of their own


class Sampling(StrEnum):
    """Which of the candidates that are left become negatives."""

    TOP = "top"
    RANDOM = "random"


class Format(StrEnum):
    """What a line of mined examples holds; documents are texts, a title in front of its text."""

    TRIPLET = "triplet"  # query, positive, negative
    N_TUPLE = "n-tuple"  # query, positive, negative_1 …
    LABELED_PAIR = "labeled-pair"  # query, document, label
    LABELED_LIST = "labeled-list"  # query, documents, labels
    FLAG_EMBEDDING = "flag-embedding"  # query, pos, neg, pos_scores, neg_scores, prompt
