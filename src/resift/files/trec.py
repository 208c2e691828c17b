"""TREC runs, and judgements of TREC and BEIR."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from resift.errors import InputError
from resift.files.encoding import open_text
from resift.types import Ranking


@dataclass(frozen=True, slots=True)
class RunLine:
    """One line of a TREC run."""

    query: str
    document: str
    rank: int
    score: float


def read_run(file: Iterable[str], where: str) -> dict[str, list[RunLine]]:
    """Read a TREC run (`query Q0 document rank score tag`) into lines per query, by rank; tags may have spaces.

    Raises:
        InputError: a line of less than six columns, or no numbers where rank and score belong; the message says which.

    """
    run: dict[str, list[RunLine]] = {}
    for number, line in enumerate(file, 1):
        columns = line.split()
        if not columns:
            continue
        expected = "a TREC run line is 'query Q0 document rank score tag'"
        if line.lstrip().startswith("{"):
            raise InputError(f"{where}:{number}: {expected}; this is JSON: leave --queries and --documents out")
        if len(columns) < 6:
            raise InputError(f"{where}:{number}: {len(columns)} columns; {expected}")
        query, _, doc, rank, score, *_ = columns
        try:
            run.setdefault(query, []).append(RunLine(query, doc, int(rank), float(score)))
        except ValueError as error:
            raise InputError(f"{where}:{number}: {expected}; rank {rank!r} or score {score!r} is no number") from error
    return {query: sorted(lines, key=lambda r: r.rank) for query, lines in run.items()}


def write_run(rankings: Iterable[Ranking], tag: str, file: IO[str]) -> None:
    """Write a TREC run; its score column is the number of candidates below, since it has to fall with the rank."""
    for ranking in rankings:
        for c in ranking:
            file.write(f"{ranking.query.id} Q0 {c.document.id} {c.rank} {len(ranking) - c.rank} {tag}\n")


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Read judgements, BEIR (`query-id corpus-id score`, with a header) or TREC (`query 0 document grade`).

    Raises:
        InputError: a line of another shape, a grade that is no whole number, or two grades for one pair.

    """
    qrels: dict[str, dict[str, int]] = {}
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            columns = line.split()
            if not columns or (number == 1 and not re.fullmatch(r"-?\d+", columns[-1])):
                continue
            expected = f"{path}:{number}: expected query, document and a whole-number grade"
            if len(columns) not in (3, 4):
                raise InputError(f"{expected}; there are {len(columns)} columns")
            try:
                query, doc, grade = (columns[0], columns[-2], int(columns[-1]))
            except ValueError as error:
                raise InputError(expected) from error
            if (before := qrels.setdefault(query, {}).setdefault(doc, grade)) != grade:
                raise InputError(
                    f"{path}:{number}: query {query!r} and document {doc!r} have the grade {grade}, and {before} "
                    "above; one pair has one grade"
                )
    return qrels
