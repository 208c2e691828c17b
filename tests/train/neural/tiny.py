"""A tiny BERT and examples that it can learn in a few steps: what speaks of a lamp is relevant, of a ferry is not."""

import random
from pathlib import Path

from resift.train.examples import Detection, ExampleSet, LabelKind, Labelled, Shape, TrainingQuery
from resift.types import Document, Query
from tests.checkpoints import cross_encoder

FILLERS = "the of and to in is it how what where water bread city capital oslo north south".split()


def tiny_bert(folder: Path, head: bool = True, **config: object) -> Path:
    """A BERT of two layers and 32 dimensions; without a head, a bare encoder's config."""
    settings = {"hidden_size": 32, "intermediate_size": 64, "initializer_range": 0.05, **config}
    cross_encoder(folder, "bert", noise=0.0, **settings)  # type: ignore[arg-type]
    if not head:
        import torch
        from transformers import BertConfig, BertModel

        torch.manual_seed(3)
        BertModel(BertConfig.from_pretrained(folder)).save_pretrained(folder)
    return folder


def candidate(rng: random.Random, label: float | None, teacher: float | None = None, weight: float = 1.0) -> Labelled:
    words = [rng.choice(FILLERS) for _ in range(rng.randint(3, 14))]
    relevant = (label if label is not None else teacher or 0) > 0
    words.insert(rng.randrange(len(words)), "lamp" if relevant else "ferry")
    return Labelled(Document("", " ".join(words) + f" {rng.randrange(10**6)}"), label, teacher, weight)


def query(number: int, candidates: tuple[Labelled, ...], text: str = "") -> TrainingQuery:
    return TrainingQuery(Query(text or f"what is the water in city {number}", f"q{number}"), candidates)


def examples(
    count: int = 60,
    labels: tuple[float | None, ...] = (1.0, 0.0, 0.0, 0.0),
    teacher: tuple[float | None, ...] = (),
    weights: tuple[float, ...] = (),
    shape: Shape = Shape.LISTS,
    name: str = "data",
) -> ExampleSet:
    """Queries with a candidate for each label; teacher's scores and weights go with the labels."""
    rng = random.Random(5)
    queries = tuple(
        query(
            n,
            tuple(
                candidate(
                    rng, label, teacher[i] if teacher else None, weights[i] if weights else 1.0
                )
                for i, label in enumerate(labels)
            ),
        )
        for n in range(count)
    )  # fmt: skip
    return ExampleSet(name, queries, Detection(shape, {}, LabelKind.BINARY, count, "made"))
