"""Embedders in training: opened with their pooling and prompts, scored by cosine, written for both libraries.

A bare encoder gets the mean of its token vectors, which is what sentence-transformers gives it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.modules import Pooling

from resift.errors import UnknownFamily
from resift.models.folder import ModelFolder
from resift.models.recognition import contract_of
from resift.train.neural.base_model import loading_of, quiet, readable, tokens_of, torch_folder
from resift.train.neural.grouped import run_in_groups
from resift.train.neural.plan import Plan
from resift.train.neural.reading_again import resift_vectors
from resift.train.neural.seen import seen_apart
from resift.train.neural.trainable import BaseModel, Floats, Pairs, SeenTexts
from resift.train.neural.trainer import Guarded
from resift.train.neural.vector_scores import encoded, score_by_cosine


class EmbedderTrainer(Guarded, SentenceTransformerTrainer):
    """`SentenceTransformerTrainer` for rows of several sizes; see `Guarded`."""


class Embedders:
    """See `Trainable`."""

    logits = False
    trainer, arguments = EmbedderTrainer, SentenceTransformerTrainingArguments

    def open(self, plan: Plan, precision: str) -> BaseModel:
        """Open a folder of sentence-transformers, or a bare encoder.

        Raises:
            UnknownFamily: it pools no token vectors, or pools in a way that Resift does not run.

        """
        folder = torch_folder(plan.settings.base)
        tokens = tokens_of(folder, plan.settings.max_tokens)
        with readable(folder):
            model = SentenceTransformer(
                str(folder.path), local_files_only=True, trust_remote_code=False, model_kwargs=loading_of(precision)
            )
        pools = [module for module in model.children() if isinstance(module, Pooling)]
        if not pools:
            raise UnknownFamily(f"{folder} does not pool the vectors of an encoder's tokens; give another embedder")
        model.max_seq_length = tokens
        run_in_groups(model)
        notes = []
        if folder.modules is None or folder.modules.scores_pairs:
            notes.append("the base is a bare encoder: a text's vector begins as the mean of its tokens' vectors")
        return BaseModel(self, model, folder, prompts=column_prompts(model, plan), notes=tuple(notes))

    def score(self, model: Any, pairs: Pairs, bf16: bool = False) -> Floats:  # noqa: ANN401
        """See `score_by_cosine`."""
        return score_by_cosine(model, pairs, bf16)

    def fits(self, model: Any, pair: tuple[str, str]) -> bool:  # noqa: ANN401
        """Whether neither text is cut."""
        return not self.seen(model, pair).cut

    def write(self, base: BaseModel, folder: Path, name: str, probes: Pairs) -> dict[str, tuple[Floats, Floats]]:
        """Write the layout of sentence-transformers, by which Resift knows the model too."""
        expected = _vectors(base.model, probes)
        with quiet():
            base.model.save(str(folder), create_model_card=False)
            again = SentenceTransformer(str(folder), local_files_only=True, device=str(base.model.device))
        outputs = {"sentence-transformers": (expected, _vectors(again, probes))}
        try:
            contract_of(ModelFolder(folder))
        except UnknownFamily:
            return outputs  # an architecture that Resift does not run: it stays a model of sentence-transformers
        return outputs | {"resift": (expected, resift_vectors(folder, probes))}

    def seen(self, model: Any, pair: tuple[str, str]) -> SeenTexts:  # noqa: ANN401
        """See `seen_apart`."""
        return seen_apart(model, pair, prompts_of(model))


TRAINABLE = Embedders()


def prompts_of(model: Any) -> tuple[str, str]:  # noqa: ANN401
    """What a model puts before a query and before a document, as `encode_query` and `encode_document` do."""
    prompts = model.prompts or {}
    default = prompts.get(model.default_prompt_name) or ""
    documents = [prompts[name] for name in ("document", "passage", "corpus") if prompts.get(name) is not None]
    query = prompts.get("query")
    return default if query is None else query, documents[0] if documents else default


def column_prompts(model: Any, plan: Plan) -> dict[str, str]:  # noqa: ANN401
    """The prompt of each column of the rows of a plan, where the model has one."""
    query, document = prompts_of(model)
    columns = {column for each in plan.sets for column in each.rows.columns} - {"label"}
    prompts = {column: query if column == "query" else document for column in columns}
    return {column: prompt for column, prompt in prompts.items() if prompt}


def _vectors(model: Any, probes: Pairs) -> Floats:  # noqa: ANN401
    queries, documents = zip(*probes, strict=True)
    return np.concatenate(encoded(model, queries, documents)).astype(np.float64)
