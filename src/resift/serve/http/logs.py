"""The server's log: one JSON object per line, never with the text of a query or document."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from resift.errors import ResiftError

LOG = logging.getLogger("resift.serve")

# Facts of the request at hand: collected while it runs, written to the log when it ends.
FACTS: ContextVar[dict[str, Any]] = ContextVar("facts")


def add_facts(**facts: Any) -> None:  # noqa: ANN401
    """Add facts to the line of the request at hand, if there is one."""
    if (line := FACTS.get(None)) is not None:
        line.update(facts)


def event(name: str, level: int = logging.INFO, **facts: Any) -> None:  # noqa: ANN401
    """Write a line."""
    LOG.log(level, name, extra={"facts": facts})


def error_facts(error: BaseException) -> dict[str, str]:
    """An error without texts that it may quote: its type and place, and its message only if it is Resift's own."""
    frames = traceback.extract_tb(error.__traceback__)
    place = " < ".join(f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno} {f.name}" for f in reversed(frames[-6:]))
    message = {"message": str(error)} if isinstance(error, ResiftError) else {}
    return {"error": type(error).__name__, "place": place} | message


class JsonLines(logging.Formatter):
    """Formats records as JSON objects."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage().strip(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line |= error_facts(record.exc_info[1])
        return json.dumps(line, default=str)


def to_stderr(level: str) -> None:
    """Send the server's and uvicorn's records and Python's warnings to stderr as JSON lines."""
    logging.captureWarnings(True)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("resift.serve", "uvicorn.error", "py.warnings"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level.upper())
