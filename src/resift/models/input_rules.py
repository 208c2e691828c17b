"""The parts of a contract that only some families have: token layouts of late interaction, pooling of embedders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

from resift.engine.graphs.heads import POOLINGS
from resift.text.segment import LIBRARIES


@dataclass(frozen=True, slots=True)
class TokenRules:
    """How a late-interaction model lays out its two kinds of text, and which tokens it compares.

    An input is: first special token, marker, prefix and text, last special token. The defaults are those of
    resift-mini. Tokens are named as they stand in the vocabulary.

    Attributes:
        query_marker: the token behind the first special token of a query; none when empty.
        document_marker: the same for a document.
        query_prefix: text put before a query's own and tokenised with it; special tokens it begins with are that.
        document_prefix: the same for a document.
        query_tokens: the longest query, all tokens counted; the contract's max_tokens when 0.
        expand: shorter queries are filled up to so many tokens with `fill`, which are compared too; not when 0.
        fill: the token of the expansion, [MASK] mostly.
        attend: whether the encoder attends to the expansion.
        special: whether markers, prefixes and the tokenizer's special tokens are compared.
        skip_words: tokens that take no part, besides the contract's `skip`; those not in the vocabulary are left out.
        skip_in: in which texts tokens are skipped.
        reduce: a score is the "mean" or the "sum" of the query tokens' best cosines.
        pooled: whether the model gives one vector for a whole text too, so that it can be the first stage's embedder.
        rounded: whether a document's vectors are rounded to int8 before they are compared, as an index stores them;
            scores from a stored index and scores made on the fly are then the same.

    """

    query_marker: str = ""
    document_marker: str = ""
    query_prefix: str = ""
    document_prefix: str = ""
    query_tokens: int = 0
    expand: int = 0
    fill: str = ""
    attend: bool = False
    special: bool = False
    skip_words: tuple[str, ...] = ()
    skip_in: tuple[Literal["query", "document"], ...] = ("query", "document")
    reduce: Literal["mean", "sum"] = "mean"
    pooled: bool = True
    rounded: bool = True

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Self:
        """From JSON.

        Raises:
            ValueError: an unknown entry or value.

        """
        rules = cls(**_known(cls, value))
        if rules.reduce not in ("mean", "sum") or not set(rules.skip_in) <= {"query", "document"}:
            raise ValueError(
                f"reduce is mean or sum, skip_in of query and document; not {rules.reduce}, {rules.skip_in}"
            )
        return rules


@dataclass(frozen=True, slots=True)
class VectorRules:
    """How an embedder makes one vector of a text; the vector's length is brought to 1 in the end.

    Attributes:
        pooling: how token vectors become one, see `engine.heads`; several are put one behind the other.
        query_prefix: text before a query; document_prefix: before a document.
        segmenter: the language whose words are joined by "_" beforehand (PhoBERT: "vi"); none when empty.

    """

    pooling: tuple[str, ...] = ()
    query_prefix: str = ""
    document_prefix: str = ""
    segmenter: str = ""

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Self:
        """From JSON.

        Raises:
            ValueError: an unknown entry or value.

        """
        rules = cls(**_known(cls, value))
        if unknown := set(rules.pooling) - set(POOLINGS):
            raise ValueError(f"pooling is of {', '.join(POOLINGS)}; not {', '.join(sorted(unknown))}")
        if rules.segmenter and rules.segmenter not in LIBRARIES:
            raise ValueError(f"segmenter is one of {', '.join(LIBRARIES)}; not {rules.segmenter!r}")
        return rules


def _known(cls: type[TokenRules] | type[VectorRules], value: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := set(value) - {f.name for f in fields(cls)}:
        raise ValueError(f"unknown entries {sorted(unknown)}")
    return {name: tuple(v) if isinstance(v, list) else v for name, v in value.items()}
