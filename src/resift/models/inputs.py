"""How each family is fed: the part of a contract that only one family has, as contract.json states it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, Protocol, Self, TypeVar, get_args

from resift.engine.graphs.heads import POOLINGS
from resift.text.segment import LIBRARIES

Truncation = Literal["only_second", "longest_first"]
T = TypeVar("T")

# The first edition of contract.json had one flat list of entries for all families, and each file states all of them.
_FIRST_EDITION = frozenset({"truncation", "labels", "skip", "tokens", "vectors"})


class Input(Protocol):
    """The input record of one family.

    Attributes:
        keys: the entries of contract.json, besides those that all families have, which such a file may hold.

    """

    keys: ClassVar[frozenset[str]]

    @classmethod
    def parse(cls, entries: Mapping[str, Any]) -> Self:
        """Read the entries of contract.json.

        Raises:
            ValueError: an unknown name or value.

        """

    def entries(self) -> dict[str, Any]:
        """Give what `parse` reads."""


CLASSIFIER = "classifier"
READ_BY_HEADS = ("mean+max", "mean", "cls")  # what inner heads may read; of two, one vector behind the other


@dataclass(frozen=True, slots=True)
class Head:
    """A layer at which a cross-encoder can stop and give a score.

    Attributes:
        layer: how many layers are computed before it.
        reads: how token vectors become one, of which two linear layers make the score ("mean+max", "mean",
            "cls"); "classifier": it is the model's own head, behind its last layer.

    """

    layer: int = 0
    reads: str = CLASSIFIER


@dataclass(frozen=True, slots=True)
class EncoderInput:
    """How a cross-encoder reads a pair.

    Attributes:
        truncation: what is cut when a pair is too long and windows are off. "only_second": the query to three quarters
            of max_tokens, then the document (FlagEmbedding); "longest_first": the longer of the two, token by token
            (sentence-transformers).
        labels: outputs of the head. Of one, it is the logit; of two, the second minus the first, whose logistic
            function is the softmax's share of the second.
        segmenter: the language whose words are joined by "_" beforehand (PhoBERT: "vi"); none when empty.
        heads: where the model has heads at inner layers, all of its heads, the lowest first; the last one is used.

    """

    keys: ClassVar[frozenset[str]] = _FIRST_EDITION | {"heads"}
    truncation: Truncation = "only_second"
    labels: int = 1
    segmenter: str = ""
    heads: tuple[Head, ...] = ()

    @classmethod
    def parse(cls, entries: Mapping[str, Any]) -> Self:
        """See `Input`; of `vectors` a cross-encoder has the segmenter alone."""
        truncation = entries.get("truncation", "only_second")
        if truncation not in get_args(Truncation):
            raise ValueError(f"truncation is one of {', '.join(get_args(Truncation))}; not {truncation!r}")
        check_types(entries, {"labels": int, "heads": list})
        if not all(isinstance(each, dict) for each in entries.get("heads", ())):
            raise ValueError("heads has an entry for each head, with its layer and what it reads")
        heads = tuple(_record(Head, each) for each in entries.get("heads", ()))
        layers = [head.layer for head in heads]
        if layers != sorted({layer for layer in layers if layer > 0}):
            raise ValueError(f"the layers of heads are different, the lowest first; not {layers}")
        if unknown := {head.reads for head in heads[:-1]} - set(READ_BY_HEADS):
            raise ValueError(
                f"an inner head reads {', '.join(READ_BY_HEADS)}; not {', '.join(map(repr, sorted(unknown)))}"
            )
        if heads and heads[-1].reads != CLASSIFIER:
            raise ValueError(f"the last head is the model's own and reads {CLASSIFIER!r}; not {heads[-1].reads!r}")
        return cls(truncation, entries.get("labels", 1), EmbedderInput.parse(entries).segmenter, heads)

    def entries(self) -> dict[str, Any]:
        """See `Input`."""
        vectors = asdict(EmbedderInput(segmenter=self.segmenter))
        heads = {"heads": [asdict(head) for head in self.heads]} if self.heads else {}
        return _first_edition(truncation=self.truncation, labels=self.labels, vectors=vectors) | heads


@dataclass(frozen=True, slots=True)
class LateInput:
    """How a late-interaction model lays out its two kinds of text, and which tokens it compares.

    An input is: first special token, marker, prefix and text, last special token. The defaults are those of
    resift-mini. Tokens are named as they stand in the vocabulary.

    Attributes:
        query_marker: the token behind the first special token of a query; none when empty.
        document_marker: the same for a document.
        query_prefix: text put before a query and tokenised with it; special tokens that it begins with stay special.
        document_prefix: the same for a document.
        query_tokens: the longest query, all tokens counted; the contract's max_tokens when 0.
        expand: shorter queries are filled up to this many tokens with `fill`, which are compared too; 0: they are not.
        fill: the token of the expansion, [MASK] mostly.
        attend: whether the encoder attends to the expansion.
        special: whether markers, prefixes and the tokenizer's special tokens are compared.
        skip: ids of tokens that take no part in MaxSim.
        skip_words: tokens that take no part either; those that are not in the vocabulary are left out.
        skip_in: in which texts tokens are skipped.
        reduce: a score is the "mean" or the "sum" of the query tokens' best cosines.
        pooled: whether the model gives one vector for a whole text too, so that it can be the first stage's embedder.
        pooled_share: the part (0..1) that the cosine of the pooled vectors has in a score; MaxSim has the rest.
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
    skip: tuple[int, ...] = ()
    skip_words: tuple[str, ...] = ()
    skip_in: tuple[Literal["query", "document"], ...] = ("query", "document")
    reduce: Literal["mean", "sum"] = "mean"
    pooled: bool = True
    pooled_share: float = 0.0
    rounded: bool = True

    keys: ClassVar[frozenset[str]] = _FIRST_EDITION

    @classmethod
    def parse(cls, entries: Mapping[str, Any]) -> Self:
        """See `Input`; `skip` stands beside the other entries, which are in `tokens`."""
        tokens = entries.get("tokens", {})
        if "skip" in tokens:
            raise ValueError("unknown entries ['skip'] in tokens: it stands beside them")
        record = _record(cls, {**tokens, "skip": entries.get("skip", ())})
        if record.reduce not in ("mean", "sum") or not set(record.skip_in) <= {"query", "document"}:
            raise ValueError(
                f"reduce is mean or sum, skip_in of query and document; not {record.reduce}, {record.skip_in}"
            )
        if not 0 <= record.pooled_share <= (record.pooled and record.reduce == "mean"):
            raise ValueError(f"pooled_share is 0 to 1 and takes pooled vectors and a mean; not {record.pooled_share}")
        return record

    def entries(self) -> dict[str, Any]:
        """See `Input`."""
        tokens = asdict(self)
        return _first_edition(skip=tokens.pop("skip"), tokens=tokens)


