"""Runs a stage's own code, from one ask to the next, off the event loop; a stage that fails is a model that fails."""

from __future__ import annotations

import asyncio
import inspect
import logging
from functools import partial

from resift.errors import InputError, ModelFailed, ServiceError
from resift.protocols import Ask, Flow, Stage
from resift.serve.http.logs import error_facts, event
from resift.serve.runtime.background_threads import run_on_thread
from resift.serve.runtime.jobs import description
from resift.types import Ranking, Scores

_QUICK_CANDIDATES = 100  # of a ranking: with so many a quick stage needs less time than a change of threads is worth


class StageRun:
    """One ranking on its way through a stage.

    Args:
        stage: whose code runs.
        ranking: what the stage puts in order.
        stall_s: seconds after which the stage's code counts as hanging, from one ask to the next.
        threads: bounds how many stages run their code at the same time.
        quick: the stage's code does nothing slow once the first scores are there, and with few candidates it may then
            run on the event loop.

    """

    def __init__(
        self, stage: Stage, ranking: Ranking, stall_s: float, threads: asyncio.Semaphore, quick: bool = False
    ) -> None:
        self._name, self._ranking, self._stall_s, self._threads = stage.name, ranking, stall_s, threads
        self._quick = quick and len(ranking) <= _QUICK_CANDIDATES
        self._flow = _flow(stage, ranking)

    async def advance(self, scores: Scores | None = None) -> Ask | Ranking:
        """Send scores to the stage, None to begin; return what it asks next, or its ranking.

        Raises:
            InputError, ServiceError: the stage's own refusal.
            ModelFailed: the stage raised another error, hangs, or gave what is no ranking of the candidates.

        """
        if self._quick and scores is not None:
            outcome = self._step(scores)
        else:
            async with self._threads:
                thread = run_on_thread(partial(self._step, scores), when_unclaimed=self.close)
                try:
                    outcome = await asyncio.wait_for(thread, self._stall_s)
                except TimeoutError as error:
                    raise ModelFailed(f"the stage {self._name} did not go on within {self._stall_s:g} s") from error
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def close(self) -> None:
        """End the stage's code where it waits for scores; where a thread still runs it, at the end of that."""
        if inspect.getgeneratorstate(self._flow) == inspect.GEN_RUNNING:
            return
        try:
            self._flow.close()
        except Exception as error:  # noqa: BLE001 - the answer does not depend on it any more
            event("stage not closed", logging.WARNING, stage=self._name, **error_facts(error))

    def _step(self, scores: Scores | None) -> Ask | Ranking | Exception:
        """Run the stage to its next ask or its end; an error is returned, so that it can cross threads."""
        try:
            return self._checked_ask(self._flow.send(scores))  # type: ignore[arg-type]  # None begins
        except StopIteration as end:
            return self._checked_ranking(end.value)
        except (InputError, ServiceError) as error:
            return error
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, the stage's request must hear of it
            event("stage failed", logging.ERROR, stage=self._name, **error_facts(error))
            failure = ModelFailed(f"the stage {self._name} failed: {description(error)}")
            failure.__cause__ = error
            return failure

    def _checked_ask(self, ask: object) -> Ask:
        if not isinstance(ask, Ask):
            raise TypeError(f"a stage yields an Ask; not of type {type(ask).__name__}")
        return ask

    def _checked_ranking(self, ranking: object) -> Ranking | ModelFailed:
        """The ranking, which must hold every candidate exactly once, be it among those that were left out."""
        if not isinstance(ranking, Ranking):
            return ModelFailed(f"the stage {self._name} returned no ranking")
        before, after = (sorted(c.document.id for c in (*r, *r.left_out)) for r in (self._ranking, ranking))
        if before != after:
            return ModelFailed(
                f"the stage {self._name} returned {len(after)} candidates for {len(before)}, or others than those"
            )
        return ranking


def _flow(stage: Stage, ranking: Ranking) -> Flow:
    """A generator of which nothing runs before its first step, whatever `order` does when it is called."""
    return (yield from stage.order(ranking))
