"""Keeps a model from judging texts that it was not made for, and takes another one for them where there is one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from resift.protocols import Flow, KnowsLanguages, Role, Scorer, Stage
from resift.rerank.cascade import NOTHING
from resift.types import Note, NoteCode, Ranking

_SAMPLE = 20  # texts that are looked at
_TOLERATED = 0.2  # share of the passages that a model may be unable to read while another one reads more


class LanguageGuard:
    """Runs a stage only where its scorer reads the language at hand; else the order stays, and the trace says why.

    A scorer that can't tell (see `KnowsLanguages`) reads everything.

    Args:
        scorer: whose languages count.
        stage: what is guarded.
        insist: run the stage all the same, and say so: the user named this model on purpose.
        otherwise: runs instead of the stage, without a model; by default nothing.

    """

    def __init__(self, scorer: Scorer, stage: Stage, insist: bool = False, otherwise: Stage = NOTHING) -> None:
        self.scorer, self.stage, self.insist, self.otherwise = scorer, stage, insist, otherwise

    @property
    def name(self) -> str:
        """The name of the stage that is guarded."""
        return self.stage.name

    def order(self, ranking: Ranking) -> Flow:
        """Run the stage, or what runs instead."""
        reason = misfit(self.scorer, ranking)
        if not reason:
            return (yield from self.stage.order(ranking))
        name = self.scorer.info.name
        if not self.insist:
            note = Note(NoteCode.LANGUAGE, f"{reason}, or {name} to rerank all the same")
            return (yield from self.otherwise.order(ranking.noting(note)))
        note = Note(NoteCode.LANGUAGE, f"{reason}; reranked all the same, since {name} was named")
        return (yield from self.stage.order(ranking.noting(note)))


@dataclass(frozen=True, slots=True)
class Alternative:
    """One of several models among which the language decides.

    Attributes:
        name: of the model.
        scorer: gives the loaded model, the same at each call; the first call may load it.
        stage: gives what the model does to a ranking, without a guard.

    """

    name: str
    scorer: Callable[[], Scorer]
    stage: Callable[[], Stage]


class ByLanguage:
    """Runs the stage of the first model that reads the language at hand (see `choose`), of each ranking anew.

    The trace says which one was taken and why, where that is not the first. Where no model reads the texts the order
    stays, and the trace says why. A model is loaded when the first ranking gets as far as to it.

    Args:
        alternatives: the one that is preferred first; those that read more behind it.
        because: why the first one is preferred, where the trace is to say that too.
        otherwise: runs where no model reads the texts, without a model; by default nothing.

    """

    def __init__(self, alternatives: Sequence[Alternative], because: str = "", otherwise: Stage = NOTHING) -> None:
        self.alternatives, self.because, self.otherwise = tuple(alternatives), because, otherwise

    @property
    def name(self) -> str:
        """The models' names."""
        return " | ".join(alternative.name for alternative in self.alternatives)

    def order(self, ranking: Ranking) -> Flow:
        """Run one stage, or what runs instead."""
        choice = self.choice(ranking)
        if choice.position is None:
            return (yield from self.otherwise.order(ranking.noting(*choice.notes)))
        stage = self.alternatives[choice.position].stage()
        return (yield from stage.order(ranking.noting(*choice.notes)))

    def choice(self, ranking: Ranking) -> Choice:
        """Which model this ranking gets; it is loaded then."""
        passages = [f"{c.document.title} {c.document.text}" for c in ranking.candidates[:_SAMPLE]]
        return choose((alternative.scorer() for alternative in self.alternatives), [ranking.query.text], passages,
                      self.because)  # fmt: skip

    def load_for(self, ranking: Ranking) -> None:
        """Load the model that a ranking gets; see `LoadsModels`."""
        self.choice(ranking)


@dataclass(frozen=True, slots=True)
class Choice:
    """The position of the scorer that was chosen, None where none reads the texts, and what the trace says of it."""

    position: int | None
    notes: tuple[Note, ...] = ()


