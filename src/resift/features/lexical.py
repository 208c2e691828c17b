"""Features of the words, codes and characters that query and document share, and of their lengths."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from resift.features.analysed_text import folded
from resift.features.character_grams import shared_grams
from resift.features.feature import Definition, Parameters
from resift.features.matrix import Column
from resift.features.query_view import QueryView
from resift.features.term_matches import longest_run, smallest_window
from resift.text.language import script

_ORDERED = 64  # terms of a query whose order is looked at
_ENDS = " \t.,;:!?¿¡…。，！？、；：\"'“”‘’«»「」『』()[]"
_UNSPACED = frozenset(("han", "th", "lo", "my", "km"))  # scripts that put no spaces between words
# A run of Latin letters, digits and marks that is more than a word: digits beside letters, snake_case, camelCase,
# inner dots, slashes, colons; or three digits and more.
_RUN = re.compile(r"[A-Za-z0-9_](?:[\w./:\\#+-]*[A-Za-z0-9_+#])?", re.ASCII)
_CODE = re.compile(r"[A-Za-z].*\d|\d.*[A-Za-z]|_|[a-z][A-Z]|\w[./:\\]\w|\w[#+]|^\d{3,}", re.ASCII)


def _coverage(view: QueryView, _: Parameters) -> Column:
    return _share(view, view.matches.present)


def _idf_coverage(view: QueryView, _: Parameters) -> Column:
    weights = view.idf
    return _over(view, view.matches.present @ weights, float(weights.sum()))


def _title_coverage(view: QueryView, _: Parameters) -> Column:
    return _share(view, view.matches.in_title) * view.titled


def _share(view: QueryView, present: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> Column:
    return _over(view, present.sum(axis=1), len(view.matches.terms))


def _over(view: QueryView, counts: npt.NDArray[Any], whole: float) -> Column:
    """Counts as a share of a whole; missing where there is nothing to count."""
    return np.asarray(counts / whole, np.float64) if whole else view.constant(math.nan)


def _proximity(view: QueryView, _: Parameters) -> Column:
    values = view.constant(math.nan)
    several = view.matches.present.sum(axis=1)
    for i, (positions, terms) in enumerate(view.matches.occurrences()):
        if several[i] > 1:
            values[i] = several[i] / smallest_window(positions.tolist(), terms.tolist())
    return values


def _order(view: QueryView, _: Parameters) -> Column:
    first = view.matches.first[:, :_ORDERED]
    pairs, in_order = np.zeros(len(view)), np.zeros(len(view))
    for i in range(first.shape[1] - 1):
        both = np.isfinite(first[:, i : i + 1]) & np.isfinite(first[:, i + 1 :])
        pairs += both.sum(axis=1)
        in_order += (both & (first[:, i + 1 :] > first[:, i : i + 1])).sum(axis=1)
    return np.divide(in_order, pairs, out=view.constant(math.nan), where=pairs > 0)


def _adjacent(view: QueryView, _: Parameters) -> Column:
    sequence = view.matches.sequence
    pairs = {sequence[i : i + 2] for i in range(len(sequence) - 1)}
    return _over(view, np.array([sum(p in text for p in pairs) for text in view.matches.coded], float), len(pairs))


def _run(view: QueryView, _: Parameters) -> Column:
    sequence = view.matches.sequence
    return _over(view, np.array([longest_run(sequence, t) for t in view.matches.coded], float), len(sequence))


def _exact(view: QueryView, _: Parameters) -> Column:
    phrase = folded(view.query.text).strip(_ENDS)
    if not phrase:
        return view.constant(math.nan)
    before, after = (
        "" if script(phrase[end]) in _UNSPACED else edge for end, edge in ((0, r"(?<!\w)"), (-1, r"(?!\w)"))
    )
    search = re.compile(before + re.escape(phrase) + after).search
    return np.array([float(phrase in d.folded and search(d.folded) is not None) for d in view.documents])


def _title_exact(view: QueryView, _: Parameters) -> Column:
    phrase = folded(view.query.text).strip(_ENDS)
    return np.array([float(folded(d.title).strip(_ENDS) == phrase) for d in view.documents]) * view.titled


def _ngrams(view: QueryView, parameters: Parameters) -> Column:
    text, n = folded(view.query.text).strip(_ENDS), int(str(parameters["n"]))
    counts, whole = shared_grams(text, [document.folded for document in view.documents], n)
    return _over(view, counts, whole)


def _density(view: QueryView, _: Parameters) -> Column:
    lengths = _terms(view)
    return np.divide(view.matches.counts, lengths, out=view.constant(math.nan), where=lengths > 0)


def _first_match(view: QueryView, _: Parameters) -> Column:
    first = view.matches.first.min(axis=1, initial=math.inf)
    return np.where(np.isinf(first), math.nan, first)


def codes(text: str) -> tuple[str, ...]:
    """The identifiers of a text, each once, case-folded: part numbers, names of code, paths, versions, long numbers."""
    return tuple(dict.fromkeys(run.lower() for run in _RUN.findall(text) if _CODE.search(run)))


def _code_match(view: QueryView, _: Parameters) -> Column:
    wanted = codes(view.query.text)
    patterns = [(code, re.compile(rf"(?<![a-z0-9_]){re.escape(code)}(?![a-z0-9_])")) for code in wanted]
    counts = [
        sum(code in document.folded and pattern.search(document.folded) is not None for code, pattern in patterns)
        for document in view.documents
    ]
    return _over(view, np.array(counts, float), len(wanted))


def _query_codes(view: QueryView, _: Parameters) -> Column:
    return view.constant(len(codes(view.query.text)))


def _query_terms(view: QueryView, _: Parameters) -> Column:
    return view.constant(len(view.query_terms))


def _query_characters(view: QueryView, _: Parameters) -> Column:
    return view.constant(len(view.query.text))


def _terms(view: QueryView, _: Parameters | None = None) -> Column:
    return np.array([d.terms for d in view.documents], np.float64)


def _characters(view: QueryView, _: Parameters) -> Column:
    return np.array([len(d.text) for d in view.documents], np.float64)


def _title_terms(view: QueryView, _: Parameters) -> Column:
    return np.array([d.title_terms for d in view.documents], np.float64) * view.titled


def _language_match(view: QueryView, _: Parameters) -> Column:
    """Chinese against Japanese is unsure, because a short text of Han alone may be either."""
    query = view.query.language
    if not query:  # so that no document's language is guessed
        return view.constant(math.nan)
    return np.array([_same_language(query, d.language) for d in view.documents], np.float64)


def _same_language(query: str, document: str) -> float:
    if not query or not document or {query, document} == {"zh", "ja"}:
        return math.nan
    return float(query == document)


LEXICAL = (
    Definition("coverage", 1, _coverage, "Share of the query's terms that title or text has", direction=1),
    Definition(
        "idf_coverage", 1, _idf_coverage, "The same, each term weighted by its rarity in the collection", direction=1
    ),
    Definition(
        "title_coverage", 1, _title_coverage, "Share of the query's terms that the title has; missing without a title",
        direction=1,
    ),
    Definition(
        "proximity", 1, _proximity, "Query terms that the document has / terms of the shortest part that has them all; "
        "missing below two", direction=1,
    ),
    Definition(
        "order", 1, _order, "Share of pairs of query terms whose first occurrences stand in the query's order; missing "
        "below two", direction=1,
    ),
    Definition(
        "adjacent", 1, _adjacent, "Share of the query's neighbouring terms that are neighbours here, too", direction=1
    ),
    Definition("run", 1, _run, "Longest run of query terms that stands here / terms of the query", direction=1),
    Definition("exact", 1, _exact, "1 if title or text has the whole query, whatever the case", direction=1),
    Definition(
        "title_exact", 1, _title_exact, "1 if the title is the query; missing without a title", direction=1
    ),
    Definition(
        "ngrams", 1, _ngrams, "Share of the query's runs of n characters that title or text has", {"n": 3}, direction=1
    ),
    Definition("density", 1, _density, "Share of the document's terms that the query has"),
    Definition("first_match", 1, _first_match, "Terms before the first one that the query has; missing without one"),
    Definition(
        "code_match", 1, _code_match, "Share of the query's identifiers (part numbers, names of code, paths) that "
        "title or text has; missing without one", direction=1,
    ),
    Definition("query_codes", 1, _query_codes, "Identifiers in the query"),
    Definition("query_terms", 1, _query_terms, "Terms of the query"),
    Definition("query_characters", 1, _query_characters, "Characters of the query"),
    Definition("terms", 1, _terms, "Terms of title and text"),
    Definition("characters", 1, _characters, "Characters of the text"),
    Definition("title_terms", 1, _title_terms, "Terms of the title; missing without a title"),
    Definition(
        "language_match", 1, _language_match, "1 if query and text are of one language, 0 if not; missing where unsure",
        direction=1,
    ),
)  # fmt: skip
