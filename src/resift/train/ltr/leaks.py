"""Refuses to learn from scores that flatter: those of a model that was trained on the very queries at hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from resift.errors import InputError
from resift.pipeline import Pipeline
from resift.rerank.training_summary import TRAINING_FILE
from resift.score.load import find_model
from resift.types import Query


def query_hash(query: Query) -> str:
    """A hash of a query's text; case and white space aside."""
    return sha256(" ".join(query.text.casefold().split()).encode("utf-8", "replace")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Which folder stands for which model at which query.

    Attributes:
        folders: all of them.
        by_model: folders of a model, each with the hashes of the queries that it was trained on.

    """

    folders: tuple[str, ...]
    by_model: Mapping[str, tuple[tuple[str, frozenset[str]], ...]]

    def of(self, query: Query) -> dict[str, str]:
        """The folder to take for each model; it was not trained on the query.

        Raises:
            InputError: all folders of a model were.

        """
        hashed, names = query_hash(query), {}
        for model, folders in self.by_model.items():
            name = next((folder for folder, trained_on in folders if hashed not in trained_on), None)
            if name is None:
                raise InputError(
                    f"every folder that stands for {model} was trained on the query {query.text[:60]!r}; "
                    "train one without it"
                )
            names[model] = name
        return names


def stage_names(plan: Pipeline, queries: Sequence[Query], out_of_fold: Mapping[str, Sequence[str]]) -> OutOfFold:
    """Check the pipeline's models against the queries.

    Raises:
        InputError: a model was trained on some of the queries and nothing stands for it, or what is to stand for a
            model belongs to none of the pipeline.

    """
    learned = [str(part.value("model")) for part in plan.stages if part.name == "ltr"]
    if unknown := next((name for name in out_of_fold if name not in plan.models), None):
        raise InputError(f"--out-of-fold names {unknown!r}, which is no model of {plan}")
    hashes = {query_hash(query) for query in queries}
    for name in (*plan.models, *learned):
        count = len(hashes & trained_on(name))
        if count and name not in out_of_fold:
            raise InputError(
                f"{name} was trained on {count} of these {len(hashes)} queries, so that its scores are better here "
                "than on new ones; train on other queries, or name folders that were trained without some of them: "
                f"--out-of-fold {name}=FOLDER,FOLDER"
            )
    by_model = {
        name: tuple((folder, trained_on(folder)) for folder in folders) for name, folders in out_of_fold.items()
    }
    return OutOfFold(tuple(folder for folders in out_of_fold.values() for folder in folders), by_model)


def trained_on(name: str) -> frozenset[str]:
    """Hashes of the queries that a model was trained on, as its training.json has them; empty where none says so."""
    path = find_model(name) / TRAINING_FILE
    if not Path(path).is_file():
        return frozenset()
    try:
        return frozenset(json.loads(path.read_text("utf-8")).get("data", {}).get("query_hashes", ()))
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{path} can't be read ({error}); it says what the model was trained on") from error
