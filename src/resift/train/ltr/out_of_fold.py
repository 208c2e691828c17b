"""Refuses to learn from scores that flatter: those of a model that was trained on the very queries at hand.

Folders may stand for such a model that were each trained without some of the queries.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from resift.errors import InputError
from resift.loading import load
from resift.pipeline import Part, Pipeline
from resift.rerank.training_summary import TRAINING_FILE
from resift.reranker import Reranker
from resift.score.load import find_model
from resift.types import Candidate, Query, Ranking


def query_hash(query: Query) -> str:
    """A hash of a query's text; case and white space aside."""
    return sha256(" ".join(query.text.casefold().split()).encode("utf-8", "replace")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Folders that stand for models, each with the hashes of the queries that it was trained on."""

    folders: Mapping[str, tuple[tuple[str, frozenset[str]], ...]]

    @classmethod
    def of(cls, plan: Pipeline, queries: Sequence[Query], folders: Mapping[str, Sequence[str]]) -> OutOfFold:
        """Check the pipeline's models against the queries.

        Raises:
            InputError: a model was trained on some of the queries and nothing stands for it, or what is to stand for a
                model belongs to none of the pipeline.

        """
        models = (*plan.models, *(_learned(part) for part in plan.stages if _learned(part)))
        if unknown := next((name for name in folders if name not in models), None):
            raise InputError(f"--out-of-fold names {unknown!r}, which is no model of {plan}")
        hashes = {query_hash(query) for query in queries}
        for name in models:
            count = len(hashes & trained_on(name))
            if count and name not in folders:
                raise InputError(
                    f"{name} was trained on {count} of these {len(hashes)} queries, so that its scores are better here "
                    "than on new ones; train on other queries, or name folders that were trained without some of them: "
                    f"--out-of-fold {name}=FOLDER,FOLDER"
                )
        return cls({name: tuple((place, trained_on(place)) for place in places) for name, places in folders.items()})

    def for_query(self, query: Query) -> dict[str, str]:
        """The folder to take for each model: the first that was not trained on the query.

        Raises:
            InputError: all folders of a model were.

        """
        hashed, places = query_hash(query), {}
        for model, folders in self.folders.items():
            place = next((folder for folder, hashes in folders if hashed not in hashes), None)
            if place is None:
                raise InputError(
                    f"every folder that stands for {model} was trained on the query {query.text[:60]!r}; "
                    "name one that was trained without it"
                )
            places[model] = place
        return places


def trained_on(name: str) -> frozenset[str]:
    """Hashes of the queries that a model was trained on, as its training.json has them; empty where none says so.

    Raises:
        InputError: the file can't be read.
        NotAModel: there is no such model.

    """
    path = find_model(name) / TRAINING_FILE
    if not path.is_file():
        return frozenset()
    try:
        return frozenset(json.loads(path.read_text("utf-8")).get("data", {}).get("query_hashes", ()))
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{path} can't be read ({error}); it says what the model was trained on") from error


def replaced(plan: Pipeline, folders: Mapping[str, str]) -> tuple[Pipeline, dict[str, Reranker], dict[str, str]]:
    """The pipeline with folders in the place of models.

    Returns:
        The pipeline, in which learned stages name other folders; models by the names that the pipeline has for them;
        and the names that the models' signals are to have, by those that they have.

    """
    models = {name: load(folder) for name, folder in folders.items() if name in plan.models}
    stages = tuple(
        replace(part, parameters=tuple((k, folders.get(str(v), v) if k == "model" else v) for k, v in part.parameters))
        if _learned(part)
        else part
        for part in plan.stages
    )
    names = {load(folder).info.name: load(name).info.name for name, folder in folders.items()}
    return replace(plan, stages=stages), models, names


def renamed(ranking: Ranking, names: Mapping[str, str]) -> Ranking:
    """The ranking with other sources of its signals, so that each column of features has one name."""
    if not names:
        return ranking

    def with_names(candidate: Candidate) -> Candidate:
        signals = (replace(signal, source=names.get(signal.source, signal.source)) for signal in candidate.signals)
        return replace(candidate, signals=tuple(signals))

    return replace(ranking, candidates=tuple(map(with_names, ranking.candidates)))


def _learned(part: Part) -> str:
    """The folder of a learned stage; empty for another."""
    return str(part.value("model")) if part.name == "ltr" else ""