@dataclass(frozen=True, slots=True)
class EmbedderInput:
    """How an embedder makes one vector of a text; the vector's length is brought to 1 in the end.

    Attributes:
        pooling: how token vectors become one, see `engine.graphs.heads`; several are put one behind the other.
        query_prefix: text before a query; document_prefix: before a document.
        segmenter: the language whose words are joined by "_" beforehand (PhoBERT: "vi"); none when empty.

    """

    keys: ClassVar[frozenset[str]] = _FIRST_EDITION
    pooling: tuple[str, ...] = ()
    query_prefix: str = ""
    document_prefix: str = ""
    segmenter: str = ""

    @classmethod
    def parse(cls, entries: Mapping[str, Any]) -> Self:
        """See `Input`; the entries are in `vectors`."""
        record = _record(cls, entries.get("vectors", {}))
        if unknown := set(record.pooling) - set(POOLINGS):
            raise ValueError(f"pooling is of {', '.join(POOLINGS)}; not {', '.join(sorted(unknown))}")
        if record.segmenter and record.segmenter not in LIBRARIES:
            raise ValueError(f"segmenter is one of {', '.join(LIBRARIES)}; not {record.segmenter!r}")
        return record

    def entries(self) -> dict[str, Any]:
        """See `Input`."""
        return _first_edition(vectors=asdict(self))


@dataclass(frozen=True, slots=True)
class StaticInput:
    """A table of token vectors needs to be told nothing."""

    keys: ClassVar[frozenset[str]] = _FIRST_EDITION

    @classmethod
    def parse(cls, entries: Mapping[str, Any]) -> Self:
        """See `Input`."""
        return cls()

    def entries(self) -> dict[str, Any]:
        """See `Input`."""
        return _first_edition()


@dataclass(frozen=True, slots=True)
class LearnedInput:
    """A ranking function reads features, which features.toml names; `library` is "lightgbm", "xgboost" or "linear"."""

    library: str = "lightgbm"
    keys: ClassVar[frozenset[str]] = frozenset({"library"})

    @classmethod
    def parse(cls, entries: Mapping[str, Any]) -> Self:
        """See `Input`."""
        return _record(cls, entries)

    def entries(self) -> dict[str, Any]:
        """See `Input`."""
        return {"library": self.library}


def _first_edition(**entries: object) -> dict[str, Any]:
    """All entries of the first edition, those of other families at their defaults."""
    tokens = {name: value for name, value in asdict(LateInput()).items() if name != "skip"}
    vectors = asdict(EmbedderInput())
    return {"truncation": "only_second", "labels": 1, "skip": (), "tokens": tokens, "vectors": vectors} | entries


def check_types(entries: Mapping[str, Any], types: Mapping[str, type]) -> None:
    """Refuse a value of another type than its entry has; a whole number is a number too, true and false are none.

    Raises:
        ValueError: there is one; the message names it.

    """
    for name, value in entries.items():
        expected = types.get(name, type(value))
        fits = isinstance(value, (int, float) if expected is float else expected)
        if not fits or (isinstance(value, bool) and expected is not bool):
            raise ValueError(f"{name} is {value!r}, which must be of type {expected.__name__}")


def _record(record: type[T], entries: Mapping[str, Any]) -> T:
    """A record of JSON's values.

    Raises:
        ValueError: an unknown name, or a value of another type than the entry's default.

    """
    defaults = {f.name: f.default for f in fields(record)}  # type: ignore[arg-type]
    if unknown := set(entries) - defaults.keys():
        raise ValueError(f"unknown entries {sorted(unknown)}")
    values = _tuples(entries)
    check_types(values, {name: type(default) for name, default in defaults.items()})
    return record(**values)


def _tuples(entries: Mapping[str, Any]) -> dict[str, Any]:
    """JSON's lists as tuples, which records hold."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in entries.items()}
