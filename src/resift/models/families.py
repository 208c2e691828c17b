"""The families of models: one row each, from which loading, error texts, the doctor and the registry take theirs.

A new family is one row here and one module with its scorer. The row names that module instead of importing it: this
table lies below the scorers, and whoever only lists models loads none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from resift.errors import UnknownFamily
from resift.models.inputs import EmbedderInput, EncoderInput, Input, LateInput, LearnedInput, StaticInput

# Checks of the doctor that need a tokenizer and an engine; those that need neither apply to every reranker.
_OF_TOKENS = frozenset({"tokenizer", "pad", "truncation", "vocabulary"})
_OF_ENGINES = frozenset({"head", "engines"})


@dataclass(frozen=True, slots=True)
class Family:
    """A family of models.

    Attributes:
        name: as contract.json and the registry have it.
        sentence: what its models are.
        noun: what one of its models is called in a message, with its article.
        input: the record of what its contract says besides the common facts; None where Resift can't load it yet.
        module: holds `open_scorer(folder, contract, options)` where it reranks, and `open_embedder` of the same
            arguments where it embeds (see `score.load`).
        reranks: whether its models score pairs; `embeds`: whether they make one vector of a text.
        whole_graph: whether an ONNX or OpenVINO file beside config.json is the whole model, head included: "always",
            "own" where Resift wrote the folder, or "never" where it is a bare encoder.
        checks: which checks of the doctor apply besides those for every scorer.

    """

    name: str
    sentence: str
    noun: str = "a model"
    input: type[Input] | None = None
    module: str = ""
    reranks: bool = False
    embeds: bool = False
    whole_graph: Literal["always", "own", "never"] = "never"
    checks: frozenset[str] = frozenset()


_ROWS = (
    Family(
        "encoder", "query and document in one input of an encoder with a classification head", "a cross-encoder",
        EncoderInput, "resift.score.cross_encoder", reranks=True, whole_graph="always",
        checks=_OF_TOKENS | _OF_ENGINES | {"pair encoding"},
    ),
    Family(
        "late", "query and document apart, compared token by token (ColBERT)", "a late-interaction model",
        LateInput, "resift.score.late_interaction", reranks=True, embeds=True, whole_graph="own",
        checks=_OF_TOKENS | _OF_ENGINES,
    ),
    Family(
        "embedder", "one vector for a text, for the first stage", "an embedding model",
        EmbedderInput, "resift.score.embedder", embeds=True,
    ),
    Family(
        "static", "one vector for a text by looking its tokens up, for the first stage", "an embedding model",
        StaticInput, "resift.score.static", embeds=True,
    ),
    Family(
        "learned", "trees or weights over features of query and document, trained on judged queries", "a learned stage",
        LearnedInput, "resift.score.learned", reranks=True,
    ),
    Family("decoder", "a language model asked for yes or no"),
    Family("layerwise", "a language model that may answer from an inner layer"),
    Family("compressed", "a layerwise model that shortens the passage on its way"),
    Family("seq2seq", "an encoder-decoder asked for true or false (monoT5)"),
    Family("listwise", "one input with all documents, giving their order"),
    Family("multimodal", "a model that reads images too"),
    Family("hosted", "a service behind a network"),
)  # fmt: skip
FAMILIES: dict[str, Family] = {row.name: row for row in _ROWS}


def supported(families: Mapping[str, Family] = FAMILIES) -> list[str]:
    """Names of the families that Resift loads."""
    return [row.name for row in families.values() if row.input is not None]


def loadable(name: str, model: str) -> Family:
    """The row of a family that Resift loads; `model` is who claims it, for the message.

    Raises:
        UnknownFamily: there is no such family, or it can't be loaded yet.

    """
    row = FAMILIES.get(name)
    if row is None:
        raise UnknownFamily(f"{model}: {name!r} is no family; supported: {', '.join(supported())}")
    if row.input is None:
        raise UnknownFamily(
            f"{model}: family {name} ({row.sentence}) is not supported yet; "
            f"supported: {', '.join(supported())}; `resift models` lists them"
        )
    return row
