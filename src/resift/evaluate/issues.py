"""What is wrong with data, or worth knowing before their figures are believed: counted, named, never averaged away."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from resift.errors import InputError

_EXAMPLES = 5


class IssueCode(StrEnum):
    """What can be wrong with data, or is worth knowing before its figures are believed."""

    NOT_JUDGED = "queries_without_judgements"
    NOTHING_RELEVANT = "queries_without_relevant_documents"
    NO_TEXT = "queries_without_text"
    UNKNOWN_QUERIES = "judged_queries_unknown"
    UNKNOWN_DOCUMENTS = "judged_documents_unknown"
    REPEATED_DOCUMENTS = "documents_repeated"
    SAME_TEXTS = "documents_of_the_same_text"
    EMPTY_DOCUMENTS = "documents_without_text"
    GRADE_GAPS = "grades_with_gaps"
    NEGATIVE_GRADES = "grades_below_zero"
    JUDGED_CANDIDATES = "queries_with_judged_candidates"
    RUN_MISSING = "queries_missing_in_run"
    RUN_UNJUDGED = "run_queries_not_evaluated"
    RUN_TIES = "run_queries_with_ties"
    RUN_NOT_FINITE = "run_lines_not_finite"
    RUN_REPEATED = "run_lines_repeated"
    RUN_UNSORTED = "run_queries_unsorted"
    SAMPLED = "queries_sampled"


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing about the data: how often it occurs, what it means for the figures, and the first ids."""

    code: IssueCode
    count: int
    message: str
    examples: tuple[str, ...] = ()

    @classmethod
    def of(cls, code: IssueCode, ids: Iterable[str], message: str) -> list[Issue]:
        """One issue about these ids; none where there are no ids."""
        affected = list(ids)
        return [cls(code, len(affected), message, tuple(affected[:_EXAMPLES]))] if affected else []

    def __str__(self) -> str:
        examples = ", ".join(self.examples) + (", …" if self.count > len(self.examples) else "")
        return f"{self.count} {self.message}" + (f" ({examples})" if self.examples else "")


def refuse_unless(condition: object, message: str) -> None:
    """Raise an InputError where a condition does not hold."""
    if not condition:
        raise InputError(message)
