"""What stands behind an encoder: pooling, projections and norms, from the folder's modules."""

from __future__ import annotations

from resift.engine.batching import FloatArray
from resift.engine.graphs.heads import ACTIVATIONS, POOLINGS, HeadStep, Linear, Norm, Normalize, Pooling
from resift.engine.weights.checkpoint_files import read_weights, weight_files
from resift.errors import BrokenModel, UnknownFamily
from resift.models.folder import Module, Modules

TOKENS, SENTENCE, SCORES = "token_embeddings", "sentence_embedding", "scores"
# What a projection of each level may write to: its input, and where it is the last of a cross-encoder the scores.
_OUTPUTS = {TOKENS: (None, TOKENS), SENTENCE: (None, SENTENCE, SCORES)}
_OLD_POOLING = {"cls_token": "cls", "max_tokens": "max", "mean_tokens": "mean",
                "mean_sqrt_len_tokens": "mean_sqrt_len_tokens", "weightedmean_tokens": "weightedmean",
                "lasttoken": "lasttoken"}  # fmt: skip


def pooling(module: Module) -> tuple[str, ...]:
    """The modes of a Pooling module, in the order in which their vectors are put together."""
    modes = module.settings.get("pooling_mode")
    if modes is None:
        modes = [new for old, new in _OLD_POOLING.items() if module.settings.get(f"pooling_mode_{old}")] or ["mean"]
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    if unknown := set(modes) - set(POOLINGS):
        raise UnknownFamily(f"{module.folder} pools by {', '.join(sorted(unknown))}; known are {', '.join(POOLINGS)}")
    return modes


def head_steps(modules: Modules, level: str) -> tuple[HeadStep, ...]:
    """What the modules behind the encoder do; reads their weights.

    Args:
        modules: of a model.
        level: "token_embeddings" for late interaction, "sentence_embedding" for one vector, or for the scores that a
            cross-encoder's last projection makes of one.

    Raises:
        UnknownFamily: a module that Resift does not run.
        BrokenModel: its weights are missing.

    """
    steps: list[HeadStep] = []
    for module in modules.head:
        if module.kind == "Pooling":
            steps.append(Pooling(pooling(module)))
        elif module.kind == "Dense":
            steps.append(_dense(module, level))
        elif module.kind == "Normalize":
            steps.append(Normalize())
        elif module.kind == "LayerNorm" and level == SENTENCE:
            steps.append(_layer_norm(module))
        elif module.kind not in ("MultiVectorMask", "Dropout"):
            raise UnknownFamily(f"{modules.folder} has a module {module.kind}, which Resift does not run")
    return tuple(steps)


def _dense(module: Module, level: str) -> Linear:
    settings = module.settings
    name = str(settings.get("activation_function", "torch.nn.modules.activation.Tanh")).rsplit(".", 1)[-1]
    if name not in ACTIVATIONS:
        raise UnknownFamily(f"{module.folder} has activation {name}; known are {', '.join(ACTIVATIONS)}")
    if settings.get("module_input_name", level) != level or settings.get("module_output_name") not in _OUTPUTS[level]:
        raise UnknownFamily(f"{module.folder} projects {settings.get('module_input_name')}; known is {level} alone")
    weights = _weights(module, "linear.weight")
    residual = weights.get("residual.weight", True) if settings.get("use_residual") else False
    return Linear(weights["linear.weight"], weights.get("linear.bias"), name, residual)


def _layer_norm(module: Module) -> Norm:
    weights = _weights(module, "norm.weight", "norm.bias")
    return Norm(weights["norm.weight"], weights["norm.bias"])


def _weights(module: Module, *needed: str) -> dict[str, FloatArray]:
    """A module's weights, among which these must be."""
    weights = read_weights(weight_files(module.folder.path))
    if missing := [name for name in needed if name not in weights]:
        raise BrokenModel(f"{module.folder} has no tensor {', '.join(missing)}; fetch the model again")
    return weights
