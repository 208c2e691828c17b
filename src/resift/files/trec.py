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
    """Read a TREC run (`query Q0 document rank score tag`) into lines per query, by rank.

    Raises:
        InputError: a line that has not six columns, or no numbers where rank and score belong.

    """
    run: dict[str, list[RunLine]] = {}
    for number, line in enumerate(file, 1):
        columns = line.split()
        if not columns:
            continue
        try:
            query, _, doc, rank, score, _ = columns
            run.setdefault(query, []).append(RunLine(query, doc, int(rank), float(score)))
        except ValueError as error:
            raise InputError(f"{where}:{number}: a TREC run line is 'query Q0 document rank score tag'") from error
    return {query: sorted(lines, key=lambda r: r.rank) for query, lines in run.items()}


def write_run(rankings: Iterable[Ranking], tag: str, file: IO[str]) -> None:
    """Write a TREC run; its score column is the number of candidates below, since it has to fall with the rank."""
    for ranking in rankings:
        for c in ranking:
            file.write(f"{ranking.query.id} Q0 {c.document.id} {c.rank} {len(ranking) - c.rank} {tag}\n")


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Read judgements, BEIR (`query-id corpus-id score`, with a header) or TREC (`query 0 document grade`)."""
    qrels: dict[str, dict[str, int]] = {}
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            columns = line.split()
            if not columns or (number == 1 and not re.fullmatch(r"-?\d+", columns[-1])):
                continue
            try:
                query, doc, grade = (columns[0], columns[-2], int(columns[-1]))
            except (ValueError, IndexError) as error:
                raise InputError(f"{path}:{number}: expected query, document and a whole-number grade") from error
            qrels.setdefault(query, {})[doc] = grade
    return qrels
