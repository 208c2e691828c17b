"""What a person sees who judges: one query, one document, one key; where it stands, and no pipeline's name."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from resift.cli import show
from resift.judge.session import MEASURE, JudgingSession, Standing
from resift.text.analysis import Analyzer
from resift.text.clean import clean

_LINES = 14  # of a document that are shown before the key "m"
_YES_NO = {"y": 1, "n": 0}


class Ending(StrEnum):
    """Why a session ended."""

    PRECISE = "precise"
    COMPLETE = "complete"
    QUIT = "quit"
    STOPPED = "stopped"
    NO_KEYS = "no_keys"


class JudgeScreen:
    """Shows documents and obeys keys.

    Args:
        session: what to judge.
        console: where it is shown.
        until: the half-width of the interval at which it ends; 0: when everything is judged.

    """

    def __init__(self, session: JudgingSession, console: Console, until: float) -> None:
        self._session, self._console, self._until = session, console, until
        top = session.folder.top_grade
        self._grades = _YES_NO if top == 1 else {str(grade): grade for grade in range(top + 1)}
        names = {"y": "relevant", "n": "not"} if top == 1 else {"0": "not", str(top): "perfectly"}
        graded = " ".join(f"{key}={names[key]}" if key in names else key for key in self._grades)
        self._help = f"{graded}  s=skip  u=undo  m=more  q=quit"
        self._shown_query = ""

    def run(self, pressed: Iterator[str]) -> Ending:
        """Ask until everything is judged, enough is known, or the person quits."""
        if self._enough(self._session.standing()):
            return Ending.PRECISE
        any_key = False
        while (item := self._session.next()) is not None:
            self._show(*item)
            key = self._obeyed(pressed, *item)
            any_key = any_key or bool(key)
            if key in ("q", ""):
                return Ending.QUIT if any_key else Ending.NO_KEYS
            if key in ("s", *self._grades) and self._after(item[0]):
                return Ending.PRECISE
        return Ending.COMPLETE

    def close(self, ending: Ending) -> None:
        """Say where the judging stands at its end."""
        reasons = {
            Ending.PRECISE: f"enough: {MEASURE} is compared to ±{self._until:g}; a smaller --until goes on",
            Ending.COMPLETE: "everything is judged",
        }
        self._console.print()
        if reason := reasons.get(ending):
            self._console.print(reason, style="bold", markup=False)
        self._say_progress(self._session.standing())

    def _obeyed(self, pressed: Iterator[str], query: str, document: str) -> str:
        """Take keys until one changes something; that key, "" where input ended."""
        for key in pressed:
            if key == "m":
                self._console.print(self._text(document, whole=True))
            elif key in self._grades:
                self._decide(query, document, self._grades[key], key)
                return key
            elif key == "s":
                self._decide(query, document, None, "skipped")
                return key
            elif key == "q":
                return key
            elif key != "u":
                self._console.print(f"{key!r} is no key here: {self._help}", style="yellow", markup=False)
            elif self._session.take_back():
                return key
            else:
                self._console.print("nothing to undo", style="yellow")
        return ""

    def _decide(self, query: str, document: str, grade: int | None, label: str) -> None:
        self._session.decide(query, document, grade)
        self._console.print(label, style="dim", markup=False)

    def _after(self, query: str) -> bool:
        """Say where it stands when a query is judged; whether enough is known."""
        done, total = self._session.place(query)
        if done < total:
            return False
        standing = self._session.standing()
        self._say_progress(standing)
        return self._enough(standing)

    def _enough(self, standing: Standing) -> bool:
        return self._until > 0 and standing.precise(self._until)

    def _say_progress(self, standing: Standing) -> None:
        self._console.print(standing_line(standing, self._until), style="green", markup=False, soft_wrap=True)

    def _show(self, query: str, document: str) -> None:
        done, total = self._session.place(query)
        self._console.print(Rule(f"document {done + 1} of {total}", style="dim", align="left"))
        text = clean(self._session.folder.queries[query].text)
        self._console.print(Text("? ", style="bold").append(text, style="bold magenta"))
        self._console.print(self._text(document))
        self._console.print(self._help, style="dim", markup=False)

    def _text(self, document: str, whole: bool = False) -> Text:
        """A document's title and text, the query's words marked; the first lines unless it is to be the whole."""
        item = self._session.next()
        query = self._session.folder.queries[item[0]].text if item else ""
        store = self._session.folder.documents
        record = store[store.row(document)]
        body = clean(record.text)
        most = _LINES * self._console.width
        cut = body if whole or len(body) <= most else body[: body.rfind(" ", 0, most) if " " in body[:most] else most]
        analyzer = Analyzer.fitting([body])
        marked = show.marked(cut, set(analyzer.words(query)), analyzer)
        if len(cut) < len(body):
            marked.append(f" … m shows {len(body) - len(cut)} characters more", style="dim")
        head = Text(clean(record.title), style="bold")
        return Text("\n").join([head, marked]) if record.title else marked


def standing_line(standing: Standing, until: float) -> str:
    """Where a judging stands, in one line; which pipeline is ahead it does not say, so that judging stays blind."""
    parts = [
        f"{standing.judged} of {standing.queries} queries judged",
        f"{standing.documents} of {standing.pooled} documents",
    ]
    if standing.skipped:
        parts.append(f"{standing.skipped} skipped, which count as not relevant")
    if standing.without_relevant:
        parts.append(f"{standing.without_relevant} queries without a relevant document, which are not compared")
    if standing.half_width is not None:
        aim = f" (aim ±{until:g})" if until > 0 else ""
        parts.append(f"differences in {MEASURE} known to ±{standing.half_width:.3f}{aim}")
    return "; ".join(parts)
