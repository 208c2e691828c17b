"""Cross-encoders with a head at several layers: each gives a score, so that scoring can stop early.

The last head is the model's own. An inner one reads the tokens' vectors as they enter the next layer, behind the norm
that the encoder puts on its last ones, as if the encoder ended there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from resift.engine.torch_layers import pooled
from resift.errors import BrokenModel, InputError, UnknownFamily
from resift.models.folder import ModelFolder
from resift.models.inner_heads import HEADS_FILE, INNER_READS, heads_of, pooling_of
from resift.models.inputs import CLASSIFIER, Head
from resift.train.neural import processes
from resift.train.neural.grouped import GroupedCrossEncoder, one_logit, passes_of
from resift.train.neural.measures import Measures
from resift.train.neural.ranking_lists import RankingLists
from resift.train.neural.reading_again import resift_scores
from resift.train.neural.report import HeadMeasures
from resift.train.neural.trainable import Floats, Pairs

INNER_HEADS = "inner_heads"  # within the names of their parameters

LAYER_SCORES = "layer_scores"  # in what a model gives

# The scores of all heads (n, outputs), by layer.
LayerScores = Mapping[int, Tensor]


class InnerHead(nn.Module):
    """One vector of a layer's token vectors, a linear layer with GELU, and one that makes the scores."""

    def __init__(self, record: Head, width: int, outputs: int) -> None:
        super().__init__()
        self.record, self._modes = record, pooling_of(record)
        self.dense, self.score = nn.Linear(len(self._modes) * width, width), nn.Linear(width, outputs)
        for linear in (self.dense, self.score):
            nn.init.normal_(linear.weight, std=0.02)  # as BERT's own heads begin
            nn.init.zeros_(linear.bias)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Scores (n, outputs) of hidden states (n, T, H), of which the mask (n, T) attends to some."""
        scores: Tensor = self.score(functional.gelu(self.dense(pooled(hidden, mask, self._modes))))
        return scores


class InnerHeads(nn.Module):
    """All inner heads, as the last module of a cross-encoder: they stand before the model's own scores."""

    def __init__(self, encoder: Any, heads: Mapping[int, InnerHead]) -> None:  # noqa: ANN401
        super().__init__()
        self.inner_heads = nn.ModuleDict({str(layer): head for layer, head in heads.items()})
        self._hidden: dict[int, Tensor] = {}
        norm = getattr(encoder, "final_norm", None)
        self._normed: Callable[[Tensor], Tensor] = (lambda hidden: hidden) if norm is None else norm.forward
        blocks = blocks_of(encoder)
        for layer in heads:
            blocks[layer].register_forward_pre_hook(partial(self._keep, layer), with_kwargs=True)

    def _keep(self, layer: int, block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Hold what enters a layer until the pass is over."""
        self._hidden[layer] = args[0] if args else kwargs["hidden_states"]

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        """Put the scores of all heads side by side (n, heads x outputs), the lowest first."""
        mask = features["attention_mask"]
        scores = [head(self._normed(self._hidden.pop(int(layer))), mask) for layer, head in self.inner_heads.items()]
        return {**features, "scores": torch.cat([*scores, features["scores"].float()], dim=1)}


class LayerwiseCrossEncoder(GroupedCrossEncoder):
    """`GroupedCrossEncoder` with heads at inner layers; unless it is told else, it gives the scores of its last head.

    Attributes:
        layers: of its heads, the model's own last; none before `attach`.

    """

    layers: tuple[int, ...] = ()
    _layer: int = 0
    _passes: list[LayerScores] | None = None
    _replayed: Iterator[Tensor] | None = None

    def attach(self, heads: Mapping[int, InnerHead]) -> None:
        """Put inner heads behind the model, by layer."""
        encoder: Any = self[0].model.base_model
        self.append(InnerHeads(encoder, heads))
        self.layers = (*sorted(heads), len(blocks_of(encoder)))
        self._layer = self.layers[-1]
        self.to(self.device)

    def forward(self, input: dict[str, Any], **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        """Scores of a padded batch, in its order."""
        if self._replayed is not None:
            return {"scores": next(self._replayed)}
        features = super().forward(input, **kwargs)
        if not self.layers:
            return features
        parts = dict(zip(self.layers, features["scores"].chunk(len(self.layers), dim=1), strict=True))
        if self._passes is not None:
            self._passes.append(parts)
        return {**features, "scores": parts[self._layer], LAYER_SCORES: parts}

    def preprocess(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        """See `CrossEncoder`; where passes are replayed, no text is read."""
        return {} if self._replayed is not None else dict(super().preprocess(*args, **kwargs))

    @contextlib.contextmanager
    def reading(self, layer: int) -> Iterator[None]:
        """Give the scores of the head at a layer meanwhile."""
        self._layer, before = layer, self._layer
        try:
            yield
        finally:
            self._layer = before

    @contextlib.contextmanager
    def recorded(self) -> Iterator[list[LayerScores]]:
        """Keep the scores of all heads, one entry for each pass."""
        passes: list[LayerScores] = []
        self._passes = passes
        try:
            yield passes
        finally:
            self._passes = None

    @contextlib.contextmanager
    def replayed(self, passes: Sequence[LayerScores], layer: int) -> Iterator[None]:
        """Compute nothing meanwhile, and give the scores of a head in the passes that were recorded."""
        self._replayed = iter([scores[layer] for scores in passes])
        try:
            yield
        finally:
            self._replayed = None

    def save(self, path: str, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Write the model as sentence-transformers has it, with its last head; inner heads lie in a file beside it."""
        inner = self.pop(-1)
        try:
            super().save(path, *args, **kwargs)
        finally:
            self.append(inner)
        file = Path(path) / HEADS_FILE
        file.parent.mkdir(exist_ok=True)
        heads: Any = inner.inner_heads
        save_file({name: value.detach().cpu().contiguous() for name, value in heads.state_dict().items()}, file)

    @property
    def heads(self) -> tuple[Head, ...]:
        """Its heads, as its contract lists them."""
        inner: Any = self[-1].inner_heads
        return (*(head.record for head in inner.values()), Head(self.layers[-1], CLASSIFIER))


def blocks_of(encoder: Any) -> nn.ModuleList:  # noqa: ANN401
    """The layers of an encoder.

    Raises:
        UnknownFamily: its layers are not in one list.

    """
    count = encoder.config.num_hidden_layers
    for module in encoder.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise UnknownFamily(f"{type(encoder).__name__} has no list of {count} layers; train it without --heads")


def attach_heads(model: LayerwiseCrossEncoder, folder: ModelFolder, layers: Sequence[int]) -> tuple[int, ...]:
    """Put inner heads behind a model: those that its folder has, and new ones; gives the layers of the new ones.

    Args:
        model: whose own head is at its last layer.
        folder: where the model came from.
        layers: of heads; the last layer may be among them.

    Raises:
        InputError: the model has no such layer, no inner layer is named, or several processes train it.
        BrokenModel: the folder's heads can't be read, or are of another size.

    """
    config: Any = model[0].model.config
    count, width = config.num_hidden_layers, config.hidden_size
    if processes.count() > 1:
        raise InputError("one process alone trains heads at several layers; start one, or leave --heads out")
    inner = [layer for layer in layers if layer != count]
    if not inner or not all(0 < layer < count for layer in inner):
        raise InputError(
            f"{folder} has {count} layers, and its own head behind the last one; heads are at some of 1 to {count - 1} "
            f"besides, not at {', '.join(map(str, layers))}"
        )
    stored = {head.layer: head for head in heads_of(folder) if head.layer in inner}
    records = [stored.get(layer) or Head(layer, INNER_READS) for layer in sorted(inner)]
    heads = {record.layer: InnerHead(record, width, model.num_labels) for record in records}
    for layer in stored:
        _restore(heads[layer], folder, layer)
    model.attach(heads)
    return tuple(layer for layer in heads if layer not in stored)


def score_layers(model: LayerwiseCrossEncoder, pairs: Pairs) -> dict[int, Floats]:
    """(n,) logits of pairs by each head, from one pass; see `score_pairs`."""
    logits = {layer: np.zeros(len(pairs)) for layer in model.layers}
    for rows, features in passes_of(model, pairs):
        for layer, scores in features[LAYER_SCORES].items():
            logits[layer][rows] = one_logit(scores)
    return logits


def inner_outputs(model: LayerwiseCrossEncoder, folder: Path, probes: Pairs) -> dict[str, tuple[Floats, Floats]]:
    """What the inner heads of a model compute, and what Resift does with its folder; see `Trainable.write`."""
    expected = score_layers(model, probes)
    return {
        f"resift at layer {layer}": (expected[layer], resift_scores(folder, probes, layer))
        for layer in model.layers[:-1]
    }


def measured_heads(model: LayerwiseCrossEncoder, lists: RankingLists, measures: Measures) -> list[HeadMeasures]:
    """The mean of each measure over lists, of each head."""
    scores = score_layers(model, measures.scored_pairs(lists))
    means = {layer: measures.means(lists, measures.list_scores(lists, scores[layer])) for layer in model.layers}
    first, last = measures.first, means[model.layers[-1]]
    return [
        HeadMeasures(layer, values, values[first] / last[first] if last[first] else 0.0)
        for layer, values in means.items()
    ]


def _restore(head: InnerHead, folder: ModelFolder, layer: int) -> None:
    file, prefix = folder.path / HEADS_FILE, f"{layer}."
    try:
        tensors = load_file(file)
        head.load_state_dict({n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)})
    except (OSError, RuntimeError) as error:
        raise BrokenModel(f"{file} does not hold the head at layer {layer} ({error}); fetch the model again") from error
