"""Every file format that Resift reads or writes: files and folders <-> types."""

from resift.files.encoding import open_text
from resift.files.formats import SUFFIXES, read_file, read_lines
from resift.files.paths import NEVER_READ, Skip, Skipped, list_paths, read_paths, skip_of
from resift.files.records import ID_FIELDS
from resift.files.tables import (
    TEXT_FIELDS,
    TITLE_FIELDS,
    document,
    documents,
    read_jsonl,
    read_requests,
    refuse_unknown,
)
from resift.files.trec import RunLine, read_qrels, read_run, write_run

__all__ = [
    "ID_FIELDS",
    "NEVER_READ",
    "SUFFIXES",
    "TEXT_FIELDS",
    "TITLE_FIELDS",
    "RunLine",
    "Skip",
    "Skipped",
    "document",
    "documents",
    "list_paths",
    "open_text",
    "read_file",
    "read_jsonl",
    "read_lines",
    "read_paths",
    "read_qrels",
    "read_requests",
    "read_run",
    "refuse_unknown",
    "skip_of",
    "write_run",
]
