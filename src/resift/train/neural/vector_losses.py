"""The losses of models that read query and document apart: embedders and late interaction, as tables like `LOSSES`.

Scores are cosines, or means or sums of them, so each loss multiplies them before a softmax or a comparison with a
teacher's logits. All of it is computed in f32, since bf16 has three digits of a cosine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from resift.train.examples import LabelKind
from resift.train.neural.losses import Form, Loss, LossSettings, Maker, Values

if TYPE_CHECKING:
    from torch import Tensor, nn

COSINE_SCALE = 20.0
MEAN_SCALE = 30.0  # of a mean of cosines; a sum of them is as wide as it is
MINI_BATCH = 32  # rows that are held at once by losses that cache
_GRADES = frozenset({LabelKind.BINARY, LabelKind.GRADED})

# By what a teacher's cosines are multiplied, since those of the model are, too.
TEACHER_SCALES = {"embedder": COSINE_SCALE, "late": MEAN_SCALE}

Similarity = Callable[..., "Tensor"]


def in_f32(similarity: Similarity, scale: float = 1.0) -> Similarity:
    """A similarity that is computed in f32 whatever is around it, times `scale`."""
    import torch

    def scaled(queries: Tensor, documents: Tensor, **masks: Any) -> Tensor:  # noqa: ANN401
        with torch.autocast(queries.device.type, enabled=False):
            return similarity(queries.float(), documents.float(), **masks) * scale

    return scaled


def _cosine_contrast(name: str, cached: bool) -> Maker:
    def make(model: Any, settings: LossSettings, weights: bool) -> nn.Module:  # noqa: ANN401
        from sentence_transformers.sentence_transformer import losses
        from sentence_transformers.util import cos_sim

        more = {"mini_batch_size": MINI_BATCH} if cached else {}
        scale = COSINE_SCALE if settings.scale is None else settings.scale
        loss: nn.Module = getattr(losses, name)(model, scale=scale, similarity_fct=in_f32(cos_sim), **more)
        return loss

    return make


def _cosine_margins(model: Any, settings: LossSettings, weights: bool) -> nn.Module:  # noqa: ANN401
    from sentence_transformers.sentence_transformer.losses import MarginMSELoss
    from sentence_transformers.util import pairwise_cos_sim

    scale = COSINE_SCALE if settings.scale is None else settings.scale
    loss: nn.Module = MarginMSELoss(model, similarity_fct=in_f32(pairwise_cos_sim, scale))
    return loss


def _late(name: str, scoring: str, **more: Any) -> Maker:  # noqa: ANN401
    """A loss of late interaction, by its class, over a function of `scoring` that is a mean where the model's is."""

    def make(model: Any, settings: LossSettings, weights: bool) -> nn.Module:  # noqa: ANN401
        from sentence_transformers.multi_vector_encoder import losses
        from sentence_transformers.multi_vector_encoder import scoring as functions

        mean = model.similarity_fn_name == "meanmaxsim"
        default = MEAN_SCALE if mean else 1.0
        similarity = getattr(functions, f"mean_{scoring}" if mean else scoring)
        scaled = in_f32(similarity, default if settings.scale is None else settings.scale)
        own = {"temperature": settings.temperature} if "Distill" in name else {}
        loss: nn.Module = getattr(losses, name)(model, similarity_fct=scaled, **more, **own)
        return loss

    return make


EMBEDDER_LOSSES = {
    loss.name: loss
    for loss in (
        Loss("mnrl", Form.TUPLE, Values.LABELS, _cosine_contrast("MultipleNegativesRankingLoss", False), _GRADES),
        Loss("cached-mnrl", Form.TUPLE, Values.LABELS,
             _cosine_contrast("CachedMultipleNegativesRankingLoss", True), _GRADES),
        Loss("margin-mse", Form.SCORED_TUPLE, Values.TEACHER, _cosine_margins, _GRADES),
    )
}  # fmt: skip
LATE_LOSSES = {
    loss.name: loss
    for loss in (
        Loss("mnrl", Form.TUPLE, Values.LABELS,
             _late("MultiVectorMultipleNegativesRankingLoss", "colbert_scores", mini_batch_size=MINI_BATCH), _GRADES),
        Loss("cached-mnrl", Form.TUPLE, Values.LABELS,
             _late("CachedMultiVectorMultipleNegativesRankingLoss", "colbert_scores", mini_batch_size=MINI_BATCH),
             _GRADES),
        Loss("margin-mse", Form.SCORED_TUPLE, Values.TEACHER,
             _late("MultiVectorMarginMSELoss", "colbert_scores_pairwise", mini_batch_size=MINI_BATCH), _GRADES),
        Loss("teacher-kl", Form.SCORED_TUPLE, Values.TEACHER,
             _late("MultiVectorDistillKLDivLoss", "colbert_kd_scores", mini_batch_size=MINI_BATCH), _GRADES),
    )
}  # fmt: skip
