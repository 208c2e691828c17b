"""Document frequencies of a collection, learned once and kept beside the model that was trained with them."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from resift import atomic
from resift.errors import InputError
from resift.features.analysed_text import TextReader
from resift.text.analysis import Analyzer, sample
from resift.types import Document

STATISTICS_FILE = "statistics.json"  # its usual name in a model's folder
_SCHEMA = 1
_MOST_TERMS = 200_000


@dataclass(frozen=True)
class Statistics:
    """How many documents of a collection have a term.

    Attributes:
        documents: how many documents were counted; 0 where nothing is known.
        signature: of the analyzer that makes the terms.
        frequencies: term -> documents that have it, from 2 on. Every other term, seen or not, counts as one that a
            single document has, and so has the largest IDF. At most the 200,000 most frequent terms are kept.

    """

    documents: int
    signature: str
    frequencies: Mapping[str, int] = field(repr=False)

    @classmethod
    def of(cls, documents: Sequence[Document]) -> Statistics:
        """Count the terms of titles and texts; the analyzer is the one that fits the languages of a sample of them."""
        analyzer = Analyzer.fitting(_text(documents[i]) for i in sample(len(documents)))
        counts: Counter[str] = Counter()
        for document in documents:
            counts.update(set(analyzer.words(_text(document))))
        frequent = {term: count for term, count in counts.most_common(_MOST_TERMS) if count > 1}
        return cls(len(documents), analyzer.signature, frequent)

    @classmethod
    def empty(cls) -> Statistics:
        """What is known without a collection: nothing; features that need document frequencies are then missing."""
        return cls(0, Analyzer("guess:english", "bigrams+characters").signature, {})

    @classmethod
    def read(cls, path: str | Path) -> Statistics:
        """Read what `write` wrote.

        Raises:
            InputError: an unreadable or damaged file, or terms that the installed libraries can't make.

        """
        try:
            value = json.loads(Path(path).read_text("utf-8"))
            statistics = cls(int(value["documents"]), value["analyzer"], {t: int(n) for t, n in value["terms"].items()})
            readable = value["schema"] == _SCHEMA
        except OSError as error:
            raise InputError(f"can't read {path}: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} holds no statistics of a collection ({error}); train the model again") from error
        if not readable:
            raise InputError(f"{path} was written by another version of Resift; train the model again")
        Analyzer.from_signature(statistics.signature)
        return statistics

    def write(self, path: str | Path) -> None:
        """Write one JSON file, in one step."""
        value = {
            "schema": _SCHEMA,
            "documents": self.documents,
            "analyzer": self.signature,
            "terms": dict(sorted(self.frequencies.items())),
        }
        atomic.write(path, [json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"), b"\n"])

    def idf(self, terms: Iterable[str]) -> list[float]:
        """The weight of each term: ln(1 + (N - n + 0.5) / (n + 0.5)), as Lucene's BM25 has it; NaN without statistics.

        Source: Robertson & Zaragoza, The Probabilistic Relevance Framework (2009); the 1 keeps weights positive.
        """
        if not self.documents:
            return [math.nan for _ in terms]
        counts = (min(self.frequencies.get(term, 1), self.documents) for term in terms)
        return [math.log(1 + (self.documents - n + 0.5) / (n + 0.5)) for n in counts]

    @cached_property
    def reader(self) -> TextReader:
        """What analyses texts, with the analyzer of the collection, and remembers the latest documents."""
        return TextReader(Analyzer.from_signature(self.signature))


def _text(document: Document) -> str:
    return f"{document.title}\n{document.text}" if document.title else document.text