def choose(scorers: Iterable[Scorer], queries: Sequence[str], passages: Sequence[str], because: str = "") -> Choice:
    """The first scorer that reads the queries and all but a fifth of the passages.

    Where there is none, the first that reads the queries and whose commonest verdict on a passage is that it reads it.

    Args:
        scorers: the one that is preferred first; a later one is asked for only where those before it do not do.
        queries: one of a ranking, or several whose pairs are scored in one call.
        passages: a sample of 20 at most.
        because: what the note says where the first scorer is taken; empty: there is no note then.

    """
    asked: list[Scorer] = []
    causes = [because]
    for scorer in scorers:
        asked.append(scorer)
        of_queries, of_passages = _foreign(scorer, queries, "query"), _foreign(scorer, passages, "document")
        if not any(of_queries) and sum(map(bool, of_passages)) <= _TOLERATED * len(of_passages):
            return _chosen(asked, len(asked) - 1, causes)
        causes.append(_cause(of_queries, of_passages))
    reasons = [_misfit(scorer, query, passages) for scorer in asked for query in queries[:1]]
    position = next((i for i, reason in enumerate(reasons) if not reason), None)
    if position is not None:
        return _chosen(asked, position, causes)
    message = f"{reasons[-1]}, or {asked[-1].info.name} to rerank all the same"
    return Choice(None, (Note(NoteCode.LANGUAGE, message),))


def choose_for_pairs(scorers: Sequence[Callable[[], Scorer]], pairs: Sequence[tuple[str, str]]) -> int:
    """The position of the one scorer for all (query, passage) pairs of a call: see `choose`; the last where none reads.

    Up to 20 different queries and 20 passages are looked at, evenly spread.
    """
    queries = list(dict.fromkeys(query for query, _ in pairs))
    choice = choose((scorer() for scorer in scorers), _sample(queries), _sample([passage for _, passage in pairs]))
    return len(scorers) - 1 if choice.position is None else choice.position


def _sample(texts: Sequence[str]) -> Sequence[str]:
    return texts[:: -(-len(texts) // _SAMPLE) or 1]


def _chosen(asked: Sequence[Scorer], position: int, causes: Sequence[str]) -> Choice:
    """The choice of a scorer; the note's cause is what the preferred one could not read."""
    cause = causes[min(position, 1)]
    note = Note(NoteCode.MODEL, f"{asked[position].info.name}: {cause}")
    return Choice(position, (note,) if cause else ())


def _foreign(scorer: Scorer, texts: Sequence[str], role: Role) -> list[str]:
    return scorer.foreign(texts, role) if isinstance(scorer, KnowsLanguages) else [""] * len(texts)


def _misfit(scorer: Scorer, query: str, passages: Sequence[str]) -> str:
    return scorer.misfit(query, passages) if isinstance(scorer, KnowsLanguages) else ""


def _cause(of_queries: Sequence[str], of_passages: Sequence[str]) -> str:
    """What a scorer does not read, such as "the query is vi" or "6 of 20 texts are de"."""
    query, texts = _commonest(of_queries), _commonest(of_passages)
    count = sum(map(bool, of_passages))
    subject = f"{count} of {len(of_passages)} texts" if 2 * count <= len(of_passages) else "the texts"
    if query and query == texts and subject == "the texts":
        return f"the query and the texts are {query}"
    parts = [f"the query is {query}"] if query else []
    return " and ".join([*parts, f"{subject} are {texts}"] if texts else parts)


def _commonest(tongues: Sequence[str]) -> str:
    """The commonest language of the foreign texts; empty where there is none."""
    counts = Counter(filter(None, tongues)).most_common(1)
    return counts[0][0] if counts else ""


def misfit(scorer: Scorer, ranking: Ranking) -> str:
    """Why a scorer should not judge a ranking, in one sentence; empty when it should."""
    passages = [f"{c.document.title} {c.document.text}" for c in ranking.candidates[:_SAMPLE]]
    return _misfit(scorer, ranking.query.text, passages)
