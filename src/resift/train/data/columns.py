"""Which column is what: by a table of names, never by their order, and a caller's word comes first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from resift.arguments import nearest
from resift.errors import InputError
from resift.files import TEXT_FIELDS
from resift.train.examples import Shape

# The names of each role, the likeliest first; a name serves the first role that has it and is not filled yet.
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "query": ("query", "question", "anchor", "q", "search_query", "query_text", "sentence1", "sentence_1", "text1",
              "text_1", "text_a", "sentence_a", "premise"),
    "query_id": ("query_id", "qid", "queryid", "question_id"),
    "positive": ("positive", "positives", "pos", "positive_passages", "positive_ctxs"),
    "documents": ("documents", "docs", "passages", "candidates", "texts"),
    "document": ("document", "doc", "document_text", "doc_text", "sentence2", "sentence_2", "text2", "text_2", "text_b",
                 "sentence_b", *TEXT_FIELDS, "context", "response", "hypothesis"),
    "document_id": ("document_id", "doc_id", "docid", "pid", "corpus_id", "passage_id"),
    "title": ("title",),
    "click": ("click", "clicked", "clicks", "is_click"),
    "position": ("position", "rank", "slot"),
    "propensity": ("propensity",),
    "label": ("label", "labels", "relevance", "relevances", "grade", "grades", "rel", "rating", "is_relevant", "score",
              "scores"),
    "teacher": ("teacher", "teacher_score", "teacher_scores", "ce_score", "reranker_score", "logit", "logits", "score",
                "scores", "similarity"),
    "pos_scores": ("pos_scores", "pos_score", "positive_scores"),
    "neg_scores": ("neg_scores", "neg_score", "negative_scores"),
    "prompt": ("prompt", "instruction"),
    "weight": ("weight", "sample_weight"),
}  # fmt: skip
ROLES = (*SYNONYMS, "negative")
_NEGATIVE = re.compile(r"(?:hard_?)?neg(?:ative)?(?:s|_passages|_ctxs)?_?\d*")
# Labels under these names are scores of a model where they are no whole numbers.
SCORE_NAMES = frozenset(("score", "scores"))


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table.

    Attributes:
        of: the column of each role that the table has.
        negatives: the columns of negatives, in the order of their names.
        unused: columns that no role takes.

    """

    of: Mapping[str, str]
    negatives: tuple[str, ...]
    unused: tuple[str, ...]

    @property
    def shape(self) -> Shape:
        """The shape that these columns mean, before anything is known of their values."""
        if "click" in self.of:
            return Shape.CLICKS
        if self.of.get("positive") == "pos" or "pos_scores" in self.of or "neg_scores" in self.of:
            return Shape.FLAG_EMBEDDING
        if "positive" in self.of or self.negatives:
            return Shape.TUPLES if self.negatives else Shape.PAIRS
        return Shape.LISTS if "documents" in self.of else Shape.PAIRS

    def named(self) -> dict[str, str]:
        """Each role with its column, negatives among them."""
        return dict(self.of) | ({"negative": ", ".join(self.negatives)} if self.negatives else {})


def parse_columns(text: str) -> dict[str, str]:
    """Read "query=q,document=d" into the column of each role.

    Raises:
        InputError: another form, an unknown role, or a role twice.

    """
    columns: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        role, separator, name = (piece.strip() for piece in part.partition("="))
        if not separator or not name:
            raise InputError(f"columns are ROLE=COLUMN,…, such as query=q,document=d; not {part!r}")
        if role in columns:
            raise InputError(f"the role {role!r} has two columns, {columns[role]!r} and {name!r}; give one")
        columns[role] = name
    return columns


def detect(names: Sequence[str], overrides: Mapping[str, str], where: str) -> Columns:
    """The role of each column, by its name.

    Args:
        names: of the columns.
        overrides: the column of some roles, as a caller named them; "negative" may be one column.
        where: begins an error.

    Raises:
        InputError: an unknown role, a column that is not there, or no column for the query or the document; two texts
            whose names say nothing are never told apart by their order.

    """
    _check(names, overrides, where)
    chosen = dict(overrides)
    negatives = [chosen.pop("negative")] if "negative" in chosen else []
    free = {_fold(name): name for name in reversed(names) if name not in overrides.values()}
    if not negatives:
        negatives = sorted((name for fold, name in free.items() if _NEGATIVE.fullmatch(fold)), key=_by_number)
        free = {fold: name for fold, name in free.items() if name not in negatives}
    for role, synonyms in SYNONYMS.items():
        if role in chosen or _is_spoken_for(role, chosen):
            continue
        name = next((synonym for synonym in synonyms if synonym in free), None)
        if name is not None:
            chosen[role] = free.pop(name)
    columns = Columns(chosen, tuple(negatives), tuple(n for n in names if n in free.values()))
    _refuse_incomplete(columns, names, where)
    return columns


def _check(names: Sequence[str], overrides: Mapping[str, str], where: str) -> None:
    for role, name in overrides.items():
        if role not in ROLES:
            raise InputError(f"there is no role {role!r}{nearest(role, ROLES)}; there are {', '.join(ROLES)}")
        if name not in names:
            raise InputError(f"{where} has no column {name!r}{nearest(name, names)}; it has {', '.join(names)}")


def _is_spoken_for(role: str, chosen: Mapping[str, str]) -> bool:
    """Whether a role is no use beside those that are filled: a row has one kind of documents, and clicks are labels."""
    if role in ("documents", "document"):
        return bool({"positive", "documents", "document"} & chosen.keys())
    if role in ("position", "propensity"):
        return "click" not in chosen
    return role == "label" and "click" in chosen


def _refuse_incomplete(columns: Columns, names: Sequence[str], where: str) -> None:
    roles = columns.of.keys()
    has_documents = bool({"document", "documents", "positive"} & roles)
    missing = [role for role, there in (("query", "query" in roles), ("document", has_documents)) if not there]
    if not missing and columns.negatives and "positive" not in roles:
        missing = ["positive"]
    if not missing and "click" in roles and not {"position", "propensity"} & roles:
        missing = ["position"]
    if not missing:
        return
    hint = ""
    if {"query_id", "document_id"} & roles and missing[0] in ("query", "document"):
        hint = " (ids alone are no texts: give them with --queries and --documents, and the table as --qrels)"
    raise InputError(
        f"{where}: no column is known to be the {' or the '.join(missing)}{hint}; the columns are "
        f"{', '.join(names) or 'none'}: name them, such as --columns query=COLUMN,document=COLUMN,label=COLUMN"
    )


def _fold(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def _by_number(name: str) -> tuple[int, str]:
    digits = re.search(r"\d+$", name)
    return (int(digits[0]) if digits else 0, name)
